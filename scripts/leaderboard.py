"""Print who beats whom over finished evaluations, or over published verdicts.

python scripts/leaderboard.py outputs/runs/quickstart-0001 outputs/runs/quickstart-0002
python scripts/leaderboard.py data/alpaca_eval/annotations_Qwen-14B-Chat_weighted.json.gz --json board.json
"""

import sys

from align.evaluation.ranked_runs import main

if __name__ == "__main__":
    sys.exit(main())
