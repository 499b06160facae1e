"""One turn of the strategy: what it reads, passes on, counts and remembers, on real shared structures."""

import mmap
from types import SimpleNamespace

import numpy as np
import pytest

from mftcore import BOOK_RESYNCING, BOOK_STALE, ClosedError, Journal, RoleTaken
from mftpy import decisions, records
from mftpy.model.by_address import compile_model
from mftpy.processes.strategy import Strategy
from mftpy.records import Command, Mode, Reason, Side
from tests.py.strategy_world import MS, SECOND, START_NS, World, code_of


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


def quoted(target):
    return int(target["n_bids"]), int(target["n_asks"])


def test_a_book_update_that_moves_the_quotes_is_named_as_their_cause_also_by_later_targets(world):
    world.show(617_000, START_NS + 100)
    assert world.turn()["cause_version"] == 0  # it was there before the strategy
    world.show(617_100, START_NS + 200)
    target = world.turn()
    assert (target["cause_version"], target["cause_receive_ns"]) == (target["book_version"], START_NS + 200)
    world.show(617_101, START_NS + 300)  # too small a move to ask for anything else
    later = world.turn()
    assert later["book_version"] > target["book_version"]
    assert (later["cause_version"], later["cause_receive_ns"]) == (target["cause_version"], START_NS + 200)


def test_a_fill_that_moves_the_quotes_is_no_book_update(world):
    world.show(617_000, START_NS + 100)
    world.turn()
    world.show(617_100, START_NS + 200)
    before = world.turn()
    world.change_account(position_lots=30)
    after = world.turn()
    assert after["bid_ticks"][0] < before["bid_ticks"][0] - 10
    assert after["cause_version"] == before["cause_version"]


def failing(x, out):
    if x.position != 0.0:
        raise ValueError("a position")


def test_a_model_that_keeps_failing_is_told_once_while_it_runs_and_counted_at_the_end():
    world = World({"model.failures_to_reducing": 3}, code=code_of("glft")._replace(model=compile_model(failing)))
    told = []
    part = Strategy.__new__(Strategy)
    part.loop, part._config, part._told_of_reducing = world.loop, world.config, False
    part._child = SimpleNamespace(
        send=lambda *message: told.append(message), enter=lambda state: None, orphaned=False,
        status=world.strategy_status,
    )  # fmt: skip
    for number in range(6):
        world.show(617_000 + number, world.now_ns)
        world.change_account(position_lots=30 * (number > 0))
        world.turn()
        if number != 3:  # the third failure in a row
            part.look_at_model()
        if number == 3:
            world.change_account(position_lots=0)
            world.turn()  # it answers again before anybody looks
        assert len(told) == (number > 3)
    part.close()
    world.close()
    assert [kind for kind, _ in told] == ["warning", "warning"]
    assert told[0][1].startswith("the model failed 3 times in a row: only what reduces the position")
    assert told[1][1] == "the model failed in 5 of 7 decisions"


def test_nothing_is_asked_for_without_an_account_or_after_the_stop(world):
    world.show(617_000, START_NS + 100)
    assert quoted(world.turn()) == quoted(world.turn()) == (1, 1)
    world.order(Command.STOP_QUOTING)
    stopping = world.turn()
    assert (quoted(stopping), world.reasons) == ((0, 0), Reason.STOPPING)
    world.order(Command.RUN)
    world.change_account(ready=0)
    assert quoted(world.turn()) == (0, 0)
    assert world.reasons == Reason.ACCOUNT_NOT_READY


def test_a_loop_that_nobody_commands_any_more_asks_for_nothing(world):
    world.show(617_000, START_NS + 100)
    assert quoted(world.turn()) == (1, 1)
    world.loop.orphaned = True
    assert quoted(world.turn()) == (0, 0)
    assert world.reasons == Reason.STOPPING


def test_reducing_and_halted_are_obeyed_by_the_very_next_turn(world):
    world.show(617_000, START_NS + 100)
    world.change_account(position_lots=30)
    assert quoted(world.turn()) == (1, 1)
    world.order(mode=Mode.REDUCING)
    assert quoted(world.turn()) == (0, 1)
    assert world.reasons & Reason.REDUCING
    world.order(mode=Mode.HALTED)
    assert quoted(world.turn()) == (0, 0)
    assert world.reasons & Reason.HALTED
    world.order(mode=Mode.RUN)
    assert quoted(world.turn()) == (1, 1)


def test_a_silent_exchange_makes_the_book_stale_by_the_clock_alone(world):
    world.show(617_000, START_NS + 100)
    assert quoted(world.turn()) == (1, 1)
    version = world.targets.version
    limit_ns = int(world.config.limits.stale_feed_s * SECOND)
    assert quoted(world.turn(later_ns=limit_ns, heard=False)) == (1, 1)
    assert quoted(world.turn(later_ns=1, heard=False)) == (0, 0)  # nothing else has happened
    assert world.reasons == Reason.BOOK_STALE
    assert world.targets.version == version + 2
    assert quoted(world.turn()) == (1, 1)  # a pong is enough: the book stands, and the market is quiet


def test_a_book_that_stands_while_the_index_moves_is_frozen_by_the_clock_alone(world):
    limits = world.config.limits
    world.show(617_000, START_NS + MS)
    assert quoted(world.turn()) == (1, 1)
    moved = 61_700.0 * (1 + 2e-4 * limits.frozen_book_bps)
    world.set_index(moved, world.now_ns)
    assert quoted(world.turn()) == (1, 1)
    frozen_ns = int(limits.frozen_book_s * SECOND)
    world.set_index(moved, world.now_ns + frozen_ns)
    assert quoted(world.turn(later_ns=frozen_ns)) == (0, 0)
    assert world.reasons & Reason.BOOK_FROZEN


@pytest.mark.parametrize(
    ("state", "reason"), [(BOOK_STALE, Reason.BOOK_STALE), (BOOK_RESYNCING, Reason.BOOK_NOT_READY)]
)
def test_a_book_in_doubt_is_not_quoted_on(world, state, reason):
    assert quoted(world.turn()) == (0, 0)
    assert world.reasons == Reason.BOOK_NOT_READY  # never published
    world.show(617_000, START_NS + 100)
    assert quoted(world.turn()) == (1, 1)
    world.book.mark(state)
    assert quoted(world.turn()) == (0, 0)
    assert world.reasons == reason


def test_a_dead_market_data_process_makes_the_book_stale(world):
    world.show(617_000, START_NS + 100)
    assert quoted(world.turn()) == (1, 1)
    world.book.close()
    assert quoted(world.turn(later_ns=2 * MS)) == (0, 0)
    assert world.reasons == Reason.BOOK_STALE


def test_execution_is_woken_for_what_differs_and_for_every_fill_that_has_become_known(world):
    bell = world.links.execution_bell

    def woken():
        bell.arm()
        world.turn()
        return bell.disarm()

    world.show(617_000, START_NS + 100)
    assert woken()
    assert not woken()
    world.show(617_001, START_NS + 200)  # less than the threshold
    assert not woken()
    world.show(617_100, START_NS + 300)
    assert woken()
    for fills, expected in ((1, True), (1, False), (2, True)):
        world.change_account(fills=fills)  # the position is the same again: nothing else is wanted
        assert woken() == expected
        assert world.target()["account_fills"] == fills


def test_execution_is_woken_when_a_side_is_held_and_when_it_no_longer_is(world):
    bell = world.links.execution_bell
    world.show(617_000, START_NS + 100)
    target = world.turn()
    bid = int(target["bid_ticks"][0])
    world.change_account(n_own=1, own_side=[int(Side.BUY)], own_ticks=[bid], own_lots=[10])
    world.turn()
    bell.arm()
    world.print_trade(bid, -1, world.now_ns)
    assert world.turn()["hold_bids"] == 1
    assert world.reasons & Reason.BID_POSSIBLY_FILLED
    assert bell.disarm()
    bell.arm()
    world.change_account(fills=1, position_lots=10, n_own=0)
    assert world.turn()["hold_bids"] == 0
    assert bell.disarm()


def seqlock_words(seqlock, version):
    """Return the memory of a seqlock, and which words of it hold `version` twice: newest and begun."""
    memory = mmap.mmap(seqlock.fileno(), 0)
    words = np.frombuffer(memory, np.uint64)
    (places,) = np.nonzero((words[:-1] == version) & (words[1:] == version))
    assert len(places) == 1
    return words, int(places[0])


@pytest.mark.parametrize("name", ["control", "book", "account", "ticker", "market_data"])
def test_a_turn_that_cannot_read_a_record_whole_decides_nothing_and_is_made_up_for(world, name):
    writes = 12_345
    world.show(617_000, START_NS + 100)
    world.turn()
    reader = getattr(world.links, name).reader()
    writer, value = {
        "control": (world.control.write, records.blank(records.CONTROL)),
        "book": (None, None),
        "account": (world.account_writer.write, world.account),
        "ticker": (world.ticker.write, records.blank(records.TICKER)),
        "market_data": (world.status_writer.write, world.status),
    }[name]
    while reader.version < writes:
        world.book.mark(0) if writer is None else writer(value)
    world.heard(world.now_ns)
    world.turn()
    before = world.targets.version, int(world.strategy_status["turns"][0])
    words, begun = seqlock_words(getattr(world.links, name), reader.version)
    world.book.mark(0) if writer is None else writer(value)
    whole = words[begun + 1]
    words[begun + 1] = whole + 1000  # a writer that goes round faster than anybody can read
    for given_up in (1, 2):
        assert not world.loop.turn(world.now_ns + given_up)
        assert world.loop.unstable == given_up
    assert (world.targets.version, int(world.strategy_status["turns"][0])) == before  # no progress is claimed
    words[begun + 1] = whole
    world.turn()
    assert world.targets.version == before[0] + 1
    reader.close()
    del words


def test_trades_are_taken_in_every_turn_whether_or_not_the_book_changes(world):
    world.show(617_000, START_NS + 100)
    for number in range(600):
        assert world.print_trade(617_001, 1, START_NS + number)
    world.turn()
    assert world.strategy_status["trades"][0] == 600
    world.print_trade(617_001, 1, START_NS + 900)
    world.turn()
    assert world.strategy_status["trades"][0] == 601


def test_trades_that_found_no_room_are_counted(world):
    world.show(617_000, START_NS + 100)
    room = np.zeros(16_384 + 7, records.TRADE)
    assert world.trades.push_many(room) == 16_384
    world.turn()
    assert (world.strategy_status["trades"][0], world.strategy_status["dropped"][0]) == (16_384, 7)
    assert world.loop.estimates.record["lost_trades"][0] == 7


def test_every_turn_is_told_in_the_status_with_its_time(world):
    status, reader = records.blank(records.STATUS), world.links.strategy.reader()
    for turns in (1, 2, 3):
        world.turn()
        reader.read_into(status)
        assert (status["turns"][0], status["decisions"][0], status["published"][0]) == (turns, turns, turns)
        assert status["turn_ns"][0] == world.now_ns
    reader.close()


def test_every_decision_is_appended_to_the_journal_and_one_it_has_no_room_for_is_counted(tmp_path):
    journal = Journal.create(tmp_path / "decisions", memory_bytes=1 << 16, file_bytes=1 << 16)
    writer, reader = journal.writer(), journal.reader()
    world = World(journal=writer)
    world.show(617_000, START_NS + 100)
    kept, refused = [], 0
    while not refused:
        world.turn()
        refused = world.loop.journal_refused
        kept.append(world.loop.quoter.decision.tobytes())
    assert [bytes(record.payload) for record in reader][: len(kept) - 1] == kept[:-1]
    assert len(kept) > 10
    assert refused == 1 == writer.refused
    target = world.turn()  # nobody waits for the disk
    assert (target["decision_id"], world.loop.journal_refused) == (len(kept) + 1, 2)
    world.close()
    writer.close()
    reader.close()
    journal.writer(drain=True).close()  # nothing stays in memory
    journal.close()


def play(seed):
    """Let a strategy live through a made market; returns every decision and target as bytes."""
    rng, world, told = np.random.default_rng(seed), World({"model.A_per_s": "estimated"}), []
    mid = 617_000
    for step in range(300):
        mid += int(rng.integers(-30, 31))
        world.now_ns += int(rng.integers(0, 200 * MS))
        if rng.random() < 0.9:
            world.show(mid, world.now_ns, state=BOOK_STALE if rng.random() < 0.03 else 0)
        for _ in range(rng.integers(0, 4)):
            side = int(rng.choice([-1, 1]))
            world.print_trade(mid + side * int(rng.integers(1, 60)), side, world.now_ns)
        if rng.random() < 0.2:
            world.change_account(position_lots=int(rng.integers(-120, 120)), fills=step)
        if rng.random() < 0.2:
            world.set_index(mid * 0.1 + rng.normal())
        target = world.turn(heard=rng.random() < 0.95).copy()
        target["published_ns"] = 0  # the publisher's own clock, not ours
        told.append((world.loop.quoter.decision.tobytes(), target.tobytes()))
    estimates = world.loop.estimates.record.tobytes()
    world.close()
    return told, estimates


def test_the_same_input_at_the_same_times_gives_the_same_bytes():
    first, estimates = play(5)
    assert play(5) == (first, estimates)
    other, _ = play(6)
    assert first != other
    assert len({decision for decision, _ in first}) == len(first)


def test_the_record_of_a_decision_is_the_one_that_the_target_came_from(world):
    world.show(617_000, START_NS + 100)
    target, decision = world.turn(), world.loop.quoter.decision[0]
    for name in ("decision_id", "reasons", "book_version", "position_lots", "decided_ns", "n_bids", "hold_bids"):
        assert target[name] == decision[name], name
    assert world.loop.quoter.decision.dtype == decisions.DECISION


def test_the_ends_are_claimed_once_and_given_back(world):
    with pytest.raises(RoleTaken):
        world.links.target.writer()
    world.loop.close()
    world.loop.close()
    world.links.target.writer().close()
    world.links.trades.consumer().close()
    with pytest.raises(ClosedError):
        world.loop.turn(START_NS)


def test_a_market_that_stands_still_is_decided_upon_all_the_same():
    """No estimate, price or count of an empty world is anything that could raise or stop a turn."""
    world = World({"model.sigma_usd_sqrt_s": "estimated", "model.k_per_usd": "estimated"})
    for now_ns in (0, 1, START_NS, START_NS - 10 * SECOND, 2**62):  # a clock may say anything
        assert world.loop.turn(now_ns)
        assert quoted(world.target()) == (0, 0)
    world.close()
