"""What the market data process makes of notifications, on real shared structures and without an exchange."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from mftcore import BOOK_RESYNCING
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


def note(feed, trades=(), *, snapshot=False, bids=(), asks=(), totals=None):
    """Let the book channel tell of changes and trades, and of what rests in all on either side."""
    body = {"bid_changes": list(bids), "ask_changes": list(asks), "trades": list(trades), "time": 5.0}
    if totals is not None:
        body["total_bid_amount"], body["total_ask_amount"] = totals
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


LESS = {"bids": [[61_699.9, 0.7, 0.7]]}


@pytest.mark.parametrize(
    ("first", "then", "wanted"),
    [
        ((1.0, 1.0), (0.7, 1.0), False),
        ((1.0, 1.0), (0.7 + 1e-12, 1.0), False),
        ((1.0, 1.0), (0.701, 1.0), True),  # one lot of a change that never came
        ((1.0, 1.0), (0.7, 0.999), True),
        ((1.0, 1.0), None, False),  # this message does not say
        ((1.0, 1.0), (None, 1.0), False),
        ((1.0, 1.0), (None, 2.0), True),
        ((None, 1.0), (None, 2.0), False),
        ((1.5, 1.0), (1.2, 1.0), False),  # they never agreed: of something else
        (None, (9.0, 9.0), False),
        (None, None, False),
    ],
)
def test_a_side_whose_total_is_no_longer_what_the_exchange_says_asks_for_a_fresh_book(feed, links, first, then, wanted):
    note(feed, snapshot=True, totals=first, **WHOLE)
    assert not feed.resync_wanted
    note(feed, totals=then, **LESS)
    feed.publish()
    assert feed.resync_wanted == wanted
    assert bool(links.book.reader().read().state & BOOK_RESYNCING) == wanted
    note(feed, snapshot=True, totals=(1.0, 1.0), **WHOLE)
    assert not feed.resync_wanted
