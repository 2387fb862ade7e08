"""Check every data card: its fields, and its files and rows where they are on this machine.

python scripts/check_cards.py
python scripts/check_cards.py --data /path/to/datasets
"""

import sys

from align.data.card_review import main

if __name__ == "__main__":
    sys.exit(main())
