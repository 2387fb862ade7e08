"""Write pairs of answers for people to vote on; `judge=ballots` reads the votes.

python scripts/ballots.py outputs/runs/quickstart-0001 sft dpo votes.jsonl
"""

import sys

from align.evaluation.ballot_sheet import main

if __name__ == "__main__":
    sys.exit(main())
