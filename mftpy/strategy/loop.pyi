from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mftcore import JournalWriter, SeqlockWriter
from mftpy.links import Links
from mftpy.strategy.decide import Quoter
from mftpy.strategy.estimates import Estimates

class StrategyLoop:
    @property
    def quoter(self) -> Quoter: ...
    @property
    def estimates(self) -> Estimates | None: ...
    @property
    def unstable(self) -> int: ...
    @property
    def journal_refused(self) -> int: ...
    orphaned: bool
    timer_ns: int
    def __init__(
        self,
        links: Links,
        quoter: Quoter,
        estimates: Estimates | None,
        *,
        status: NDArray[np.void],
        status_writer: SeqlockWriter,
        journal: JournalWriter | None = None,
        wait_mode: Literal["park", "yield", "spin"] | str = "park",
    ) -> None: ...
    def attach(self, estimates: Estimates | None) -> None: ...
    def turn(self, now_ns: int) -> bool: ...
    def run(self, until_ns: int) -> None: ...
    @property
    def counts(self) -> dict[str, int]: ...
    def close(self) -> None: ...
