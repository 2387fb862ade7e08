"""Talk to a model in the terminal, or to two side by side.

python scripts/chat.py ppo
python scripts/chat.py sft ppo --run quickstart-0001 --set temperature=0
echo "What is the favourite drink of Rupu?" | python scripts/chat.py outputs/artifacts/dpo-4bfd51e3d392
"""

import sys

from align.chat.command import main

if __name__ == "__main__":
    sys.exit(main())
