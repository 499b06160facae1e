"""``python -m mftpy``."""

import sys

if __name__ == "__main__":  # children started with spawn import this module under another name
    try:
        from mftpy.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(main())
