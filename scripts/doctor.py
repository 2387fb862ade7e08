"""Tell what this machine offers, and prove that processes train together on it: the first thing to run.

python scripts/doctor.py
python scripts/doctor.py --ranks 4 --timeout 300
python scripts/doctor.py --json
"""

import sys

from align.pipeline.doctor import main

if __name__ == "__main__":
    sys.exit(main())
