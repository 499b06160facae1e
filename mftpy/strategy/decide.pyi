"""`Quoter`: what should rest, decided from book, account, time and a model called by its address."""

import numpy as np
from numpy.typing import NDArray

class Quoter:
    account_version: int
    transport_ns: int
    mode: int
    command: int
    def __init__(self, parameters: NDArray[np.void], model_address: int, keep_alive: object = None) -> None: ...
    @property
    def account(self) -> NDArray[np.void]: ...
    @property
    def ticker(self) -> NDArray[np.void]: ...
    @property
    def parameters(self) -> NDArray[np.void]: ...
    @property
    def decision(self) -> NDArray[np.void]: ...
    @property
    def target(self) -> NDArray[np.void]: ...
    @property
    def net_mid_ticks(self) -> float: ...
    @property
    def latched(self) -> bool: ...
    def observe_trade(self, trade: NDArray[np.void], now_ns: int) -> None: ...
    def observe_book(
        self,
        bids: NDArray[np.void],
        asks: NDArray[np.void],
        n_bids: int,
        n_asks: int,
        now_ns: int,
        *,
        version: int = 1,
        exchange_time_ns: int = 0,
        receive_ns: int | None = None,
        published_ns: int | None = None,
        state: int = 0,
        writer_alive: bool = True,
    ) -> None: ...
    def decide(self, now_ns: int) -> bool: ...
    @property
    def counts(self) -> dict[str, int]: ...
