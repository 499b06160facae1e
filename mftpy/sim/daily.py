"""What happens by the clock: marks and funding every second, margins, the daily settlement, expiries."""

from __future__ import annotations

from typing import Any, Final

from mftpy.sim.contract import Contract
from mftpy.sim.feeds import Feeds
from mftpy.sim.instrument import next_settlement
from mftpy.sim.marking import EXPIRY_WINDOW_S
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT
from mftpy.sim.trading import Trading

SECOND_NS: Final = 1_000_000_000


class Daily:
    """Runs once per whole second of exchange time.

    Attributes
    ----------
    expired : list of dict
        Instruments that cannot be traded any more, as ``public/all_instruments`` lists them.
    """

    def __init__(self, trading: Trading, feeds: Feeds) -> None:
        self._trading = trading
        self._feeds = feeds
        self.expired: list[dict[str, Any]] = []
        clock = trading.clock
        self._offset_ns = clock.offset_ns  # of the right time: settlement does not move when stamps do
        self._due_ns = clock.now_ns + SECOND_NS - (clock.now_ns + clock.offset_ns) % SECOND_NS
        self._settlement_s = next_settlement(clock.unix_s)

    def next_due_ns(self) -> int:
        """Return when the next second begins."""
        return self._due_ns

    def second(self) -> None:
        """Do what the second that begins now asks for."""
        now_s = (self._due_ns + self._offset_ns) // SECOND_NS
        self._due_ns += SECOND_NS
        trading = self._trading
        contracts = list(trading.contracts.values())
        expiries = {one.underlying: one.listed.expiry_s for one in contracts if one.listed.expiry_s is not None}
        for underlying in {contract.underlying: None for contract in contracts}:
            expiry = expiries.get(underlying)
            underlying.second(in_window=expiry is not None and expiry - EXPIRY_WINDOW_S <= now_s <= expiry)
        for contract in contracts:
            contract.marking.second(contract.book.best(BUY), contract.book.best(SELL))
        trading.check_margins()
        if now_s >= self._settlement_s:
            self._settlement_s += 86_400
            trading.clearing.settle(contracts)
        for contract in contracts:
            if contract.listed.expiry_s is not None and now_s >= contract.listed.expiry_s:
                self._expire(contract)

    def _expire(self, contract: Contract) -> None:
        trading = self._trading
        trading.cancel_where("instrument_deactivated", contract=contract)
        price_units = contract.underlying.expiry_units
        trading.clearing.expire(contract, price_units)
        del trading.contracts[contract.listed.name]
        said = contract.listed.listing
        price = price_units / UNIT
        self.expired.append({**said, "settlement_price": price, "settlement_index_price": price})
        self._feeds.listed([{"removed": said}])
