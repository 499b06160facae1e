"""What the market data process makes of notifications, on real shared structures and without an exchange."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from mftpy import records
from mftpy.links import Instrument, Links
from mftpy.processes.market_data import Feed
from mftpy.venue import codec


@pytest.fixture
def links():
    made = Links.create(Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD"))
    yield made
    made.close()


@pytest.fixture
def feed(links):
    made = Feed(links, SimpleNamespace(status=records.blank(records.STATUS)))
    made.prints = links.trades.consumer()
    return made


def note(feed, trades=(), *, snapshot=False, bids=(), asks=()):
    """Let the book channel tell of changes and trades."""
    body = {"bid_changes": list(bids), "ask_changes": list(asks), "trades": list(trades), "time": 5.0}
    said = {"channel_name": feed.book_channel, "notification": body, "snapshot": snapshot}
    feed.on_notification(codec.decode(json.dumps(said).encode()), 77)


def prints(feed):
    found = np.zeros(16, records.TRADE)
    return found[: feed.prints.pop_many(found)]


WHOLE = {"bids": [[61_699.9, 1.0, 1.0]], "asks": [[61_700.1, 1.0, 1.0]]}


def test_the_trades_of_a_snapshot_are_passed_on_as_such_and_not_counted(feed):
    note(feed, [[61_700.1, 0.5, "buy", 4.0]], snapshot=True, **WHOLE)
    note(feed, [[61_699.9, 0.25, "sell", 5.0]])
    old, new = prints(feed)
    assert [tuple(row) for row in (old, new)] == [
        (617_001, 500, 1, 4_000_000_000, 77, 1),
        (616_999, 250, -1, 5_000_000_000, 77, 0),
    ]
    assert feed._status["trades"][0] == 1


def test_a_trade_that_comes_while_the_book_is_lost_may_still_have_filled_us_and_wakes_the_strategy(feed, links):
    note(feed, snapshot=True, **WHOLE)
    feed.publish()
    feed.lost()
    version = links.book.reader().version
    links.strategy_bell.arm()
    note(feed, [[61_699.9, 0.25, "sell", 5.0]])
    feed.publish()
    assert links.strategy_bell.disarm()
    assert [int(row["price_ticks"]) for row in prints(feed)] == [616_999]
    assert links.book.reader().version == version  # the book stays what it was: not to be trusted


def test_trades_that_find_no_room_are_counted(feed, links):
    note(feed, snapshot=True, **WHOLE)
    feed._trades.push_many(np.zeros(16_384, records.TRADE))
    note(feed, [[61_699.9, 0.25, "sell", 5.0]] * 3)
    assert (feed._status["trades"][0], feed._status["dropped"][0]) == (3, 3)
