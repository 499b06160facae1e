"""What trades do to money and positions: fees, histories, daily settlement, expiry. Pure, and exact."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from mftpy.sim.accounts import Account
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import UNIT, fee_of
from mftpy.sim.orders import ClientOrder, TradeRecord

MAKER: Final = "maker"
TAKER: Final = "taker"
LIQUIDATION: Final = "liquidation"
NORMAL: Final = "normal"


@dataclass(frozen=True, slots=True)
class FeeRates:
    """Fractions of index times size, in units of 1e-8; `liquidation` comes in place of the taker's."""

    maker: int
    taker: int
    liquidation: int = 50 * UNIT // 10_000


class Clearing:
    """Books every trade on two accounts; the background's orders are those of the `house`.

    Attributes
    ----------
    accounts : dict of str to Account
        The clients', by number.
    house : Account
        Other side of whatever the background trades; pays no fees, and bears what a bankrupt account cannot pay.
    fees : int
        Money: what the exchange has collected.
    records : list of (Account, TradeRecord)
        New lines of the trade histories, until the feeds take them.
    moved : set of (Account, Contract)
        Positions that have changed, likewise.
    """

    def __init__(self, clock: Clock, accounts: Iterable[Account], rates: FeeRates) -> None:
        self.clock = clock
        self.accounts = {account.number: account for account in accounts}
        self.house = Account("house", "house", 0)
        self.fees = 0
        self.records: list[tuple[Account, TradeRecord]] = []
        self.moved: set[tuple[Account, Contract]] = set()
        self._rates = {MAKER: rates.maker, TAKER: rates.taker, LIQUIDATION: rates.liquidation}
        self._sequence = 0
        self._next_trade = 0x182EF416616CF971

    def trade(
        self,
        contract: Contract,
        price_ticks: int,
        lots: int,
        taker_side: int,
        taker: ClientOrder | None,
        maker: ClientOrder | None,
    ) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Book one trade; None stands for the background. Returns the fills of taker and maker."""
        now_s = self.clock.unix_s
        contract.trade(price_ticks, lots, taker_side, now_s)
        if taker is None and maker is None:
            return None, None
        self._next_trade += 1
        trade_id = f"{self._next_trade:032X}"
        return (
            self._book(contract, taker_side, price_ticks, lots, taker, TAKER, trade_id, now_s),
            self._book(contract, -taker_side, price_ticks, lots, maker, MAKER, trade_id, now_s),
        )

    def _book(
        self,
        contract: Contract,
        side: int,
        price_ticks: int,
        lots: int,
        order: ClientOrder | None,
        role: str,
        trade_id: str,
        now_s: float,
    ) -> dict[str, Any] | None:
        if order is None:
            self.house.fill(contract, side, price_ticks, lots, 0)
            return None
        account, listed = order.account, contract.listed
        kind, rate = NORMAL, self._rates[role]
        if order.insert_reason == LIQUIDATION:
            kind, rate = LIQUIDATION, self._rates[LIQUIDATION]
        index = contract.underlying.index_units
        fee = fee_of(index, rate, lots * listed.lot_units)
        gain, funding = account.fill(contract, side, price_ticks, lots, fee)
        self.fees += fee
        order.filled_lots += lots
        price_units = price_ticks * listed.tick_units
        fill = {
            "trade_id": trade_id,
            "price": price_units / UNIT,
            "amount": lots * listed.lot_units / UNIT,
            "time": now_s,
            "maker_taker": role,
            "leg_index": 0,
        }
        order.fills.append(fill)
        position = order.position
        self._sequence += 1
        record = TradeRecord(
            self._sequence,
            kind,
            trade_id,
            order,
            contract,
            side,
            price_units,
            lots,
            role,
            now_s,
            position.lots,
            position.realised,
            gain,
            funding,
            fee,
            index,
            rate / UNIT,
            contract.marking.funding_units,
        )
        self._note(account, record)
        return fill

    def _note(self, account: Account, record: TradeRecord) -> None:
        account.trades.append(record)
        self.records.append((account, record))
        self.moved.add((account, record.contract))

    def open_interest_lots(self, contract: Contract) -> int:
        """Lots held long by anybody."""
        return sum(max(account.position(contract).lots, 0) for account in (*self.accounts.values(), self.house))

    def settle(self, contracts: Iterable[Contract]) -> None:
        """Settle all positions at the mark, as every day at 08:00 UTC: profit becomes cash, sessions begin anew."""
        for contract in contracts:
            contract.underlying.previous_settlement_units = contract.underlying.index_units
            for account in (*self.accounts.values(), self.house):
                account.settle(contract, contract.mark_units)
                if account.position(contract).lots:
                    self.moved.add((account, contract))
        for account in (*self.accounts.values(), self.house):
            for position in account.positions.values():
                position.realised = 0  # also of contracts that have expired since

    def expire(self, contract: Contract, price_units: int) -> None:
        """Close all positions of a contract at its settlement price."""
        for account in (*self.accounts.values(), self.house):
            position = account.position(contract)
            gain = account.settle(contract, price_units)
            lots, position.lots, position.start_value, position.cost = position.lots, 0, 0, 0
            if lots and account is not self.house:
                self._next_trade += 1
                side = SELL if lots > 0 else BUY
                trade_id = f"{self._next_trade:032X}"
                self._sequence += 1
                record = TradeRecord(
                    self._sequence,
                    "expiration",
                    trade_id,
                    None,
                    contract,
                    side,
                    price_units,
                    abs(lots),
                    None,
                    self.clock.unix_s,
                    0,
                    position.realised,
                    gain,
                    0,
                    0,
                    contract.underlying.index_units,
                    0.0,
                    contract.marking.funding_units,
                )
                self._note(account, record)

    def cover(self, account: Account) -> int:
        """Let the house pay what a flat account owes and does not have; returns the money."""
        if account.cash >= 0 or any(position.lots for position in account.positions.values()):
            return 0
        missing, account.cash = -account.cash, 0
        self.house.cash -= missing
        return missing
