"""``python -m mftpy``."""

import sys

if __name__ == "__main__":  # children started with spawn import this module under another name
    from mftpy.cli import main

    sys.exit(main())
