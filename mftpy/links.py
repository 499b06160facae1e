"""Every shared structure of one run: created by the supervisor, handed to the processes as an argument."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from mftcore import Doorbell, Histogram, MemoryRefused, Seqlock, SeqlockBook, SpscRing
from mftpy import records
from mftpy.errors import ResourceError

PROCESSES: Final = ("market_data", "strategy", "execution")
BOOK_LEVELS: Final = 50
TRADES_CAPACITY: Final = 16_384
FILLS_CAPACITY: Final = 16_384


@dataclass(frozen=True)
class Instrument:
    """What the exchange says of the instrument that is quoted.

    Attributes
    ----------
    name : str
    tick_size : float
        Quote currency per tick.
    lot_size : float
        Coins per lot: the exchange's `volume_tick_size`.
    min_order_lots : int
        Smallest order that the exchange takes.
    underlying : str
        Names its index, such as ``BTCUSD``.
    """

    name: str
    tick_size: float
    lot_size: float
    min_order_lots: int
    underlying: str


@dataclass(frozen=True)
class Links:
    """The structures between the processes; each has one writer, named here.

    Attributes
    ----------
    control : Seqlock
        Supervisor: run, stop quoting, exit.
    market_data, strategy, execution : Seqlock
        Each process: its own `records.STATUS`.
    book : SeqlockBook
        Market data: best levels.
    trades : SpscRing
        Market data to strategy: public trades.
    ticker : Seqlock
        Market data: mark and index.
    target : Seqlock
        Strategy: what should rest.
    estimates : Seqlock
        Strategy: sigma, A and k.
    account : Seqlock
        Execution: position, money, own orders.
    fills : SpscRing
        Execution to supervisor: fills for the view.
    latency : Histogram
        Execution: recv-to-send in ns.
    market_data_bell, strategy_bell, execution_bell : Doorbell
        Wakes that process.
    """

    instrument: Instrument
    control: Seqlock
    market_data: Seqlock
    strategy: Seqlock
    execution: Seqlock
    book: SeqlockBook
    trades: SpscRing
    ticker: Seqlock
    target: Seqlock
    estimates: Seqlock
    account: Seqlock
    fills: SpscRing
    latency: Histogram
    market_data_bell: Doorbell
    strategy_bell: Doorbell
    execution_bell: Doorbell

    @classmethod
    def create(cls, instrument: Instrument) -> Links:
        """Create all structures in anonymous memory.

        Raises
        ------
        ResourceError
            The machine has not the memory for them.
        """
        try:
            return cls(
                instrument=instrument,
                control=Seqlock.create(records.CONTROL),
                market_data=Seqlock.create(records.STATUS),
                strategy=Seqlock.create(records.STATUS),
                execution=Seqlock.create(records.STATUS),
                book=SeqlockBook.create(instrument.name, instrument.tick_size, instrument.lot_size, levels=BOOK_LEVELS),
                trades=SpscRing.create(records.TRADE, TRADES_CAPACITY),
                ticker=Seqlock.create(records.TICKER),
                target=Seqlock.create(records.TARGET),
                estimates=Seqlock.create(records.ESTIMATES),
                account=Seqlock.create(records.ACCOUNT),
                fills=SpscRing.create(records.FILL, FILLS_CAPACITY),
                latency=Histogram.create(),
                market_data_bell=Doorbell.create(),
                strategy_bell=Doorbell.create(),
                execution_bell=Doorbell.create(),
            )
        except MemoryRefused as error:
            raise ResourceError(f"there is no room for the shared memory of this run: {error}") from error

    def ring_all(self) -> None:
        """Wake every process."""
        for bell in (self.market_data_bell, self.strategy_bell, self.execution_bell):
            bell.ring()

    def close(self) -> None:
        """Unmap everything; the memory is gone when the last process has done so."""
        for field in fields(self):
            if field.name != "instrument":
                getattr(self, field.name).close()
