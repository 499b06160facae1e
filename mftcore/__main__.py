"""``python -m mftcore COMMAND``: look at what the structures leave in memory and on disk.

Each command is a module with ``add_parser(subparsers)``: it adds its parser and sets ``run``, a function of the parsed
arguments that returns the exit status: 0 fine, 2 usage, 3 input that is damaged or cannot be read.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from mftcore import tools_journal, tools_memory
from mftcore.errors import MftError
from mftcore.version import __version__

COMMANDS: Final[tuple[Any, ...]] = (tools_memory, tools_journal)
"""Modules with a command each; one line here makes a new one known."""

UNREADABLE: Final = 3


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    main_parser = argparse.ArgumentParser(
        prog="python -m mftcore", description="Shared memory and journals, looked at."
    )
    main_parser.add_argument("--version", action="version", version=f"mftcore {__version__}")
    subparsers = main_parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return main_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors of ours are one line, a closed pipe is the end of it."""
    chosen = parser().parse_args(arguments)
    try:
        status: int = chosen.run(chosen)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read us has seen enough; the interpreter must not flush into it once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except MftError as error:
        print(f"mftcore {chosen.command}: {error}", file=sys.stderr)
        return UNREADABLE
    return status


if __name__ == "__main__":
    sys.exit(main())
