"""``python -m mftpy``, and the command ``mftpy``."""

import sys

from mftpy.errors import not_installed


def main() -> int:
    """Run the command line, whose import takes long enough for a Ctrl-C to come; returns the exit code."""
    try:
        from mftpy.cli import main as run
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as missing:
        error = not_installed(missing)
        sys.stderr.write(f"mftpy: {error}\n")
        return error.exit_code
    return run()


if __name__ == "__main__":  # children started with spawn import this module under another name
    sys.exit(main())
