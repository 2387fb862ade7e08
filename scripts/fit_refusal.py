"""Fit the refusal classifier's weights on completions that people labelled, and print how well it agrees.

python scripts/fit_refusal.py "$ALIGN_DATA/xstest"
"""

import sys

from align.evaluation.metrics.refusal_fit import main

if __name__ == "__main__":
    sys.exit(main())
