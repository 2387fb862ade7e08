"""List, explain and remove what lies below `outputs/artifacts`.

python scripts/artifacts.py list
python scripts/artifacts.py show dpo-4bfd51e3d392
python scripts/artifacts.py prune --yes
"""

import sys

from align.artifacts.housekeeping import main

if __name__ == "__main__":
    sys.exit(main())
