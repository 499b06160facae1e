"""Recorded feeds: read exactly, refused clearly, and true to the best prices that the exchange published itself."""

import gzip
import json
from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

import pytest

from mftpy.errors import ConfigError, InputFileError
from mftpy.sim.recording import Depth, Recording, Top, units
from mftpy.sim.recording_writer import write_recording
from mftpy.sim.settings import ExchangeSettings
from tests.shared_data import shared_path

REAL = "data/binance-usdm-btcusdt-20240808.gz"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "written.gz"
    write_recording(str(path), 20, ExchangeSettings(seed=3))
    return str(path)


def check_against_book_tickers(path):
    """After each depth update with final id u the best prices equal those of the last bookTicker at or below u."""
    recording = Recording(path)
    tops = sorted((event for event in recording.events() if isinstance(event, Top)), key=lambda top: top.update_id)
    ids = [top.update_id for top in tops]
    bids, asks, compared = {}, {}, 0
    for event in recording.synchronised():
        if not isinstance(event, Depth):
            continue
        for side, levels in ((bids, event.bids), (asks, event.asks)):
            for price, lots in levels:
                if lots:
                    side[price] = lots
                else:
                    side.pop(price, None)
        at = bisect_right(ids, event.final_id) - 1
        if event.first_id == 0 or at < 0:
            continue
        compared += 1
        assert (max(bids), min(asks)) == (tops[at].bid_ticks, tops[at].ask_ticks), f"line {event.line}"
    return recording, compared


def test_a_written_recording_is_read_and_its_book_agrees_with_its_best_prices(written):
    recording, compared = check_against_book_tickers(written)
    assert compared > 300
    assert (recording.tick_size, recording.lot_size) == (Fraction(1, 10), Fraction(1, 1000))


def test_the_real_recording_s_book_agrees_with_its_best_prices_after_every_update():
    recording, compared = check_against_book_tickers(str(shared_path(REAL)))
    assert compared > 6000
    assert (recording.tick_size, recording.lot_size) == (Fraction(1, 10), Fraction(1, 1000))


def test_the_same_seed_writes_the_same_bytes_and_nothing_is_overwritten(tmp_path):
    paths = [tmp_path / name for name in ("a.gz", "b.gz", "c.gz")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        write_recording(str(path), 2, ExchangeSettings(seed=seed))
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    with pytest.raises(ConfigError, match="exists"):
        write_recording(str(paths[0]), 2, ExchangeSettings())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gz", "b.gz", "c.gz"]


@pytest.mark.parametrize(
    ("text", "value"), [("61800.20", 6_180_020_000_000), ("0.001", 100_000), ("7", 700_000_000), ("0.00000001", 1)]
)
def test_decimals_are_read_exactly(text, value):
    assert units(text) == value


@pytest.mark.parametrize("text", ["", "-1", "1e5", "nan", "1.123456789", "1.2.3", " 1", "٣", "+1", ".5x"])
def test_what_is_no_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="decimal"):
        units(text)


SNAPSHOT = {"lastUpdateId": 10, "bids": [["100.0", "1.000"]], "asks": [["100.5", "2.001"]]}


def depth(first, final, previous, bids=(), asks=()):
    data = {"e": "depthUpdate", "U": first, "u": final, "pu": previous, "b": list(bids), "a": list(asks)}
    return {"stream": "x@depth@0ms", "data": data}


def made(path, *contents):
    """Write lines of JSON contents (or raw bytes) as a recording."""
    with gzip.open(path, "wb") as file:
        for number, content in enumerate(contents):
            raw = content if isinstance(content, bytes) else b"%d %s\n" % (number, json.dumps(content).encode())
            file.write(raw)
    return str(path)


def read(path, **steps):
    return list(Recording(path, **steps).synchronised())


def test_updates_that_the_snapshot_contains_are_left_out_and_later_ones_follow_it(tmp_path):
    path = made(
        tmp_path / "r.gz",
        depth(1, 9, 0, bids=[["99.0", "5"]]),
        depth(10, 12, 9, bids=[["99.5", "1"]]),
        SNAPSHOT,
        depth(13, 14, 12, asks=[["100.5", "0"]]),
    )
    assert [event.final_id for event in read(path)] == [10, 12, 14]


def refusal(path, **steps):
    with pytest.raises(InputFileError) as caught:
        read(path, **steps)
    sentence = str(caught.value)
    assert path in sentence
    assert "\n" not in sentence
    assert caught.value.exit_code == 3
    return sentence


def test_a_gap_is_named_with_its_line(tmp_path):
    path = made(tmp_path / "r.gz", SNAPSHOT, depth(11, 12, 10), depth(15, 16, 14))
    assert "line 3" in refusal(path)
    assert "line 2" in refusal(made(tmp_path / "s.gz", SNAPSHOT, depth(15, 16, 14)))


def test_files_that_cannot_be_played_are_refused_in_one_sentence(tmp_path, written):
    plain = tmp_path / "plain.gz"
    plain.write_text("1 {}\n", encoding="ascii")
    assert "line 1" in refusal(str(plain))
    empty = tmp_path / "empty.gz"
    empty.write_bytes(b"")
    assert "empty" in refusal(str(empty))
    assert "cannot read" in refusal(str(tmp_path / "missing.gz"))
    assert "directory" in refusal(str(tmp_path))
    assert "snapshot" in refusal(made(tmp_path / "a.gz", depth(1, 2, 0, bids=[["1", "1"]])))
    assert "line 2" in refusal(made(tmp_path / "b.gz", SNAPSHOT, b"2 {not json\n"))
    assert "line 2" in refusal(made(tmp_path / "c.gz", SNAPSHOT, b"hello world\n"))
    assert "line 2" in refusal(made(tmp_path / "d.gz", SNAPSHOT, depth(11, 12, 10, bids=[["1e3", "1"]])))
    assert "line 1" in refusal(made(tmp_path / "e.gz", SNAPSHOT), tick_size=0.3)
    assert "line 1" in refusal(made(tmp_path / "f.gz", SNAPSHOT), lot_size=0.01)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_or_damaged_file_is_named_with_its_line(tmp_path, written, part):
    whole = Path(written).read_bytes()
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole[: int(len(whole) * part)])
    assert "line " in refusal(str(cut))
    damaged = tmp_path / "damaged.gz"
    at = int(len(whole) * part)
    damaged.write_bytes(whole[:at] + bytes(byte ^ 0xFF for byte in whole[at : at + 40]) + whole[at + 40 :])
    assert "line " in refusal(str(damaged))


@pytest.mark.parametrize("step", [1e-9, 1.5e-8, 0.123456789])
def test_a_step_finer_than_a_recording_can_have_is_refused_rather_than_ignored(written, step):
    with pytest.raises(InputFileError, match="1e-8"):
        Recording(written, step, None)
    with pytest.raises(InputFileError, match="--lot"):
        Recording(written, None, step)
