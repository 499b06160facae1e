"""``python -m mftcore journal PATH``: print a journal's records and check them."""

import argparse
from typing import Any


def add_parser(subparsers: Any) -> None:
    """Add the command ``journal``."""
    parser: argparse.ArgumentParser = subparsers.add_parser("journal", help="print and verify a journal")
    parser.add_argument("path", metavar="PATH", help="the journal's directory")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print and verify."""
    raise NotImplementedError(arguments.path)
