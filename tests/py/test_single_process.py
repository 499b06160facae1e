"""The loop of ``--mode single``: whoever fails, execution closes; what execution learns is decided upon at once."""

from types import SimpleNamespace

import pytest

from mftcore import LayoutError
from mftpy import records
from mftpy.errors import VenueError
from mftpy.links import Instrument, Links
from mftpy.processes import single
from mftpy.records import Command, Mode, State

TURNS = 4


class Parts:
    """Market data, strategy and execution that note when they are called; any of them can be made to fail."""

    def __init__(self, links, monkeypatch):
        self.links, self.events, self.said, self.states, self.fail = links, [], [], [], {}
        self.account_writer, self.tells_in = links.account.writer(), set()
        self.session = SimpleNamespace(
            fileno=lambda: 0, has_pending=False, wants_write=False, close=lambda: self.note("disconnected")
        )
        self.loop = SimpleNamespace(turn=lambda _now_ns: self.note("strategy"))
        for name, made in (
            ("Child", lambda name, *_: self.child(name)),
            ("Strategy", lambda *_, **__: SimpleNamespace(
                loop=self.loop, begin=lambda: None, look_at_model=lambda: None, close=dict)),
            ("MarketData", lambda *_: SimpleNamespace(
                session=self.session, turn=lambda: self.note("market data"), close=dict)),
            ("Executor", lambda *_: SimpleNamespace(
                session=self.session, open=lambda: None, begin=lambda: None, work=self.work, close=self.close)),
            ("Waiter", lambda *_: SimpleNamespace(
                want_write=lambda *_: None, wait=lambda *_: self.note("wait"), close=lambda: None)),
        ):  # fmt: skip
            monkeypatch.setattr(single, name, made)

    def note(self, what):
        self.events.append(what)
        if what in self.fail:
            raise self.fail[what]

    def work(self, _mode):
        self.note("execution")
        if self.events.count("execution") in self.tells_in:
            self.account_writer.write(records.blank(records.ACCOUNT))

    def close(self):
        self.note("cancelled")
        return {"orders_left_open": 0}

    def child(self, name):
        return SimpleNamespace(
            conn=SimpleNamespace(fileno=lambda: 0), mode=Mode.RUN, enter=self.states.append, resources=dict,
            send=lambda *words: self.said.append(words), freeze_garbage_collector=lambda: None,
            final=lambda report: self.said.append(("final", name, report)),
            command=lambda: Command.RUN if self.events.count("execution") < TURNS else Command.EXIT,
        )  # fmt: skip

    def run(self):
        job = SimpleNamespace(placement=SimpleNamespace(wait_mode="park"))
        single._loop(self.links, job, None, self.child("execution"), None, None)


@pytest.fixture
def parts(monkeypatch):
    links = Links.create(Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD"))
    yield Parts(links, monkeypatch)
    links.close()


@pytest.mark.parametrize(
    ("error", "code"),
    [(VenueError("lost"), 4), (LayoutError("the ring is damaged"), 5), (KeyError("never thought of"), 70)],
)
@pytest.mark.parametrize("part", ["market data", "strategy"])
def test_whatever_ends_market_data_or_strategy_execution_takes_its_orders_out(parts, part, error, code):
    parts.fail[part] = error
    with pytest.raises(SystemExit) as ended:
        parts.run()
    assert ended.value.code == code
    assert parts.events[-2:] == ["cancelled", "disconnected"]
    (told,) = [words for words in parts.said if words[0] == "error"]
    assert told[1] == code
    assert told[2].startswith(part)
    assert bool(told[3]) == (code != 4)  # what is no fault of the user's or the exchange's comes with its place
    finals = [words[1] for words in parts.said if words[0] == "final"]
    assert finals == ["execution", *({"market_data", "strategy"} - {part.replace(" ", "_")})]
    assert parts.states[-1] is State.FAILED


def test_what_execution_has_learnt_is_decided_upon_before_anybody_waits(parts):
    parts.tells_in = {2}
    parts.run()
    turn = ["market data", "strategy", "execution"]
    assert parts.events == [*turn, "wait", *turn, *turn, "wait", *turn, "wait", "cancelled", "disconnected"]
    assert [words[1] for words in parts.said] == ["execution", "market_data", "strategy"]
