"""Print one evaluation table over several runs, such as the same experiment with other seeds.

python scripts/pipeline.py -m experiment=quickstart seed=0,1,2
python scripts/pool.py outputs/runs/quickstart-0001 outputs/runs/quickstart-0002 outputs/runs/quickstart-0003
"""

import sys

from align.evaluation.pool import main

if __name__ == "__main__":
    sys.exit(main())
