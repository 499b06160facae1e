"""``python -m mftpy``."""

import sys

from mftpy.errors import not_installed

if __name__ == "__main__":  # children started with spawn import this module under another name
    try:
        from mftpy.cli import main
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as missing:
        error = not_installed(missing)
        sys.stderr.write(f"mftpy: {error}\n")
        sys.exit(error.exit_code)
    sys.exit(main())
