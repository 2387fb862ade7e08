"""`python -m align.report <run folder>`: how a pipeline writes its report, in a process of its own."""

import sys

from align.report.command import main

sys.exit(main())
