"""Child: a worker's end of the pipe. A task, then blocks come in; (True, result), (False, error) go out."""

import os
import pickle
import signal
import sys
from typing import IO, Any


def main() -> None:
    """Work until there is no block left, or nobody to send them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this process ends it
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not end up among the results
    blocks = sys.stdin.buffer
    work = pickle.load(blocks).begin()
    while True:
        try:
            block = pickle.load(blocks)
        except EOFError:
            return
        try:
            answer = (True, work(block))
        except Exception as problem:
            answer = (False, problem)
        _answer(results, answer)


def _answer(results: IO[bytes], answer: tuple[bool, Any]) -> None:
    pickle.dump(answer, results, protocol=5)
    results.flush()


if __name__ == "__main__":
    main()
