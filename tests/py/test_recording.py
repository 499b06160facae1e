"""One recorded file: read exactly, refused clearly, and true to the best prices that the exchange published itself."""

import gzip
import json
from bisect import bisect_right
from fractions import Fraction
from pathlib import Path

import pytest

from mftpy.cli import main
from mftpy.errors import ConfigError, InputFileError
from mftpy.sim.recording import Depth, Print, Recording, Top
from mftpy.sim.recording_format import Kind, decimal, units
from mftpy.sim.recording_writer import write_recording
from mftpy.sim.settings import ExchangeSettings
from tests.shared_data import shared_path

REAL = "data/binance-usdm-btcusdt-20240808.gz"
KINDS = list(Kind)


@pytest.fixture(scope="module")
def written_in(tmp_path_factory):
    """Return a function that gives the path of a recording of a kind, written once."""
    folder = tmp_path_factory.mktemp("recording")

    def path(kind):
        target = folder / f"{kind.value}.gz"
        if not target.exists():
            write_recording(str(target), 10, ExchangeSettings(seed=3, A_per_s=1.5), kind)
        return str(target)

    return path


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
        if event.snapshot or at < 0:
            continue
        compared += 1
        assert (max(bids), min(asks)) == (tops[at].bid_ticks, tops[at].ask_ticks), f"line {event.line}"
    return recording, compared


@pytest.mark.parametrize("kind", KINDS)
def test_a_written_recording_is_told_by_its_content_and_its_book_agrees_with_its_best_prices(written_in, kind):
    recording, compared = check_against_book_tickers(written_in(kind))
    assert compared > (80 if kind is Kind.SPOT else 170)
    assert recording.kind is kind
    assert recording.symbol == ("btcusd_perp" if kind is Kind.COIN_M else "btcusdt")
    lot = Fraction(1, 100_000) if kind is Kind.COIN_M else Fraction(1, 1000)
    assert (recording.tick_size, recording.lot_size) == (Fraction(1, 10), lot)


def test_a_book_that_has_lost_a_change_does_not_agree_with_the_best_prices(written_in, tmp_path):
    lines = gzip.decompress(Path(written_in(Kind.USD_M)).read_bytes()).splitlines(keepends=True)
    late = [number for number, line in enumerate(lines) if b"depthUpdate" in line and b'"0"' in line][20]
    content = json.loads(lines[late].partition(b" ")[2])
    content["data"] |= {"b": [], "a": []}
    with pytest.raises(AssertionError, match="line"):
        check_against_book_tickers(made(tmp_path / "r.gz", *lines[:late], content, *lines[late + 1 :]))


@pytest.mark.long  # `.ci/run` plays it end to end, and tests/core merges it into books
def test_the_real_recording_s_book_agrees_with_its_best_prices_after_every_update():
    recording, compared = check_against_book_tickers(str(shared_path(REAL)))
    assert compared > 6000
    assert recording.kind is Kind.USD_M
    assert (recording.tick_size, recording.lot_size) == (Fraction(1, 10), Fraction(1, 1000))


def test_each_kind_is_written_in_the_fields_that_its_exchange_sends(written_in):
    fields = {}
    for kind in KINDS:
        for line in gzip.decompress(Path(written_in(kind)).read_bytes()).splitlines():
            content = json.loads(line.partition(b" ")[2])
            name = content["stream"].partition("@")[2] if "stream" in content else "snapshot"
            fields.setdefault((kind, name), set()).add(" ".join(sorted(content.get("data", content))))
    assert fields == {
        (Kind.USD_M, "depth@0ms"): {"E T U a b e pu s u"},
        (Kind.USD_M, "bookTicker"): {"A B E T a b e s u"},
        (Kind.USD_M, "trade"): {"E T X e m p q s t"},
        (Kind.USD_M, "snapshot"): {"E T asks bids lastUpdateId"},
        (Kind.COIN_M, "depth@0ms"): {"E T U a b e ps pu s u"},
        (Kind.COIN_M, "bookTicker"): {"A B E T a b e ps s u"},
        (Kind.COIN_M, "trade"): {"E T X e m p q s t"},
        (Kind.COIN_M, "snapshot"): {"E T asks bids lastUpdateId pair symbol"},
        (Kind.SPOT, "depth@100ms"): {"E U a b e s u"},
        (Kind.SPOT, "bookTicker"): {"A B a b s u"},
        (Kind.SPOT, "trade"): {"E M T e m p q s t"},
        (Kind.SPOT, "snapshot"): {"asks bids lastUpdateId"},
    }


def test_the_market_is_the_same_in_all_kinds_but_for_the_rounding_to_contracts(written_in):
    trades = {kind: [e for e in Recording(written_in(kind)).synchronised() if isinstance(e, Print)] for kind in KINDS}
    assert len(trades[Kind.SPOT]) > 10
    for usd_m, spot, coin_m in zip(*(trades[kind] for kind in (Kind.USD_M, Kind.SPOT, Kind.COIN_M)), strict=True):
        assert usd_m._replace(line=0) == spot._replace(line=0)
        assert coin_m._replace(line=0, lots=usd_m.lots) == usd_m._replace(line=0)
        contract_lots = Fraction(100 * 100_000 * 10, usd_m.price_ticks)  # 100 USD in 1e-5 coins, at tenths of USD
        assert abs(coin_m.lots - usd_m.lots * 100) <= contract_lots / 2 + 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_writes_the_same_bytes_and_nothing_is_overwritten(tmp_path, kind):
    paths = [tmp_path / name for name in ("a.gz", "b.gz", "c.gz")]
    for path, seed in zip(paths, (1, 1, 2), strict=True):
        write_recording(str(path), 1, ExchangeSettings(seed=seed), kind)
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    with pytest.raises(ConfigError, match="exists"):
        write_recording(str(paths[0]), 1, ExchangeSettings())
    with pytest.raises(ConfigError, match=r"--tick 1\.5e-08"):
        write_recording(str(tmp_path / "d.gz"), 1, ExchangeSettings(tick_size=1.5e-8))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gz", "b.gz", "c.gz"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_line_writes_each_kind(tmp_path, capsys, kind):
    path = str(tmp_path / "r.gz")
    arguments = ["--write-recording", path, "--seconds", "1", "--format", kind.value, "--seed", "9"]
    assert main(["exchange", *arguments]) == 0
    assert f"in {kind.value} streams, seed 9" in capsys.readouterr().out
    assert Recording(path).kind is kind


@pytest.mark.parametrize(
    ("text", "value"), [("61800.20", 6_180_020_000_000), ("0.001", 100_000), ("7", 700_000_000), ("0.00000001", 1)]
)
def test_decimals_are_read_exactly_and_written_again(text, value):
    assert units(text) == value
    assert units(decimal(value)) == value


@pytest.mark.parametrize("text", ["", "-1", "1e5", "nan", "1.123456789", "1.2.3", " 1", "٣", "+1", ".5x"])
def test_what_is_no_plain_decimal_is_refused(text):
    with pytest.raises(ValueError, match="decimal"):
        units(text)


SNAPSHOT = {"lastUpdateId": 10, "bids": [["100.0", "1.000"]], "asks": [["100.5", "2.001"]]}


def depth(first, final, previous, bids=(), asks=(), stream="x", **more):
    data = {"e": "depthUpdate", "U": first, "u": final, "pu": previous, "b": list(bids), "a": list(asks), **more}
    return {"stream": f"{stream}@depth@0ms", "data": data}


def spot_depth(first, final, bids=(), asks=()):
    data = {"e": "depthUpdate", "U": first, "u": final, "b": list(bids), "a": list(asks)}
    return {"stream": "x@depth@100ms", "data": data}


def trade(price, size, *, sold, stream="x", **more):
    return {"stream": f"{stream}@trade", "data": {"e": "trade", "p": price, "q": size, "m": sold, **more}}


def made(path, *contents, begin_ns=0):
    """Write lines of JSON contents, 1 ns apart, or of raw bytes as a recording."""
    with gzip.open(path, "wb") as file:
        for local_ns, content in enumerate(contents, begin_ns):
            raw = content if isinstance(content, bytes) else b"%d %s\n" % (local_ns, json.dumps(content).encode())
            file.write(raw)
    return str(path)


def read(path, **steps):
    return list(Recording(path, **steps).synchronised())


def test_contracts_become_coins_at_their_own_price_rounded_down(tmp_path):
    book = {"lastUpdateId": 10, "symbol": "ETHUSD_PERP", "pair": "ETHUSD", "bids": [["2000.00", "7"]], "asks": []}
    update = depth(11, 12, 10, asks=[["3000.00", "4"]], ps="ETHUSD", stream="ethusd_perp")
    path = made(tmp_path / "r.gz", book, update, trade("3000.00", "2", sold=False, stream="ethusd_perp"))
    recording = Recording(path)
    snapshot, change, printed = recording.synchronised()
    # a contract is 10 USD / 2000 = 0.005 coins, 500 lots
    assert (recording.tick_size, recording.lot_size) == (1000, Fraction(1, 100_000))
    assert (snapshot.bids, change.asks, printed.lots) == ([(2, 3500)], [(3, 1333)], 666)
    assert "line 3: 2 contracts" in refusal(path, lot_size=0.01)
    half = depth(11, 12, 10, asks=[["3000.00", "0.5"]], ps="ETHUSD", stream="ethusd_perp")
    assert "line 2: the size 0.5 is not a whole number of contracts" in refusal(made(tmp_path / "s.gz", book, half))


def test_updates_that_the_snapshot_contains_are_left_out_and_later_ones_follow_it(tmp_path):
    path = made(
        tmp_path / "r.gz",
        depth(1, 9, 0, bids=[["99.0", "5"]]),
        depth(10, 12, 9, bids=[["99.5", "1"]]),
        SNAPSHOT,
        depth(13, 14, 12, asks=[["100.5", "0"]]),
    )
    assert [event.final_id for event in read(path)] == [10, 12, 14]


def test_futures_go_on_by_pu_and_spot_by_the_next_number(tmp_path):
    futures = made(tmp_path / "r.gz", SNAPSHOT, depth(17, 18, 10), depth(31, 32, 18))
    assert [event.final_id for event in read(futures)] == [10, 18, 32]
    spot = made(
        tmp_path / "s.gz", spot_depth(5, 9), SNAPSHOT, spot_depth(10, 10), spot_depth(10, 12), spot_depth(13, 13)
    )
    assert [event.final_id for event in read(spot)] == [10, 12, 13]
    again = made(tmp_path / "t.gz", SNAPSHOT, depth(11, 12, 10), {**SNAPSHOT, "lastUpdateId": 12}, depth(13, 13, 12))
    assert [event.final_id for event in read(again)] == [10, 12, 13]  # a snapshot of what is known adds nothing


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
    assert "line 3: depth updates are missing" in refusal(path)
    assert "line 2" in refusal(made(tmp_path / "s.gz", SNAPSHOT, depth(15, 16, 14)))
    assert "line 3" in refusal(made(tmp_path / "t.gz", SNAPSHOT, spot_depth(11, 12), spot_depth(14, 15)))
    assert "line 2" in refusal(made(tmp_path / "u.gz", SNAPSHOT, spot_depth(12, 13)))


def test_an_update_that_is_there_twice_is_named_with_its_line(tmp_path):
    twice = made(tmp_path / "r.gz", SNAPSHOT, depth(11, 12, 10), depth(11, 12, 10))
    assert "line 3: a depth update goes back" in refusal(twice)
    assert "line 3" in refusal(made(tmp_path / "s.gz", SNAPSHOT, spot_depth(11, 12), spot_depth(12, 13)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_line_that_is_missing_from_a_written_recording_is_a_gap(tmp_path, written_in, kind):
    lines = gzip.decompress(Path(written_in(kind)).read_bytes()).splitlines(keepends=True)
    updates = [number for number, line in enumerate(lines) if b"depthUpdate" in line]
    missing = updates[len(updates) // 2]
    path = made(tmp_path / "gap.gz", *lines[:missing], *lines[missing + 1 :])
    following = updates[len(updates) // 2 + 1]
    assert f"line {following}: depth updates are missing" in refusal(path)  # one line fewer: counted from 1


def test_what_no_book_is_made_of_is_passed_over_and_counted(tmp_path):
    others = [
        {"stream": "x@aggTrade", "data": {"a": 7, "p": "1", "q": "1", "m": True}},
        {"stream": "x@depth5@100ms", "data": {"b": 1}},
        trade("0", "0", sold=True, X="NA"),
        {"code": -1003, "msg": "Too many requests"},
    ]
    names_orders = trade("100.5", "1", sold=True, b=88, a=50, M=True)
    recording = Recording(made(tmp_path / "r.gz", SNAPSHOT, spot_depth(11, 12), *others, names_orders))
    assert [type(event) for event in recording.synchronised()] == [Depth, Depth, Print]
    assert recording.passed_over == {"another stream": 2, "a trade outside the book": 1, "a refused snapshot": 1}


MIXED = {
    "kinds": (depth(11, 12, 10), spot_depth(13, 14)),
    "pairs": (depth(11, 12, 10), depth(13, 14, 12, ps="XUSD")),
    "symbols": (depth(11, 12, 10), depth(13, 14, 12, stream="y")),
    "a snapshot of COIN-M": (depth(11, 12, 10), {**SNAPSHOT, "symbol": "X", "pair": "X"}),
    "trades of another symbol": (depth(11, 12, 10), trade("1", "1", sold=True, stream="y")),
}


@pytest.mark.parametrize("mixture", MIXED)
def test_mixed_files_are_named_with_the_line_that_does_not_belong(tmp_path, mixture):
    assert "line 3: is of" in refusal(made(tmp_path / "r.gz", SNAPSHOT, *MIXED[mixture]))


def test_files_of_an_unknown_kind_are_refused(tmp_path):
    bybit = {"topic": "orderbook.50.BTCUSDT", "type": "delta", "data": {}}
    assert "line 2: neither a stream" in refusal(made(tmp_path / "a.gz", SNAPSHOT, bybit))
    assert "line 2" in refusal(made(tmp_path / "b.gz", SNAPSHOT, {"stream": "x@depth", "data": None}))
    no_pu = spot_depth(11, 12)
    no_pu["data"]["ps"] = "XUSD"
    assert "of none of USD-M, COIN-M and spot" in refusal(made(tmp_path / "c.gz", SNAPSHOT, no_pu))
    other = {"stream": "x@aggTrade", "data": {}}
    assert "no depth update" in refusal(made(tmp_path / "d.gz", SNAPSHOT, other))
    unfit = trade("1", "1", sold=True, stream="x\n")
    assert "line 2: 'x\\n' is not a symbol" in refusal(made(tmp_path / "f.gz", SNAPSHOT, unfit))
    assert "ids are out of order" in refusal(made(tmp_path / "e.gz", SNAPSHOT, depth(13, 12, 10)))


def test_files_that_cannot_be_played_are_refused_in_one_sentence(tmp_path):
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
    assert "line 1" in refusal(made(tmp_path / "e.gz", SNAPSHOT, depth(11, 12, 10)), tick_size=0.3)
    assert "line 1" in refusal(made(tmp_path / "f.gz", SNAPSHOT, depth(11, 12, 10)), lot_size=0.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_truncated_or_damaged_file_is_named_with_its_line(tmp_path, written_in, part, kind):
    whole = Path(written_in(kind)).read_bytes()
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole[: int(len(whole) * part)])
    assert "line " in refusal(str(cut))
    damaged = tmp_path / "damaged.gz"
    at = int(len(whole) * part)
    damaged.write_bytes(whole[:at] + bytes(byte ^ 0xFF for byte in whole[at : at + 40]) + whole[at + 40 :])
    assert "line " in refusal(str(damaged))


@pytest.mark.parametrize("step", [1e-9, 1.5e-8, 0.123456789])
def test_a_step_finer_than_a_recording_can_have_is_refused_rather_than_ignored(written_in, step):
    with pytest.raises(InputFileError, match="1e-8"):
        Recording(written_in(Kind.USD_M), step, None)
    with pytest.raises(InputFileError, match="--lot"):
        Recording(written_in(Kind.USD_M), None, step)
