"""The exchange without I/O: bytes and a time in, bytes for sessions out. Same seed and same actions: same bytes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

from mftpy.sim import protocol
from mftpy.sim.accounts import Account
from mftpy.sim.channels import Feeds
from mftpy.sim.flow import Flow, Market
from mftpy.sim.instrument import Listed
from mftpy.sim.orders import ClientOrder
from mftpy.sim.protocol import (
    AUTHENTICATION_FAILED,
    INVALID_REQUEST,
    NO_MASS_QUOTES,
    NOT_LOGGED_IN,
    PERSISTENT_SESSION,
    UNKNOWN_INSTRUMENT,
    UNKNOWN_METHOD,
    Refusal,
)
from mftpy.sim.sessions import Session
from mftpy.sim.settings import ExchangeSettings
from mftpy.sim.trading import Trading

ACCOUNT: Final = "A000000001"
MATCHING: Final = ("private/insert", "private/buy", "private/sell", "private/amend")
Output = tuple[int, bytes]


def decimal(value: float) -> Fraction:
    """Return the decimal that a float in a setting stands for."""
    return Fraction(repr(value))


class Exchange:
    """One instrument, one account, any number of sessions.

    Parameters
    ----------
    settings : ExchangeSettings
    flow : Flow
    check_token : callable
        (token, Unix seconds) -> key id, or raises `Refusal`.
    now_ns : int
        Monotonic; every later time must not be before it.
    unix_ns : int
        Exchange time at `now_ns`.
    """

    def __init__(
        self,
        settings: ExchangeSettings,
        flow: Flow,
        check_token: Callable[[str, float], str],
        now_ns: int,
        unix_ns: int,
    ) -> None:
        tick, lot = decimal(settings.tick_size or 0.1), decimal(settings.lot_size or 0.001)
        self._offset_ns = unix_ns - now_ns
        self.instrument = Listed(settings.instrument, settings.underlying, tick, lot, unix_ns / 1e9)
        self.trading = Trading(
            self.instrument,
            Account(decimal(settings.initial_cash), tick, lot),
            decimal(settings.maker_fee_rate),
            decimal(settings.taker_fee_rate),
        )
        self.flow = flow
        self._check_token = check_token
        self._sessions: dict[int, Session] = {}
        self._market = Market(self.trading)
        self._feeds = Feeds(self.trading)
        self._start_ns = now_ns
        self._flow_delay_ns = 0
        self._held = self._until_login = False
        self._set_time(now_ns)
        flow.start(self._market, now_ns)
        self._feeds.collect([], now_ns)

    # what the server calls

    def hold(self, *, until_login: bool) -> None:
        """Keep the flow at its first book until `release`, or until somebody logs in: nobody misses its beginning."""
        self._held, self._until_login = True, until_login

    def release(self, now_ns: int) -> None:
        """Let a flow that is held begin now."""
        if self._held:
            self._held, self._flow_delay_ns = False, now_ns - self._start_ns

    def connect(self, number: int, now_ns: int) -> None:
        """A client connected; nothing is sent before its first request."""
        self._sessions[number] = Session(number, now_ns)

    def touch(self, number: int, now_ns: int) -> None:
        """Some frame of this client arrived: it is alive."""
        if number in self._sessions:
            self._sessions[number].heard_ns = now_ns

    def disconnect(self, number: int, now_ns: int) -> list[Output]:
        """A client is gone: its non-persistent orders are cancelled."""
        session = self._sessions.pop(number, None)
        self._set_time(now_ns)
        if session is not None:
            self.trading.cancel_where("session_end", session)
        return self._feeds.collect(list(self._sessions.values()), now_ns)

    def handle(self, number: int, payload: bytes | str, now_ns: int) -> list[Output]:
        """Answer one request, and tell everybody what it changed."""
        self.touch(number, now_ns)
        self._set_time(now_ns)
        session = self._sessions[number]
        snapshots: list[bytes] = []
        try:
            request_id, method, params = protocol.read_request(payload)
        except Refusal as refusal:
            return [(number, protocol.failure(protocol.request_id(payload), refusal))]
        try:
            answer = protocol.result(request_id, self._call(session, method, params, now_ns, snapshots))
        except Refusal as refusal:
            answer = protocol.failure(request_id, refusal)
        outputs = [(number, answer), *((number, snapshot) for snapshot in snapshots)]
        return outputs + self._feeds.collect(list(self._sessions.values()), now_ns)

    def advance(self, now_ns: int) -> list[Output]:
        """Let the market move and time-outs pass up to now."""
        self._set_time(now_ns)
        due, flow_ns = self.flow.next_due_ns(), now_ns - self._flow_delay_ns
        if not self._held and due is not None and due <= flow_ns:
            self.flow.step(self._market, flow_ns)
        for session in self._sessions.values():
            if session.timeout_ns and now_ns - session.heard_ns > session.timeout_ns:
                self.trading.cancel_where("session_end", session)
        return self._feeds.collect(list(self._sessions.values()), now_ns)

    def _set_time(self, now_ns: int) -> None:
        self.trading.unix_s = (now_ns + self._offset_ns) / 1e9

    # methods

    def _call(self, session: Session, method: str, params: dict[str, Any], now_ns: int, snapshots: list[bytes]) -> Any:
        if method in ("public/subscribe", "private/subscribe"):
            return self._subscribe(session, method, params, now_ns, snapshots)
        if method in ("unsubscribe", "public/unsubscribe", "private/unsubscribe"):
            return [name for name in _channels(params) if session.channels.pop(name, None) is not None]
        if method == "public/login":
            return self._login(session, params, now_ns)
        if method.startswith("public/"):
            return self._public(method, params)
        if not method.startswith("private/"):
            raise Refusal(UNKNOWN_METHOD, f"unknown method `{method}`")
        if not session.logged_in:
            raise Refusal(NOT_LOGGED_IN, "not logged in")
        return self._private(session, method, params, now_ns)

    def _login(self, session: Session, params: dict[str, Any], now_ns: int) -> dict[str, Any]:
        account = params.get("account")
        if account not in (None, ACCOUNT):
            raise Refusal(AUTHENTICATION_FAILED, "authentication failed: unknown account")
        self._check_token(protocol.text_of(params, "token"), self.trading.unix_s)
        session.logged_in = True
        if self._until_login:
            self.release(now_ns)
        return {"account_number": ACCOUNT}

    def _public(self, method: str, params: dict[str, Any]) -> Any:
        if method == "public/system_info":
            return {"environment": "testnet", "api_version": "2.59.0", "banners": []}
        if method in ("public/instruments", "public/all_instruments"):
            return [self.instrument.listing]
        if method == "public/index":
            if protocol.text_of(params, "underlying") != self.instrument.underlying:
                raise Refusal(UNKNOWN_INSTRUMENT, "unknown underlying")
            return self._feeds.index()
        readers: dict[str, Callable[[], Any]] = {
            "public/instrument": lambda: self.instrument.listing,
            "public/ticker": self._feeds.ticker,
            "public/book": self._feeds.book_rpc,
        }
        if method not in readers:
            raise Refusal(UNKNOWN_METHOD, f"unknown method `{method}`")
        if protocol.text_of(params, "instrument_name") != self.instrument.name:
            raise Refusal(UNKNOWN_INSTRUMENT, "unknown instrument")
        return readers[method]()

    def _private(self, session: Session, method: str, params: dict[str, Any], now_ns: int) -> Any:
        trading = self.trading
        if method in MATCHING:
            session.matching.take(now_ns)
            if method == "private/amend":
                return trading.amend(session, params)
            direction = method.partition("/")[2]
            if direction == "insert":
                direction = protocol.choice_of(params, "direction", ("buy", "sell"), "")
            return trading.insert(session, params, direction)
        if method in ("private/cancel", "private/cancel_all", "private/cancel_session"):
            session.cancels.take(now_ns)
            if method == "private/cancel":
                return trading.cancel(session, params)
            if method == "private/cancel_all":
                return trading.cancel_where("client_bulk_cancel")
            if session.persistent:
                raise Refusal(PERSISTENT_SESSION, "session is persistent")
            trading.cancel_where("session_end", session)
            return None
        if method == "private/set_cancel_on_disconnect":
            timeout_s = protocol.number_of(params, "timeout_secs")
            if timeout_s <= 0:
                raise Refusal(INVALID_REQUEST, "timeout_secs must be positive")
            return {"message_rate": session.arm(timeout_s, now_ns)}
        if method in ("private/mass_quote", "private/set_mm_protection", "private/cancel_mass_quote"):
            raise Refusal(NO_MASS_QUOTES, "mass quoting is not enabled")
        return self._query(method, params)

    def _query(self, method: str, params: dict[str, Any]) -> Any:
        trading, instrument = self.trading, self.instrument
        if method == "private/open_orders":
            return [order.message(instrument, "existing", order.fills) for order in trading.orders.values()]
        if method == "private/portfolio":
            return trading.account.portfolio(instrument.name, trading.index, trading.index)
        if method == "private/account_summary":
            return trading.account.summary(trading.index)
        if method == "private/trade_history":
            return {"trades": _page(trading.history, params), "bookmark": None}
        if method == "private/order_history":
            closed = [_closed(order, instrument) for order in trading.closed if order.filled_lots]
            return {"orders": _page(closed, params), "bookmark": None}
        raise Refusal(UNKNOWN_METHOD, f"unknown method `{method}`")

    def _subscribe(
        self, session: Session, method: str, params: dict[str, Any], now_ns: int, snapshots: list[bytes]
    ) -> list[str]:
        private = method == "private/subscribe"
        if private and not session.logged_in:
            raise Refusal(NOT_LOGGED_IN, "not logged in")
        accepted = []
        for name in _channels(params):
            interval_ns = self._feeds.interval_ns(name, private=private)
            if interval_ns is None:
                continue
            accepted.append(name)
            session.channels[name] = now_ns
            snapshots += self._feeds.snapshot(name, session)
        return accepted


def _channels(params: dict[str, Any]) -> list[str]:
    channels = params.get("channels")
    if not isinstance(channels, list) or not all(isinstance(name, str) for name in channels):
        raise Refusal(INVALID_REQUEST, "request parsing error: channels must be an array of strings")
    return list(dict.fromkeys(channels))


def _page(items: list[dict[str, Any]], params: dict[str, Any]) -> list[dict[str, Any]]:
    limit = params.get("limit", 1000)
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= 1000:
        raise Refusal(INVALID_REQUEST, "limit must be between 1 and 1000")
    low, high = params.get("time_low", 0), params.get("time_high", 1e12)
    chosen = [item for item in items if low <= item.get("time", item.get("create_time", 0)) <= high]
    if params.get("sort") == "ascending":
        return chosen[:limit]
    return chosen[::-1][:limit]


def _closed(order: ClientOrder, instrument: Listed) -> dict[str, Any]:
    said = order.message(instrument, "existing", order.fills[-8:])
    for name in ("remaining_amount", "change_reason", "time_in_force", "persistent"):
        del said[name]
    return said
