"""What the command line prints and how it reads its arguments; with the modules ``cli``, the only ones that print."""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import re
import sys
from typing import Any, Final, NoReturn

from mftpy.errors import ResourceError

_NEGATIVE: Final = re.compile(r"-\.?\d")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence, and whose options may have negative values such as -5e-2."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._negative_number_matcher = _NEGATIVE  # argparse's own takes -5e-2 for an option

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end with exit code 2."""
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def positive(text: str) -> float:
    """Return a positive, finite number written plainly."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def number(text: str) -> float:
    """Return a finite number written plainly."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def whole(text: str) -> int:
    """Return a whole number from 0 up, written plainly."""
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 up")
    return int(text)


def port(text: str) -> int:
    """Return a TCP port; 0 stands for any free one."""
    value = whole(text)
    if value > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port between 0 and 65535")
    return value


def latency(text: str) -> tuple[float, float]:
    """Return milliseconds and jitter, written as MS or MS,JITTER."""
    found = [float(part) if _NUMBER.fullmatch(part) else math.nan for part in text.split(",")]
    if len(found) > 2 or not all(0 <= value < math.inf for value in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a latency in milliseconds, MS or MS,JITTER")
    return found[0], found[1] if len(found) > 1 else 0.0


def say(text: str, end: str = "\n") -> None:
    """Print a result.

    Raises
    ------
    BrokenPipeError
        Whoever read it is gone.
    ResourceError
        It cannot be written for another reason, such as a full disk.
    """
    try:
        print(text, end=end, flush=True)
    except OSError as error:
        give_up_stdout()
        if isinstance(error, BrokenPipeError):
            raise
        raise ResourceError(f"cannot write to standard output: {error.strerror}") from error


def complain(sentence: str) -> None:
    """Print one sentence to standard error; when that is gone as well, the exit code must do."""
    with contextlib.suppress(OSError):
        print(f"mftpy: {sentence}", file=sys.stderr, flush=True)


def progress(text: str, *, last: bool) -> None:
    """Show how far something long has come, on one line of standard error."""
    with contextlib.suppress(OSError):
        print(f"\r{text}", end="\n" if last else "", file=sys.stderr, flush=True)


def give_up_stdout() -> None:
    """Send to nowhere what is still buffered: the interpreter would fail on it once more at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
