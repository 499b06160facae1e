"""Settings of the embedded exchange."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from mftpy.errors import ConfigError

FLOWS: Final = ("realistic", "model", "recording")


@dataclass(frozen=True)
class ExchangeSettings:
    """What the embedded exchange serves, charges, and draws its market from.

    Attributes
    ----------
    flow : str
        ``realistic``: takers who know something, and others. ``model``: the model's own world. ``recording``: a
        recorded feed.
    seed : int
    instrument : str
    tick_size, lot_size : float or None
        Of `instrument`, in quote currency and coins; None: its own, or the recording's.
    sigma_usd_sqrt_s, A_per_s, k_per_usd : float
        Of the model flow: volatility of the mid; arrivals per second and side; decay of their reach per USD.
    maker_fee_rate, taker_fee_rate : float
        Fraction of index times amount.
    initial_price, initial_cash : float
    recording : tuple of str, or None
        Its files, in their order.
    speed : float
        How many times faster than recorded.
    accounts : int
        So many accounts, each with a key of its own.
    amend_keeps_post_only : bool
        An amended post-only order stays post-only; no source states whether it does.
    funding_dampener_bps : float
        Funding counts what of the premium lies beyond so many basis points of the index.
    most_open_orders : int
        Of one account.
    """

    flow: str = "realistic"
    seed: int = 1
    instrument: str = "BTC-PERPETUAL"
    tick_size: float | None = None
    lot_size: float | None = None
    sigma_usd_sqrt_s: float = 8.0
    A_per_s: float = 0.55
    k_per_usd: float = 0.25
    maker_fee_rate: float = 1e-4
    taker_fee_rate: float = 5e-4
    initial_price: float = 61_700.0
    initial_cash: float = 100_000.0
    recording: tuple[str, ...] | None = None
    speed: float = 1.0
    accounts: int = 2
    amend_keeps_post_only: bool = False
    funding_dampener_bps: float = 0.0
    most_open_orders: int = 1000

    def __post_init__(self) -> None:
        if self.flow not in FLOWS:
            raise ConfigError(f"there is no flow {self.flow!r}; the flows are {', '.join(FLOWS)}")
        if self.flow == "recording" and not self.recording:
            raise ConfigError("the flow recording needs a file: --recording FILE")
        for name in ("A_per_s", "k_per_usd", "initial_price", "initial_cash", "speed"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ConfigError(f"exchange.{name} must be positive, not {value}")

    @property
    def underlying(self) -> str:
        """Name of the index: ``BTCUSD`` for ``BTC-PERPETUAL``."""
        return self.instrument.partition("-")[0] + "USD"
