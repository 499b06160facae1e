"""Market data's way to a fresh book: the doubt is told at once, and nobody waits for the exchange's answers."""

import json
import time
from types import SimpleNamespace

import pytest

from mftcore import BOOK_RESYNCING
from mftpy import config
from mftpy.errors import VenueError
from mftpy.links import Instrument, Links
from mftpy.processes import market_data
from mftpy.processes.child import Child
from mftpy.processes.jobs import Job, choose_placement


class Wire:
    """A session whose exchange accepts every subscription, until it is told to be silent or to answer otherwise."""

    wants_write = False

    def __init__(self):
        self.sent, self.arrived, self.silent, self.answer = [], [], False, None
        self.last_receive_ns = time.monotonic_ns()

    @property
    def has_pending(self):
        return bool(self.arrived)

    def send(self, payload):
        request = json.loads(payload)
        self.sent.append(request["method"])
        if not self.silent:
            said = self.answer or {"result": request["params"]["channels"]}
            self.arrived.append(json.dumps({"id": request["id"], **said}).encode())
        return time.monotonic_ns()

    def receive(self):
        arrived, self.arrived = self.arrived, []
        return [(payload, time.monotonic_ns()) for payload in arrived]

    def ping(self):
        pass


@pytest.fixture
def rig(monkeypatch):
    wire = Wire()
    monkeypatch.setattr(market_data, "connect", lambda _url, _config: wire)
    monkeypatch.setattr(market_data, "RESYNC_AFTER_S", 0.0)
    settings = config.load(None, {"system.request_timeout_s": 0.1})
    links = Links.create(Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD"))
    child = Child("market_data", links.market_data, links.control, SimpleNamespace())
    market = market_data.MarketData(links, Job("run", "ws://127.0.0.1:1/", settings, choose_placement(settings)), child)
    yield SimpleNamespace(wire=wire, market=market, book=links.book.reader(), child=child)
    links.close()


def turns_until(market, done):
    deadline = time.monotonic() + 10
    while not done():
        market.turn()
        assert time.monotonic() < deadline


def test_a_fresh_book_is_asked_for_while_turns_go_on(rig):
    rig.wire.sent.clear()
    rig.wire.silent = True
    rig.market.feed.resync_wanted = True
    rig.market.turn()  # returns, though nobody has answered
    rig.market.turn()
    assert rig.book.read().state & BOOK_RESYNCING
    assert rig.wire.sent == ["unsubscribe"]  # once
    assert int(rig.child.status["resyncs"][0]) == 1


def test_the_book_is_subscribed_when_it_is_told_no_more(rig):
    rig.wire.sent.clear()
    rig.market.feed.resync_wanted = True
    rig.market.turn()
    assert rig.wire.sent == ["unsubscribe"]
    rig.market.feed.resync_wanted = False
    turns_until(rig.market, lambda: not rig.wire.has_pending)
    assert rig.wire.sent == ["unsubscribe", "public/subscribe"]
    ended = time.monotonic() + 0.2
    turns_until(rig.market, lambda: time.monotonic() > ended)  # both were answered: no patience runs out


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "did not answer a request for a fresh book within 0.1 s"),
        ({"error": {"code": 4, "message": "throttle exceeded"}}, "the exchange refused unsubscribe"),
        ({"result": []}, "did not accept the subscription to book.BTC-PERPETUAL"),
    ],
)
def test_without_a_fresh_book_market_data_ends(rig, answer, words):
    rig.wire.silent, rig.wire.answer = answer is None, answer
    rig.market.feed.resync_wanted = True
    with pytest.raises(VenueError, match=words):
        turns_until(rig.market, lambda: False)
