"""Insert, amend, cancel: the rules of section 6 around the order books. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mftpy.sim.accounts import Account
from mftpy.sim.clearing import LIQUIDATION, Clearing
from mftpy.sim.contract import Contract
from mftpy.sim.matching import Match, Resting
from mftpy.sim.money import MONEY
from mftpy.sim.orders import ClientOrder
from mftpy.sim.protocol import (
    COLLAR_BREACH,
    DUPLICATE_ORDER_ID,
    INSUFFICIENT_MARGIN,
    INVALID_REQUEST,
    ORDER_NOT_FOUND,
    REDUCE_ONLY,
    TOO_LARGE_IN_ALL,
    TOO_MANY_ORDERS,
    Refusal,
)
from mftpy.sim.requests import GTC, IOC, LIMIT, MARKET, Amend, Insert
from mftpy.sim.sessions import Session

FIRST_ORDER: Final = 0x001F24B700000001


@dataclass(frozen=True, slots=True)
class Rules:
    """What is the exchange's choice, or what no source states.

    Attributes
    ----------
    amend_keeps_post_only : bool
        An amended post-only order is moved behind the opposite best in place of taking.
    stp_override : bool
        Orders may choose a weaker self-trade prevention than their customer's.
    most_open_orders : int
        Of one account.
    most_side_value : int
        Money: resting orders of one account on one side of one underlying, at the mark.
    """

    amend_keeps_post_only: bool = False
    stp_override: bool = True
    most_open_orders: int = 1000
    most_side_value: int = 50_000_000 * MONEY


class Told(NamedTuple):
    """One update of an order that subscribers must hear."""

    order: ClientOrder
    message: dict[str, Any]


class Trading:
    """All contracts' order books, and the clients' orders in them.

    Attributes
    ----------
    contracts : dict of str to Contract
        What can be traded now.
    orders : dict of str to ClientOrder
        Live ones, by order id.
    told : list of Told
        Updates since the feeds last took them, in the order in which they happened.
    """

    def __init__(self, clearing: Clearing, contracts: Iterable[Contract], rules: Rules) -> None:
        self.clearing = clearing
        self.clock = clearing.clock
        self.contracts = {contract.listed.name: contract for contract in contracts}
        self.rules = rules
        self.orders: dict[str, ClientOrder] = {}
        self.told: list[Told] = []
        self._next_order = FIRST_ORDER
        self._reducing: set[ClientOrder] = set()

    # what clients ask

    def insert(self, session: Session, asked: Insert) -> dict[str, Any]:
        """``private/insert``: returns the order object."""
        assert session.account is not None
        if asked.client_order_id is not None and asked.client_order_id in session.client_ids:
            raise Refusal(DUPLICATE_ORDER_ID, "duplicate order id")
        order = self._new_order(session.account, session, asked)
        if not self.rules.stp_override:
            order.stp_level = "customer"
        if order.reduce_only:
            order.total_lots = min(order.total_lots, self._room(order))
            if order.total_lots <= 0:
                raise Refusal(REDUCE_ONLY, "a reduce-only order would increase the position")
        limit = self._bounded(order, order.price_ticks, asked.collar)
        if order.price_ticks is not None:
            order.price_ticks = limit
        self._check_limits(order, order.total_lots)
        if order.post_only and not self._stand_behind(order):
            return self._end(order, "insert", "immediate_cancel")
        return self._execute(order, "insert", limit if order.price_ticks is None else order.price_ticks)

    def amend(self, order: ClientOrder, asked: Amend) -> dict[str, Any]:
        """``private/amend``: the size is the new total; at or below what is filled it deletes."""
        if asked.lots <= order.filled_lots:
            return self._end(order, "amend", "client_cancel")
        lots, price_ticks = asked.lots, asked.price_ticks
        assert order.resting is not None
        if order.reduce_only:
            lots = min(lots, order.filled_lots + self._room(order))
            if lots <= order.filled_lots:
                raise Refusal(REDUCE_ONLY, "a reduce-only order would increase the position")
        price_ticks = self._bounded(order, price_ticks, asked.collar)
        assert price_ticks is not None
        if lots > order.total_lots:
            self._check_limits(order, lots - order.total_lots)
        if price_ticks == order.price_ticks and lots <= order.total_lots:
            order.total_lots = lots
            self._shrink(order)
            return self._tell(order, "amend", [])
        self._take_away(order)
        order.price_ticks, order.total_lots = price_ticks, lots
        if order.post_only and self.rules.amend_keeps_post_only and not self._stand_behind(order):
            return self._end(order, "amend", "immediate_cancel")
        return self._execute(order, "amend", order.price_ticks)

    def cancel(self, order: ClientOrder) -> dict[str, Any]:
        """``private/cancel``: returns the order object."""
        return self._end(order, "cancel", "client_cancel")

    def cancel_where(
        self,
        reason: str,
        *,
        account: Account | None = None,
        session: Session | None = None,
        contract: Contract | None = None,
    ) -> int:
        """Cancel all orders of an account or a contract, or the non-persistent ones of a session; returns how many."""
        chosen = [
            order
            for order in (self.orders if account is None else account.orders).values()
            if (session is None or (order.session is session and not order.persistent))
            and (contract is None or order.contract is contract)
        ]
        for order in chosen:
            self._end(order, "cancel", reason)
        return len(chosen)

    def find(self, session: Session, order_id: str | None, client_order_id: int | None) -> ClientOrder:
        """Return a live order of this account by id, or of this session by the client's own number."""
        if (order_id is None) == (client_order_id is None):
            raise Refusal(INVALID_REQUEST, "exactly one of order_id and client_order_id is needed")
        found: ClientOrder | None
        if order_id is not None:
            found = None if session.account is None else session.account.orders.get(order_id)
        else:
            found = session.client_ids.get(client_order_id or 0)
        if found is None:
            raise Refusal(ORDER_NOT_FOUND, "order not found")
        return found

    # what the market does

    def client_orders(self, contract: Contract, side: int) -> list[ClientOrder]:
        """Client orders that rest on a side, best first, at a price the earlier first."""
        mine = [
            (-side * order.resting.price_ticks, order.resting.turn, order)
            for order in self.orders.values()
            if order.side == side and order.contract is contract and order.resting is not None
        ]
        mine.sort(key=lambda item: item[:2])
        return [order for _, _, order in mine]

    def fill(self, order: ClientOrder, lots: int) -> None:
        """Fill a resting client order at its price by the background, whatever stands before it."""
        assert order.resting is not None
        match = Match(order.resting, order.resting.price_ticks, lots)
        order.contract.book.apply([match])
        self._meet(order.contract, match, -order.side, None)
        self._shrink_reducing()

    def take(self, contract: Contract, side: int, limit_ticks: int | None, lots: int) -> int:
        """Let a taker of the background meet whatever rests; returns the lots that have traded."""
        plan = contract.book.plan(side, limit_ticks, lots, _anything)
        contract.book.apply(plan)
        done = 0
        for match in plan:
            self._meet(contract, match, side, None)
            done += match.lots
        self._shrink_reducing()
        return done

    # what the exchange does by itself

    def check_margins(self) -> None:
        """Cancel the orders, then close the positions of accounts whose equity does not cover their margin."""
        for account in self.clearing.accounts.values():
            if not account.orders and not any(position.lots for position in account.positions.values()):
                self.clearing.cover(account)  # its last position may have been closed, or have expired, at a loss
                continue
            equity = account.equity()
            if equity < account.required() and account.orders:
                self.cancel_where("margin_breach", account=account)
            if equity < account.maintenance():
                self._liquidate(account)

    def _liquidate(self, account: Account) -> None:
        for name, position in list(account.positions.items()):
            contract = account.contracts[name]
            side = -1 if position.lots > 0 else 1
            if position.lots and name in self.contracts:
                asked = Insert(contract, side, None, abs(position.lots), IOC, collar="clamp", stp_level="disabled")
                order = self._new_order(account, None, asked)
                order.insert_reason = LIQUIDATION
                self._execute(order, "insert", self._bounded(order, None, "clamp"))
        self.clearing.cover(account)

    # inside

    def _new_order(self, account: Account, session: Session | None, asked: Insert) -> ClientOrder:
        order = ClientOrder(
            f"{self._next_order:016X}",
            account,
            session,
            account.position(asked.contract),
            asked.contract,
            asked.side,
            asked.price_ticks,
            asked.lots,
            MARKET if asked.price_ticks is None else LIMIT,
            asked.time_in_force,
            asked.client_order_id,
            asked.label,
            self.clock.unix_s,
            session is None or session.persistent,
            asked.post_only,
            asked.reject_post_only,
            asked.reduce_only,
            asked.stp_level,
            asked.stp_whole,
        )
        self._next_order += 1
        return order

    def _room(self, order: ClientOrder) -> int:
        """Lots by which an order may reduce its account's position."""
        return -order.side * order.position.lots

    @staticmethod
    def _bounded(order: ClientOrder, price_ticks: int | None, collar: str) -> int | None:
        """Return the limit with the collar applied; a market order's is infinite."""
        if collar == "ignore":
            return price_ticks
        contract, side = order.contract, order.side
        bound = contract.collar_high_ticks if side > 0 else contract.collar_low_ticks
        if price_ticks is not None and side * (price_ticks - bound) <= 0:
            return price_ticks
        if collar == "clamp":
            return bound
        raise Refusal(COLLAR_BREACH, "price collar breach")

    def _check_limits(self, order: ClientOrder, more: int) -> None:
        account, contract, side = order.account, order.contract, order.side
        if order.resting is None and len(account.orders) >= self.rules.most_open_orders:
            raise Refusal(TOO_MANY_ORDERS, "too many open orders")
        value = more * contract.listed.lot_units * contract.mark_units
        for name, position in account.positions.items():
            lots, other = position.open_lots[side], account.contracts[name]
            if lots and other.underlying is contract.underlying:
                value += lots * other.listed.lot_units * other.mark_units
        if value > self.rules.most_side_value:
            raise Refusal(TOO_LARGE_IN_ALL, "total order size too large")
        position = order.position
        grows = position.worst_lots(side, more) > position.worst_lots()
        if grows and account.required(contract, side, more) > account.equity():
            raise Refusal(INSUFFICIENT_MARGIN, "insufficient margin")

    @staticmethod
    def _stand_behind(order: ClientOrder) -> bool:
        """Move a post-only order that would take one tick behind the opposite best; False when it must go instead."""
        assert order.price_ticks is not None
        book = order.contract.book
        if not book.crosses(order.side, order.price_ticks):
            return True
        opposite = book.best(-order.side)
        assert opposite is not None
        behind = opposite - order.side
        if order.reject_post_only or behind <= 0:
            return False
        order.price_ticks = behind
        return True

    def _execute(self, order: ClientOrder, change: str, limit_ticks: int | None) -> dict[str, Any]:
        """Match an order that does not rest yet, then let it rest or end."""
        blocked = False

        def keep(item: Resting) -> bool:
            nonlocal blocked
            blocked = item.owner is not None and _is_own(order, item.owner)
            return not blocked

        self._open(order)
        contract = order.contract
        plan = contract.book.plan(order.side, limit_ticks, order.open_lots, keep)
        fills: list[dict[str, Any]] = []
        if not (blocked and order.stp_whole):
            contract.book.apply(plan)
            for match in plan:
                fill = self._meet(contract, match, order.side, order)
                assert fill is not None
                fills.append(fill)
        if order.open_lots == 0:
            said = self._end(order, change, "filled", fills)
        elif blocked:
            said = self._end(order, change, "self_trade_prevention", fills)
        elif order.time_in_force != GTC:
            said = self._end(order, change, "immediate_cancel", fills)
        else:
            assert order.price_ticks is not None
            order.resting = Resting(order.side, order.price_ticks, order.open_lots, order)
            contract.book.add(order.resting)
            order.position.open_lots[order.side] += order.open_lots
            if order.reduce_only:
                self._reducing.add(order)
            said = self._tell(order, change, fills)
        if fills:
            self._shrink_reducing()
        return said

    def _open(self, order: ClientOrder) -> None:
        self.orders[order.order_id] = order
        order.account.orders[order.order_id] = order
        if order.client_order_id is not None:
            order.session.client_ids[order.client_order_id] = order

    def _meet(self, contract: Contract, match: Match, side: int, taker: ClientOrder | None) -> dict[str, Any] | None:
        """Book one match that has left the order book; returns the taker's fill."""
        maker: ClientOrder | None = match.maker.owner
        if maker is not None:
            maker.position.open_lots[maker.side] -= match.lots
        took, made = self.clearing.trade(contract, match.price_ticks, match.lots, side, taker, maker)
        if maker is not None and made is not None:
            if maker.open_lots == 0:
                maker.resting = None
                self._end(maker, "fill", "filled", [made])
            else:
                self._tell(maker, "fill", [made])
        return took

    def _take_away(self, order: ClientOrder) -> None:
        """Take what rests of an order out of the book."""
        if order.resting is not None:
            order.contract.book.remove(order.resting)
            order.position.open_lots[order.side] -= order.resting.lots
            order.resting = None

    def _shrink(self, order: ClientOrder) -> None:
        """Bring what rests down to what may still trade."""
        assert order.resting is not None
        less = order.resting.lots - order.open_lots
        order.position.open_lots[order.side] -= less
        order.contract.book.resize(order.resting, order.open_lots)

    def _shrink_reducing(self) -> None:
        """Cut reduce-only orders to the positions that are left; each on its own, and only between two operations."""
        if not self._reducing:
            return
        for order in sorted(self._reducing, key=lambda one: one.order_id):
            room = self._room(order)
            if room <= 0:
                self._end(order, "cancel", "immediate_cancel")
            elif room < order.open_lots:
                order.total_lots = order.filled_lots + room
                self._shrink(order)
                self._tell(order, "amend", [])

    def _end(
        self, order: ClientOrder, change: str, reason: str, fills: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        self._take_away(order)
        order.delete_reason, order.close_time = reason, self.clock.unix_s
        self.orders.pop(order.order_id, None)
        order.account.orders.pop(order.order_id, None)
        self._reducing.discard(order)
        if order.client_order_id is not None and order.session.client_ids.get(order.client_order_id) is order:
            del order.session.client_ids[order.client_order_id]
        if order.filled_lots or order.persistent or not reason.startswith("client_"):
            order.account.closed.append(order)  # else a non-persistent one that its client cancelled: not recorded
        return self._tell(order, change, fills or [])

    def _tell(self, order: ClientOrder, change: str, fills: list[dict[str, Any]]) -> dict[str, Any]:
        said = order.message(change, fills)
        self.told.append(Told(order, said))
        return said


def _anything(_: Resting) -> bool:
    return True


def _is_own(order: ClientOrder, other: ClientOrder) -> bool:
    """Whether self-trade prevention keeps these two apart."""
    if order.stp_level == "disabled":
        return False
    if order.stp_level == "account":
        return other.account is order.account
    return other.account.customer == order.account.customer
