"""The embedded exchange: what its process costs while it tells subscribers of 2,500 book changes a second.

`cpu_share` is the CPU time of the exchange's process per second of the clock, kernel included: 0.5 is half a core. A
regression means that changes got dearer in the core, or telling them did in the server. The row without subscribers is
the flow and the book alone. `growth_mb`, with 1,000 orders resting, is what the process holds more at the end than a
tenth into the time; an hour of it is `.ci/campaign exchange_hour`.
"""

from functools import partial
from typing import Any

import _harness
import pytest
from _exchange import feed, hold
from _harness import contest, two_cores
from _targets import EXCHANGE_FEED, EXCHANGE_HOLD


@pytest.mark.benchmark(group="exchange")
def bench_exchange_feed(benchmark: Any) -> None:
    """2,500 changes a second, one level and one notice each."""
    core, seconds = two_cores()[0], 0.5 if _harness.quick else 5.0
    contestants = {
        "3 subscribers": partial(feed, core, seconds, 3),
        "1 subscriber": partial(feed, core, seconds, 1),
        "nobody listens": partial(feed, core, seconds, 0),
    }
    if _harness.quick:
        del contestants["1 subscriber"]
    contest(benchmark, EXCHANGE_FEED, contestants, key="cpu_share", turns=1 if _harness.quick else 3)


@pytest.mark.benchmark(group="exchange")
def bench_exchange_memory(benchmark: Any) -> None:
    """20 sessions, 1,000 resting orders, 100 amends and 250 changes a second, everything told to everybody."""
    core = two_cores()[0]
    seconds, sessions, orders = (0.5, 4, 20) if _harness.quick else (30.0, 20, 1_000)
    contestants = {"20 sessions": partial(hold, core, seconds, sessions, orders)}
    contest(benchmark, EXCHANGE_HOLD, contestants, key="growth_mb", turns=1)
