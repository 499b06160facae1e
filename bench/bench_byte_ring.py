"""The ring of messages of any length, beside its floor in C and beside what else carries bytes.

A regression of the round trip means that the hand-over of one message got dearer: in C, if the C rows got slower with
it, else at the Python boundary. One of the throughput at 64 KiB means that more is copied; at 64 B, that the calls cost
more. Three repeats: the peers take most of the time.
"""

from collections.abc import Callable
from typing import Any

import _harness
import pytest
from _byte_ways import OURS, MessageBatch, from_c
from _harness import Figures, contest, in_full
from _peers import BYTE_PEERS, FasterFifoBatch
from _targets import MESSAGE_SIZES, MESSAGE_THROUGHPUT, MESSAGE_TRIP

SIZES = pytest.mark.parametrize("length", MESSAGE_SIZES)
TURNS = 3


def turns() -> int:
    return min(TURNS, _harness.repeats())


@pytest.mark.benchmark(group="byte ring")
@SIZES
def bench_message_round_trip(benchmark: Any, length: int) -> None:
    """A sends a message, B on another core sends one back, A has it. "mftcore" and "C" rows spin, as iceoryx2 does."""
    contestants: dict[str, Callable[[], Figures]] = {
        "C byte ring, copied": from_c("round_trip", length, 50_000),
        "C byte ring, in place": from_c("round_trip_claim", length, 50_000),
    }
    contestants |= {way.name: way(length).round_trip for way in (*OURS, *BYTE_PEERS)}
    contestants = in_full(first=length == MESSAGE_SIZES[-1], contestants=contestants)
    contest(benchmark, MESSAGE_TRIP.format(length), contestants, key="p50", turns=turns())


@pytest.mark.benchmark(group="byte ring")
@SIZES
def bench_message_throughput(benchmark: Any, length: int) -> None:
    """One way, as fast as both can, with room for 1,024 messages, or for 8 MiB of them."""
    contestants: dict[str, Callable[[], Figures]] = {
        "C byte ring, copied": from_c("throughput", length, 1_000_000),
        "C byte ring, in place": from_c("throughput_claim", length, 1_000_000),
        "C byte ring, batches of 64": from_c("throughput_batch", length, 3_200_000),
    }
    contestants |= {way.name: way(length).throughput for way in (*OURS, MessageBatch, *BYTE_PEERS, FasterFifoBatch)}
    contestants = in_full(first=length == MESSAGE_SIZES[-1], contestants=contestants)
    contest(benchmark, MESSAGE_THROUGHPUT.format(length), contestants, key="million_per_s", turns=turns())
