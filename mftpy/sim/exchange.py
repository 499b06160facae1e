"""The exchange without I/O: requests and a time in, messages for sessions out. Same seed and same actions: same bytes.

Time is what the caller says. Whatever was due before it (the flows' market, marks, settlement, time-outs, delayed
messages) happens first, each at its own time: it makes no difference how often the caller asks.
"""

from __future__ import annotations

from typing import Any, Final

from mftpy.sim import protocol
from mftpy.sim.accounts import Account
from mftpy.sim.clearing import Clearing, FeeRates
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.daily import Daily
from mftpy.sim.feeds import Feeds
from mftpy.sim.flow import Market
from mftpy.sim.keys import Keys
from mftpy.sim.methods import Methods
from mftpy.sim.money import MONEY, UNIT, decimal_units
from mftpy.sim.protocol import Refusal
from mftpy.sim.sessions import Session
from mftpy.sim.settings import ExchangeSettings
from mftpy.sim.trading import Rules, Trading
from mftpy.sim.world import World

MOST_EVENTS: Final = 5_000
"""So much of what is due happens in one call: what a slow machine cannot play in time is played late."""

Output = tuple[int, bytes]


class Exchange:
    """Contracts, accounts, any number of sessions, and the market's flows.

    Parameters
    ----------
    settings : ExchangeSettings
    keys : Keys
        Who may log in.
    now_ns : int
        Monotonic; every later time must not be before it.
    unix_ns : int
        Exchange time at `now_ns`.

    Attributes
    ----------
    flows : list of Flow
    to_close : list of int
        Sessions that were silent for too long: their connections are to be closed. The caller clears it.
    banners : list of dict
        What ``public/system_info`` shows.
    """

    def __init__(self, settings: ExchangeSettings, keys: Keys, now_ns: int, unix_ns: int) -> None:
        self.clock = Clock(now_ns, unix_ns)
        world = World(settings, self.clock)
        cash = decimal_units(settings.initial_cash) * (MONEY // UNIT)
        accounts = [Account(number, number, cash) for number in account_numbers(settings.accounts)]
        rates = FeeRates(decimal_units(settings.maker_fee_rate), decimal_units(settings.taker_fee_rate))
        self.clearing = Clearing(self.clock, accounts, rates)
        rules = Rules(settings.amend_keeps_post_only, most_open_orders=settings.most_open_orders)
        self.trading = Trading(self.clearing, world.contracts, rules)
        self.feeds = Feeds(self.trading)
        self.daily = Daily(self.trading, self.feeds)
        self.flows = [flow for _, flow in world.flows]
        self.to_close: list[int] = []
        self.banners: list[dict[str, Any]] = []
        self._methods = Methods(self.trading, self.feeds, self.daily, keys, self.banners)
        self._sessions: dict[int, Session] = {}
        self._markets = [(Market(self.trading, contract), flow) for contract, flow in world.flows]
        self._offset_ns = self.clock.offset_ns
        self._start_ns = now_ns
        self._flow_delay_ns = 0
        self._held = self._until_login = False
        self._next_timeout_ns: int | None = None
        for market, flow in self._markets:
            flow.start(market, now_ns)
        self.feeds.collect()

    # what the server calls

    @property
    def unix_offset_ns(self) -> int:
        """By how much the exchange's clock is wrong: all stamps, and the check of logins; 0 when it is right."""
        return self.clock.offset_ns - self._offset_ns

    @unix_offset_ns.setter
    def unix_offset_ns(self, value: int) -> None:
        self.clock.offset_ns = self._offset_ns + value

    def hold(self, *, until_login: bool) -> None:
        """Keep the flows at their first book until `release`, or until somebody logs in: nobody misses its start."""
        self._held, self._until_login = True, until_login

    def release(self, now_ns: int) -> None:
        """Let flows that are held begin now."""
        if self._held:
            self._held, self._flow_delay_ns = False, now_ns - self._start_ns

    def connect(self, number: int, now_ns: int) -> None:
        """A client connected; nothing is sent before its first request."""
        self._sessions[number] = Session(number, now_ns)

    def touch(self, number: int, now_ns: int) -> None:
        """Some frame of this client arrived: it is alive, also when its time was up and nobody has looked since."""
        if number in self._sessions:
            self._sessions[number].heard_ns = now_ns

    def disconnect(self, number: int, now_ns: int) -> list[Output]:
        """A client is gone: its non-persistent orders are cancelled."""
        outputs = self._run_to(now_ns)
        session = self._sessions.pop(number, None)
        if session is not None:
            self.feeds.drop(session)
            self.trading.cancel_where("session_end", session=session)
        return outputs + self.feeds.collect()

    def handle(self, number: int, payload: bytes | str, now_ns: int) -> list[Output]:
        """Answer one request, and tell everybody what it changed."""
        outputs = self._run_to(now_ns)
        session = self._sessions[number]
        self._hear(session)
        request_id: Any = None
        snapshots: list[bytes] = []
        try:
            request_id, method, params = protocol.read_request(payload)
            answer = protocol.result(request_id, self._methods.call(session, method, params, snapshots))
        except Refusal as refusal:
            answer = protocol.failure(refusal.request_id if request_id is None else request_id, refusal)
        if self._until_login and session.account is not None:
            self.release(self.clock.now_ns)
        if session.timeout_ns:
            self._expect(session)
        outputs.append((number, answer))
        outputs += [(number, snapshot) for snapshot in snapshots]
        return outputs + self.feeds.collect()

    def advance(self, now_ns: int) -> list[Output]:
        """Let happen what is due up to now."""
        return self._run_to(now_ns)

    def next_due_ns(self) -> int:
        """Return when `advance` wants to be called next."""
        return min(due for due in self._dues() if due is not None)

    def is_logged_in(self, number: int) -> bool:
        """Whether a session has logged in."""
        session = self._sessions.get(number)
        return session is not None and session.account is not None

    def is_anonymous(self, number: int) -> bool:
        """Whether a session has neither logged in nor subscribed to anything."""
        session = self._sessions.get(number)
        return session is not None and session.account is None and not session.channels

    def announce_reconnect(self, now_ns: int) -> list[Output]:
        """Tell subscribers of ``system`` that connections will be closed: the caller does it, 10 s later or more."""
        return self._run_to(now_ns) + self.feeds.announce_reconnect()

    def replay_existing(self, number: int, now_ns: int) -> list[Output]:
        """Send a session the snapshots of its order channels once more."""
        outputs = self._run_to(now_ns)
        return outputs + [(number, message) for message in self.feeds.replay_existing(self._sessions[number])]

    # time

    def _dues(self) -> list[int | None]:
        dues: list[int | None] = [self.daily.next_due_ns(), self._next_timeout_ns, self.feeds.next_due_ns()]
        if not self._held:
            for _, flow in self._markets:
                due = flow.next_due_ns()
                dues.append(None if due is None else due + self._flow_delay_ns)
        return dues

    def _run_to(self, now_ns: int) -> list[Output]:
        outputs: list[Output] = []
        clock = self.clock
        for _ in range(MOST_EVENTS):
            dues = self._dues()
            due = min(due for due in dues if due is not None)
            if due > now_ns:
                clock.now_ns = max(clock.now_ns, now_ns)
                break
            clock.now_ns = max(clock.now_ns, due)
            which = dues.index(due)
            if which == 0:
                self._second()
            elif which == 1:
                self._time_out()
            elif which > 2:
                market, flow = self._markets[which - 3]
                flow.step(market, clock.now_ns - self._flow_delay_ns)
            outputs += self.feeds.collect()
        return outputs

    def _second(self) -> None:
        expired = len(self.daily.expired)
        self.daily.second()
        if len(self.daily.expired) > expired:  # nobody would take what their flows went on to do
            listed = self.trading.contracts
            self._markets = [one for one in self._markets if one[0].instrument.name in listed]

    def _hear(self, session: Session) -> None:
        session.heard_ns = self.clock.now_ns
        session.expired = False

    def _expect(self, session: Session) -> None:
        """Look at a session no later than when its time is up."""
        due = session.heard_ns + session.timeout_ns + 1
        if self._next_timeout_ns is None or due < self._next_timeout_ns:
            self._next_timeout_ns = due

    def _time_out(self) -> None:
        self._next_timeout_ns = None
        for session in self._sessions.values():
            if not session.timeout_ns or session.expired:
                continue
            if self.clock.now_ns - session.heard_ns > session.timeout_ns:
                session.expired = True
                self.trading.cancel_where("session_end", session=session)
                self.to_close.append(session.number)
            else:
                self._expect(session)


def account_numbers(count: int) -> list[str]:
    """Numbers of the accounts that an exchange opens with."""
    return [f"A{number:09d}" for number in range(1, count + 1)]


def key_ids(count: int) -> list[str]:
    """Names of the keys of these accounts, in their order."""
    return [f"K{number:09d}" for number in range(1, count + 1)]


__all__ = ["Contract", "Exchange", "Output", "account_numbers", "key_ids"]
