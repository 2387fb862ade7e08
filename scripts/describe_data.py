"""Measure a dataset and begin its card, or bring the measured part of its card up to date.

python scripts/describe_data.py my/rows.jsonl
python scripts/describe_data.py gsm8k --write --against mt_bench arena_hard --tokenizer Qwen/Qwen3-0.6B
"""

import sys

from align.description.command import main

if __name__ == "__main__":
    sys.exit(main())
