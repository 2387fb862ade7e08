"""Check every byte of what lies below `outputs/`: artifacts, checkpoints, the records of runs.

python scripts/verify.py
python scripts/verify.py gentle_dpo-0007
python scripts/verify.py dpo-4bfd51e3d392 --outputs /shared/outputs
"""

import sys

from align.artifacts.verification import main

if __name__ == "__main__":
    sys.exit(main())
