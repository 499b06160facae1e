"""Positions and money of one account, exact: whole numbers until they are written into a message.

An account has its `cash` and what its positions are worth at the mark, less the funding that has run up. Cash takes
realised profit, fees and funding at once. ``cash - sum of (start_value + funding run up)`` changes by nothing but the
values of trades, fees and funding: over all accounts (the background's too) and the exchange's own fees its sum never
changes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mftpy.sim.contract import Contract
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import MONEY, UNIT, half_even

if TYPE_CHECKING:
    from mftpy.sim.orders import ClientOrder, TradeRecord

KEPT: Final = 20_000
"""Closed orders, and trades, that an account's history holds; the oldest go first."""

INITIAL_PERCENT: Final = 5
MAINTENANCE_PERMILLE: Final = 25


@dataclass(slots=True)
class Position:
    """One account's position in one contract.

    Attributes
    ----------
    lots : int
        Signed.
    start_value : int
        Money: what the position is carried at since the last settlement, or since it was opened. Signed as `lots`.
    cost : int
        Money: what the position was opened for. Settlements leave it.
    funding_entry : int
        The contract's funding when this position's was last realised.
    realised : int
        Money: profit and funding since the last settlement.
    open_lots : dict
        Side -> lots of resting orders.
    """

    lots: int = 0
    start_value: int = 0
    cost: int = 0
    funding_entry: int = 0
    realised: int = 0
    open_lots: dict[int, int] = field(default_factory=lambda: {BUY: 0, SELL: 0})

    def worst_lots(self, side: int = 0, more: int = 0) -> int:
        """Largest size, long or short, when all resting orders of one side fill, with `more` lots on `side`."""
        buys, sells = self.open_lots[BUY], self.open_lots[SELL]
        if side == BUY:
            buys += more
        elif side == SELL:
            sells += more
        return max(self.lots + buys, sells - self.lots)


class Account:
    """One account.

    Parameters
    ----------
    number : str
        ``A000000001``.
    customer : str
        Whose it is: orders of one customer do not trade with each other unless asked to.
    cash : int
        Money.
    """

    def __init__(self, number: str, customer: str, cash: int) -> None:
        self.number = number
        self.customer = customer
        self.cash = cash
        self.fees = 0
        self.positions: dict[str, Position] = {}
        self.orders: dict[str, ClientOrder] = {}
        self.trades: deque[TradeRecord] = deque(maxlen=KEPT)
        self.closed: deque[ClientOrder] = deque(maxlen=KEPT)
        self.contracts: dict[str, Contract] = {}

    def position(self, contract: Contract) -> Position:
        """Return the position in a contract, which may be flat."""
        name = contract.listed.name
        found = self.positions.get(name)
        if found is None:
            self.contracts[name] = contract
            found = self.positions[name] = Position(funding_entry=contract.marking.funding_units)
        return found

    def fill(self, contract: Contract, side: int, price_ticks: int, lots: int, fee: int) -> tuple[int, int]:
        """Apply one fill; returns (profit realised, funding realised), money."""
        position = self.position(contract)
        funding = self.realise_funding(contract, position)
        before, unit = position.lots, price_ticks * contract.listed.money_per_tick_lot
        position.lots = before + side * lots
        self.cash -= fee
        self.fees += fee
        if before * side >= 0:
            value = side * unit * lots
            position.start_value += value
            position.cost += value
            return 0, funding
        closed, carried, opened = abs(before), position.start_value, position.cost
        if lots < closed:
            carried, opened = half_even(carried * lots, closed), half_even(opened * lots, closed)
            closed = lots
        gain = -side * unit * closed - carried
        over = side * unit * (lots - closed)
        position.start_value += over - carried
        position.cost += over - opened
        position.realised += gain
        self.cash += gain
        return gain, funding

    def realise_funding(self, contract: Contract, position: Position) -> int:
        """Pay, or be paid, the funding that has run up; returns it as profit."""
        marking = contract.marking
        if position.funding_entry == marking.funding_units:
            return 0
        profit = -marking.funding_of(position.lots, position.funding_entry)
        position.funding_entry = marking.funding_units
        position.realised += profit
        self.cash += profit
        return profit

    def settle(self, contract: Contract, units: int) -> int:
        """Realise what a position has gained against a price, which it is carried at from now on; returns that gain."""
        position = self.position(contract)
        self.realise_funding(contract, position)
        value = position.lots * contract.listed.lot_units * units
        gain = value - position.start_value
        position.realised += gain
        self.cash += gain
        position.start_value = value
        return gain

    # what it is worth

    def unrealised(self) -> int:
        """Profit of all positions against the mark since settlement, with the funding that has run up; money."""
        total = 0
        for name, position in self.positions.items():
            if position.lots:
                contract = self.contracts[name]
                total += position.lots * contract.listed.lot_units * contract.mark_units - position.start_value
                total -= contract.marking.funding_of(position.lots, position.funding_entry)
        return total

    def equity(self) -> int:
        """Cash and unrealised profit; money."""
        return self.cash + self.unrealised()

    def required(self, contract: Contract | None = None, side: int = 0, more: int = 0) -> int:
        """Initial margin: 5 % of each contract's worst case at the mark; with `more` lots on one side of one."""
        total = 0
        for name, position in self.positions.items():
            one = self.contracts[name]
            worst = position.worst_lots(side, more) if one is contract else position.worst_lots()
            if worst:
                total += worst * one.listed.lot_units * one.mark_units
        return total * INITIAL_PERCENT // 100

    def maintenance(self) -> int:
        """Margin below which positions are liquidated: 2.5 % of their value; money."""
        total = 0
        for name, position in self.positions.items():
            one = self.contracts[name]
            total += abs(position.lots) * one.listed.lot_units * one.mark_units
        return total * MAINTENANCE_PERMILLE // 1000

    # messages

    def portfolio_line(self, contract: Contract) -> dict[str, Any]:
        """Return one line of ``private/portfolio``."""
        position = self.position(contract)
        listed = contract.listed
        said: dict[str, Any] = {
            "instrument_name": listed.name,
            "position": listed.amount(position.lots),
            "mark_price": contract.mark_units / UNIT,
            "index": contract.underlying.index_units / UNIT,
        }
        if position.lots:
            size = position.lots * listed.lot_units
            said["start_price"] = position.start_value / size / UNIT
            said["average_price"] = position.cost / size / UNIT
        funding = contract.marking.funding_of(position.lots, position.funding_entry)
        worth = position.lots * listed.lot_units * contract.mark_units
        said["unrealised_pnl"] = (worth - position.start_value) / MONEY
        said["realised_pnl"] = position.realised / MONEY
        said["entry_value"] = position.start_value / MONEY
        if listed.expiry_s is None:
            said["perpetual_funding_entry_value"] = position.lots * listed.lot_units * position.funding_entry / MONEY
            said["unrealised_perpetual_funding"] = -funding / MONEY
        return said

    def portfolio(self) -> list[dict[str, Any]]:
        """Lines of ``private/portfolio``: none when flat."""
        return [self.portfolio_line(self.contracts[name]) for name, one in self.positions.items() if one.lots]

    def summary(self) -> dict[str, Any]:
        """Content of ``private/account_summary``."""
        unrealised, required = self.unrealised(), self.required()
        margin = self.cash + unrealised
        return {
            "cash": [
                {
                    "currency": "USDT",
                    "balance": self.cash / MONEY,
                    "collateral_factor": 1,
                    "collateral_index_price": None,
                    "transactable": True,
                }
            ],
            "unrealised_pnl": unrealised / MONEY,
            "session_realised_pnl": sum(position.realised for position in self.positions.values()) / MONEY,
            "cash_collateral": self.cash / MONEY,
            "margin": margin / MONEY,
            "required_margin": required / MONEY,
            "remaining_margin": (margin - required) / MONEY,
        }
