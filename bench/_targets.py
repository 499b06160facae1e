"""The numbers to reach: one row each, as ratios of figures taken in the same turn of the same run."""

from dataclasses import dataclass
from typing import Any

from _report import Table, ratio

ROUND_TRIP = "round trip, 64-byte records, ns"
THROUGHPUT = "throughput, 64-byte records, one way"
MESSAGE_SIZES = (64, 1024, 65536)
MESSAGE_TRIP = "round trip, messages of {:,} bytes, ns"
MESSAGE_THROUGHPUT = "throughput, messages of {:,} bytes, one way"
FAN_READERS = (1, 2, 8)
FAN_SATURATED = "broadcast to {} readers, saturating writer, records a reader"
FAN_PACED = "broadcast to {} readers, paced, one way, ns"
ASYNC_TRIP = "round trip between two event loops, 64-byte records, ns"
ASYNC_RATE = "throughput to a task, 64-byte records"
NOPYTHON = "inside nopython code, one process: {}, ns"
READ_IDLE = "book window of 2,400 bytes, read, idle writer, ns"
READ_BUSY = "book window of 2,400 bytes, read, saturating writer, ns"
ORDER_LIFE = "orders, ns per message of an order's life, 100 live"
MODEL = "model: one call, ns"
MATCHES = "embedded exchange, thousand matches a second"
START = "starting, seconds"
BOOK_TO_TARGET = "strategy, book published to target published, ns"
TURN = "strategy, one turn, ns"
EXCHANGE_FEED = "embedded exchange, 2,500 book changes/s, share of a core"
EXCHANGE_HOLD = "embedded exchange, 1,000 resting orders, growth in MB"
BOUND = "mftcore bound record"
ONE_CALL = (BOUND, "mftcore push(bytes), pop_into(bytearray)", "mftcore push(bytes), pop()")
BATCHES = "mftcore batches of 64"
NUMBA = "mftcore from Numba"
ASYNC_BATCHES = "mftcore batches()"
EVENTFD = "memoryview ring + eventfd"
WINDOW = "mftcore read(), 50 levels"
BLACKBOARD = "iceoryx2 blackboard"


@dataclass(frozen=True)
class Target:
    """A number to reach. `bar` and `aim` are limits: upper ones, unless `at_least`."""

    what: str
    found: float | None
    unit: str
    bar: float
    aim: float | None = None
    at_least: bool = False

    @property
    def met(self) -> str:
        if self.found is None:
            return "not measured"
        reached = [
            limit is not None and (self.found >= limit if self.at_least else self.found <= limit)
            for limit in (self.bar, self.aim)
        ]
        return "aim" if reached[1] else "yes" if reached[0] else "NO"


def _plain(measure: str, contestant: str) -> float | None:
    table = Table.all.get(measure)
    return table.value(contestant) if table else None


def _trip(over: str, under: str) -> float | None:
    return ratio((ROUND_TRIP, over), (ROUND_TRIP, under))


def _rate(over: str, under: str) -> float | None:
    return ratio((THROUGHPUT, over), (THROUGHPUT, under))


def ring_targets() -> list[Target]:
    claim, rigtorp = "C ring, claim", "C rigtorp's design rebuilt"
    single = max((found for name in ONE_CALL if (found := _plain(THROUGHPUT, name)) is not None), default=None)
    fifo, zmq, iceoryx = "faster-fifo batches of 64", "pyzmq PAIR ipc", "iceoryx2 pub/sub polled"
    return [
        Target("C ring claim/commit / rigtorp's design, 64 B throughput", _rate(claim, rigtorp), "x", 0.9, 1.0, True),
        Target("C ring claim/commit / rigtorp's design, 64 B round trip", _trip(claim, rigtorp), "x", 1.15, 1.0),
        Target("Python round trip, bound record, spin / C ring", _trip(BOUND, "C ring"), "x", 1.6, 1.3),
        Target("Numba to Numba round trip, spin / C ring", _trip(NUMBA, "C ring"), "x", 1.3, 1.1),
        Target("Python, one call per message, 64 B", single, "M/s", 12, 20, True),
        Target("Python, batches of 64 / C batches of 64", _rate(BATCHES, "C ring, batches of 64"), "x", 0.4, 0.6, True),
        Target("64 B throughput, our batches / faster-fifo batches", _rate(BATCHES, fifo), "x", 40, None, True),
        Target("64 B throughput, our batches / pyzmq", _rate(BATCHES, zmq), "x", 40, None, True),
        Target("round trip, iceoryx2 polled / ours, bound record", _trip(iceoryx, BOUND), "x", 10, None, True),
    ]


def book_targets() -> list[Target]:
    read = "book window read from Python / iceoryx2 blackboard, 2,400 bytes, "
    return [
        Target(read + "idle", ratio((READ_IDLE, WINDOW), (READ_IDLE, BLACKBOARD)), "x", 0.2),
        Target(read + "saturating writer", ratio((READ_BUSY, WINDOW), (READ_BUSY, BLACKBOARD)), "x", 0.25),
    ]


def order_targets() -> list[Target]:
    return [Target("order transitions in C, with table and fills", _plain(ORDER_LIFE, "C table"), "ns", 100)]


def async_targets() -> list[Target]:
    found = ratio((ASYNC_RATE, f"{ASYNC_BATCHES}, asyncio"), (ASYNC_RATE, f"{EVENTFD}, asyncio"))
    return [Target("asyncio consumer, batches / memoryview ring + eventfd, 64 B", found, "x", 0.8, 3.0, True)]


def exchange_targets() -> list[Target]:
    what = "embedded exchange, core, "
    matches = [
        Target(f"{what}{way}", _plain(MATCHES, f"mftpy core, {way}"), "k/s", 50, None, True)
        for way in ("a client sweeps 100 orders", "an insert and a taking insert")
    ]
    feed = "embedded exchange, 2,500 book changes/s to 3 subscribers"
    return [*matches, Target(feed, _plain(EXCHANGE_FEED, "3 subscribers"), "cores", 0.5)]


def loop_targets() -> list[Target]:
    what = "book published to target published, yield, one core, p50"
    return [Target(what, _plain(BOOK_TO_TARGET, "mftpy yield, one core"), "ns", 3000)]


def model_targets() -> list[Target]:
    found = _plain(MODEL, "Avellaneda-Stoikov, stationary, 5 levels")
    return [Target("model call, 10 levels of the book in, 5 levels out", found, "ns", 1000, 100)]


def start_targets() -> list[Target]:
    return [
        Target("import mftcore", _plain(START, "import mftcore"), "s", 0.15),
        Target("mftpy --help", _plain(START, "mftpy --help"), "s", 0.4),
    ]


GROUPS = (
    ring_targets,
    book_targets,
    order_targets,
    async_targets,
    exchange_targets,
    model_targets,
    loop_targets,
    start_targets,
)
"""One function for each subject, in the order in which they are printed."""


def targets() -> list[Target]:
    return [target for group in GROUPS for target in group()]


def lines() -> list[str]:
    """Return the table of what was reached, for those rows of which anything was measured."""
    rows = targets()
    width = max(len(row.what) for row in rows) + 2
    text = [f"{'numbers to reach':<{width}}{'measured':>12}{'bar':>10}{'aim':>8}   met?"]
    for row in rows:
        sign = ">=" if row.at_least else "<="
        found = "-" if row.found is None else f"{row.found:.3g} {row.unit}"
        aim = "" if row.aim is None else f"{row.aim:g}"
        text.append(f"{row.what:<{width}}{found:>12}{sign + format(row.bar, 'g'):>10}{aim:>8}   {row.met}")
    return text


def rows() -> list[dict[str, Any]]:
    """Return the same for the file of raw results."""
    return [
        {
            "what": row.what,
            "measured": row.found,
            "unit": row.unit,
            "limit": "at least" if row.at_least else "at most",
            "bar": row.bar,
            "aim": row.aim,
            "met": row.met,
        }
        for row in targets()
    ]
