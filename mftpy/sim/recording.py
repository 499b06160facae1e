"""A recorded market: one or several files of `recording_format`'s lines, played one after another as one feed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Final

from mftpy.errors import InputFileError
from mftpy.sim.money import UNIT
from mftpy.sim.recording_file import Depth, Print, RecordedFile, Steps, Top
from mftpy.sim.recording_format import Kind
from mftpy.sim.recording_sync import Join, Synchroniser

__all__ = ["CONTRACT_LOTS", "Depth", "Join", "Print", "Recording", "Top"]

CONTRACT_LOTS: Final = 100
"""The lot found for COIN-M is the largest power of ten of which a contract holds at least so many."""


class Recording:
    """One recording, of one file or of several in their order.

    Parameters
    ----------
    paths : str or sequence of str
        Gzip files; each goes on where the one before ended, by update ids or from a snapshot of its own.
    tick_size, lot_size : float or None
        None: found from the first lines of each file, as the greatest common divisor of their prices and sizes; for
        COIN-M, whose sizes are contracts, the lot is found from the first snapshot's best price.

    Attributes
    ----------
    kind : Kind
    symbol : str
        In small letters, as in the names of streams.
    tick_units, lot_units : int
        In units of 1e-8 quote currency and coins.
    joins : list of Join
        How the files that have been reached so far go on from those before; grows while the recording is played.

    Raises
    ------
    InputFileError
        A file is missing, empty, damaged, of another kind or symbol than the first, earlier than the one before, or
        not on the given steps; the first has no snapshot. One sentence that names file and line.
    """

    def __init__(
        self, paths: str | Sequence[str], tick_size: float | None = None, lot_size: float | None = None
    ) -> None:
        names = (paths,) if isinstance(paths, str) else tuple(paths)
        if not names:
            raise InputFileError("a recording needs a file: --recording FILE")
        tick_units, lot_units = _step("--tick", tick_size), _step("--lot", lot_size)
        self._files = [RecordedFile(name, needs_snapshot=number == 0) for number, name in enumerate(names)]
        first = self._files[0]
        self.kind, self.symbol = first.kind, first.symbol
        for before, file in zip(self._files, self._files[1:], strict=False):
            _check_order(before, file, first)
        self.tick_units = tick_units or math.gcd(*(file.price_divisor for file in self._files))
        self.lot_units = lot_units or self._find_lot()
        if not self.tick_units or not self.lot_units:
            raise InputFileError(f"{first.path}: its first lines hold no price and size to find the steps from")
        self._steps = Steps(self.tick_units, self.lot_units)
        self.joins: list[Join] = []

    @property
    def tick_size(self) -> Fraction:
        """Quote currency per tick."""
        return Fraction(self.tick_units, UNIT)

    @property
    def lot_size(self) -> Fraction:
        """Coins per lot."""
        return Fraction(self.lot_units, UNIT)

    @property
    def passed_over(self) -> Counter[str]:
        """Lines read last that no book is made of, by what they are."""
        return sum((file.passed_over for file in self._files), Counter())

    def events(self) -> Iterator[Depth | Top | Print]:
        """Yield what the files hold, in their order; lines of other streams are passed over."""
        for file in self._files:
            yield from file.events(self._steps)

    def synchronised(self) -> Iterator[Depth | Top | Print]:
        """Yield the snapshot first, then all depth updates that it does not contain, and everything after it.

        See `recording_sync` for how it is told that nothing is missing. In files after the first the local timestamps
        are moved back by what is left out of the silence between files (`Join`).
        """
        self.joins.clear()
        joining = Synchroniser(self.joins)
        for file in self._files:
            yield from joining.play(file, self._steps)

    def _find_lot(self) -> int:
        if self.kind is not Kind.COIN_M:
            return math.gcd(*(file.size_divisor for file in self._files))
        first = self._files[0]
        if not first.best_units:
            return 0
        coin_units = first.contract_usd * UNIT * UNIT // first.best_units
        return int(10 ** (len(str(coin_units // CONTRACT_LOTS)) - 1)) if coin_units >= CONTRACT_LOTS else 1


def _check_order(before: RecordedFile, file: RecordedFile, first: RecordedFile) -> None:
    if (file.kind, file.symbol) != (first.kind, first.symbol):
        raise InputFileError(
            f"{file.path}: holds {file.kind} streams of {file.symbol}, but {first.path} holds {first.kind} streams of "
            f"{first.symbol}; give files of one market"
        )
    if file.begin_ns < before.begin_ns:
        raise InputFileError(
            f"{file.path}: begins earlier than {before.path}, which was named before it; give the files in the order "
            "of their time"
        )


def _step(flag: str, size: float | None) -> int:
    """Return a step in units of 1e-8; 0 when it is to be found."""
    if size is None:
        return 0
    exact = Fraction(repr(size)) * UNIT
    if exact < 1 or exact.denominator != 1:
        raise InputFileError(f"{flag} {size:g} is not a whole number of 1e-8, the finest step of such a recording")
    return int(exact)
