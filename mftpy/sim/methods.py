"""Every method of the protocol that is served, by name; everything else is code 31."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mftpy.sim import history
from mftpy.sim.accounts import Account
from mftpy.sim.daily import Daily
from mftpy.sim.feeds import Feeds
from mftpy.sim.keys import Keys
from mftpy.sim.orders import ClientOrder
from mftpy.sim.protocol import (
    AUTHENTICATION_FAILED,
    INVALID_REQUEST,
    INVALID_STATE,
    NO_MASS_QUOTES,
    NOT_LOGGED_IN,
    PERSISTENT_SESSION,
    UNKNOWN_INSTRUMENT,
    UNKNOWN_METHOD,
    Refusal,
    number_of,
    text_of,
)
from mftpy.sim.requests import client_order_id_of, contract_of, given, read_amend, read_insert
from mftpy.sim.sessions import Session
from mftpy.sim.trading import Trading

LONGEST_TIMEOUT_S: Final = 86_400
BOOK_LEVELS: Final = 5

Params = dict[str, Any]


class Methods:
    """Finds and calls what a request asks for."""

    def __init__(self, trading: Trading, feeds: Feeds, daily: Daily, keys: Keys, banners: list[dict[str, Any]]) -> None:
        self._trading = trading
        self._feeds = feeds
        self._daily = daily
        self._keys = keys
        self._banners = banners
        self._public: dict[str, Callable[[Params], Any]] = {
            "public/system_info": self._system_info,
            "public/instruments": self._instruments,
            "public/all_instruments": self._all_instruments,
            "public/instrument": self._instrument,
            "public/ticker": self._ticker,
            "public/index": self._index,
            "public/book": self._book,
        }
        self._matching: dict[str, Callable[[Session, Params], Any]] = {
            "private/insert": lambda session, params: self._insert(session, params, None),
            "private/buy": lambda session, params: self._insert(session, params, "buy"),
            "private/sell": lambda session, params: self._insert(session, params, "sell"),
            "private/amend": self._amend,
        }
        self._cancelling: dict[str, Callable[[Session, Params], Any]] = {
            "private/cancel": lambda session, params: trading.cancel(self._order(session, params)),
            "private/cancel_all": lambda session, _: trading.cancel_where(
                "client_bulk_cancel", account=_account(session)
            ),
            "private/cancel_session": self._cancel_session,
        }
        self._private: dict[str, Callable[[Session, Params], Any]] = {
            "private/set_cancel_on_disconnect": self._set_cancel_on_disconnect,
            "private/open_orders": lambda session, _: [one.existing() for one in _account(session).orders.values()],
            "private/portfolio": lambda session, _: _account(session).portfolio(),
            "private/account_summary": lambda session, _: _account(session).summary(),
            "private/trade_history": lambda session, params: history.trade_history(_account(session), params),
            "private/order_history": lambda session, params: history.order_history(_account(session), params),
            "private/mass_quote": _no_mass_quotes,
            "private/set_mm_protection": _no_mass_quotes,
            "private/cancel_mass_quote": _no_mass_quotes,
        }

    def call(self, session: Session, method: str, params: Params, snapshots: list[bytes]) -> Any:
        """Return the result of a request; raises `Refusal`. What a new subscription shows at once goes to snapshots."""
        if method in self._public:
            return self._public[method](params)
        if method == "public/login":
            return self._login(session, params)
        if method == "public/subscribe":
            return self._subscribe(session, params, snapshots, private=False)
        if method in ("unsubscribe", "public/unsubscribe", "private/unsubscribe"):
            return [name for name in _channels(params) if self._feeds.unsubscribe(session, name)]
        if not method.startswith("private/"):
            raise _unknown(method)
        if session.account is None:
            raise Refusal(NOT_LOGGED_IN, "not logged in")
        now_ns = self._trading.clock.now_ns
        if method in self._matching:
            session.matching.take(now_ns)
            return self._matching[method](session, params)
        if method in self._cancelling:
            session.cancels.take(now_ns)
            return self._cancelling[method](session, params)
        if method == "private/subscribe":
            return self._subscribe(session, params, snapshots, private=True)
        if method not in self._private:
            raise _unknown(method)
        return self._private[method](session, params)

    # session

    def _login(self, session: Session, params: Params) -> dict[str, Any]:
        params = given(params)
        account = self._keys.check(text_of(params, "token"), self._trading.clock.unix_s)
        if params.get("account", account) != account:
            raise Refusal(AUTHENTICATION_FAILED, "authentication failed: the key is not of this account")
        found = self._trading.clearing.accounts[account]
        if session.account not in (None, found):
            raise Refusal(INVALID_STATE, "logged in to another account; open another connection")
        session.account = found
        return {"account_number": account}

    def _set_cancel_on_disconnect(self, session: Session, params: Params) -> dict[str, Any]:
        timeout_s = number_of(params, "timeout_secs")
        if not 0 < timeout_s <= LONGEST_TIMEOUT_S:
            raise Refusal(INVALID_REQUEST, f"timeout_secs must be above 0 and at most {LONGEST_TIMEOUT_S}")
        return {"message_rate": session.arm(timeout_s, self._trading.clock.now_ns)}

    def _subscribe(self, session: Session, params: Params, snapshots: list[bytes], *, private: bool) -> list[str]:
        accepted = [name for name in _channels(params) if self._feeds.is_channel(name, private=private)]
        subscribed = []
        for name in accepted:
            shown = self._feeds.subscribe(session, name)
            if name in session.channels:
                subscribed.append(name)
                snapshots += shown
        return subscribed

    # public

    def _system_info(self, _: Params) -> dict[str, Any]:
        return {"environment": "testnet", "api_version": "2.59.0", "banners": self._banners}

    def _instruments(self, params: Params) -> list[dict[str, Any]]:
        return history.instruments((one.listed for one in self._trading.contracts.values()), params)

    def _all_instruments(self, params: Params) -> list[dict[str, Any]]:
        listed = [one.listed for one in self._trading.contracts.values()]
        return history.all_instruments(listed, self._daily.expired, params, self._trading.clock.unix_s)

    def _instrument(self, params: Params) -> dict[str, Any]:
        name = text_of(params, "instrument_name")
        for said in self._daily.expired:
            if said["instrument_name"] == name:
                return said
        return contract_of(params, self._trading.contracts).listed.listing

    def _ticker(self, params: Params) -> dict[str, Any]:
        contract = contract_of(params, self._trading.contracts)
        return contract.ticker(self._trading.clock.unix_s, self._trading.clearing.open_interest_lots(contract))

    def _index(self, params: Params) -> dict[str, Any]:
        name = text_of(params, "underlying")
        for contract in self._trading.contracts.values():
            if contract.underlying.name == name:
                return contract.underlying.content(self._expiry_s(name), self._trading.clock.unix_s)
        raise Refusal(UNKNOWN_INSTRUMENT, "unknown underlying")

    def _expiry_s(self, underlying: str) -> int | None:
        found = [one.listed.expiry_s for one in self._trading.contracts.values() if one.underlying.name == underlying]
        return min((expiry for expiry in found if expiry is not None), default=None)

    def _book(self, params: Params) -> dict[str, Any]:
        return contract_of(params, self._trading.contracts).snapshot(BOOK_LEVELS, self._trading.clock.unix_s)

    # trading

    def _insert(self, session: Session, params: Params, direction: str | None) -> dict[str, Any]:
        return self._trading.insert(session, read_insert(params, direction, self._trading.contracts))

    def _amend(self, session: Session, params: Params) -> dict[str, Any]:
        order = self._order(session, params)
        return self._trading.amend(order, read_amend(params, order.contract))

    def _order(self, session: Session, params: Params) -> ClientOrder:
        params = given(params)
        order_id = text_of(params, "order_id") if "order_id" in params else None
        return self._trading.find(session, order_id, client_order_id_of(params))

    def _cancel_session(self, session: Session, _: Params) -> None:
        if session.persistent:
            raise Refusal(PERSISTENT_SESSION, "session is persistent; send private/set_cancel_on_disconnect first")
        self._trading.cancel_where("session_end", session=session)


def _account(session: Session) -> Account:
    assert session.account is not None
    return session.account


def _channels(params: Params) -> list[str]:
    channels = params.get("channels")
    if not isinstance(channels, list) or not all(isinstance(name, str) for name in channels):
        raise Refusal(INVALID_REQUEST, "request parsing error: channels must be an array of strings")
    return list(dict.fromkeys(channels))


def _no_mass_quotes(_: Session, __: Params) -> None:
    raise Refusal(NO_MASS_QUOTES, "mass quoting is not enabled")


def _unknown(method: str) -> Refusal:
    return Refusal(UNKNOWN_METHOD, f"unknown method `{method[:64]}`")
