"""Write one HTML page over a finished run, over artifacts or over models; it needs no network.

python scripts/report.py outputs/runs/quickstart-0001
python scripts/report.py outputs/artifacts/dpo-4bfd51e3d392 --to dpo.html
"""

import sys

from align.report.command import main

if __name__ == "__main__":
    sys.exit(main())
