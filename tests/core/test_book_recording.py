"""The book on a real feed: at every update the master equals a dictionary and the window the master's best levels."""

import itertools

import numpy as np
import pytest

from mftcore import LEVEL, MasterBook, SeqlockBook
from mftpy.sim.recording import Depth, Recording
from mftpy.sim.recording_file import Level
from tests.shared_data import shared_path

LEVELS = 50


def as_levels(levels: list[Level]) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    array = np.zeros(len(levels), LEVEL)
    if levels:
        array["price_ticks"], array["size_lots"] = np.array(levels).T
    return array


@pytest.mark.parametrize(
    ("most", "least_changes"), [(1500, 90_000), pytest.param(None, 400_000, marks=pytest.mark.long)]
)
def test_a_recorded_book_equals_its_dictionary_and_its_window_the_best_of_it_at_every_update(
    most: int | None, least_changes: int
) -> None:
    recording = Recording(str(shared_path("data/binance-usdm-btcusdt-20240808.gz")))
    master = MasterBook()
    twin: tuple[dict[int, int], dict[int, int]] = ({}, {})
    updates = changed = 0
    with SeqlockBook.create("BTCUSDT", 0.1, 0.001, levels=LEVELS) as book, book.writer() as writer:
        reader = book.reader()
        depths = (event for event in recording.synchronised() if isinstance(event, Depth))
        for event in itertools.islice(depths, most):
            updates += 1
            changed += len(event.bids) + len(event.asks)
            if event.first_id == 0:
                master.snapshot(as_levels(event.bids), as_levels(event.asks))
            else:
                master.apply(as_levels(event.bids), as_levels(event.asks))
            for levels, side in zip((event.bids, event.asks), twin, strict=True):
                side.update(levels)
                for price, lots in levels:
                    if lots == 0:
                        side.pop(price, None)
            writer.publish(master, exchange_time_ns=0, receive_ns=event.local_ns)
            stamp = reader.read()
            assert (stamp.version, stamp.receive_ns) == (updates, event.local_ns)
            assert (master.n_bids, master.n_asks) == (len(twin[0]), len(twin[1]))
            assert (master.total_bid_lots, master.total_ask_lots) == (sum(twin[0].values()), sum(twin[1].values()))
            for side, window, count, best in (
                (twin[0], reader.bids, stamp.n_bids, -1),
                (twin[1], reader.asks, stamp.n_asks, 1),
            ):
                prices = np.fromiter(side, np.int64, len(side)) * best
                expected = np.sort(prices)[:LEVELS] * best
                assert count == len(expected)
                assert (window["price_ticks"][:count] == expected).all()
                assert (window["size_lots"][:count] == [side[int(price)] for price in expected]).all()
            if updates % 500 == 0:  # the whole depth, not only what the window shows
                for side, levels in zip(twin, master.best(1 << 20), strict=True):
                    assert dict(zip(levels["price_ticks"].tolist(), levels["size_lots"].tolist(), strict=True)) == side
    assert updates == most or updates > 6000
    assert changed > least_changes
    assert master.overflowed == 0
