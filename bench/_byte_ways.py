"""The ways of a `ByteRing`: messages of any length, here of one length at a time, as the other ways carry them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from _harness import Figures, c_program, scaled, two_cores
from _ways import BATCH, LONG_BYTES, Way, room

from mftcore import ByteRing

MOST_C_BYTES = 2 << 30  # in one measurement


class Messages(Way):
    """What the levels of a `ByteRing` share."""

    def make(self) -> ByteRing:
        taken = self.record_bytes + 16  # of the ring: its header, and the rounding up
        return ByteRing.create(room(self.record_bytes) * taken)

    def close(self, channel: ByteRing) -> None:
        channel.close()


class MessageBytes(Messages):
    name = "mftcore push(bytes), pop()"
    calls = "bytes"

    def sender(self, channel: ByteRing) -> Callable[..., Any]:
        return channel.producer().push

    def receiver(self, channel: ByteRing) -> Callable[..., Any]:
        return channel.consumer().pop


class MessageInPlace(Messages):
    """Written where it lies, and read there: the receiver copies nothing."""

    name = "mftcore claim(), peek()"
    calls = "bytes"

    def sender(self, channel: ByteRing) -> Callable[..., Any]:
        claim, size = channel.producer().claim, self.record_bytes

        def send(record: bytes) -> bool:
            with claim(size) as lent:
                view = lent.view
                if view is None:
                    return False
                view[:] = record
            return True

        return send

    def receiver(self, channel: ByteRing) -> Callable[..., Any]:
        peek = channel.consumer().peek

        def take() -> bool | None:
            with peek() as lent:
                return None if lent.view is None else True

        return take


class MessageBatch(Messages):
    name = f"mftcore batches of {BATCH}"
    calls = "bytes"
    messages = 1_600_000

    def sender(self, channel: ByteRing) -> Callable[..., Any]:
        return channel.producer().push_many

    def receiver(self, channel: ByteRing) -> Callable[..., Any]:
        return channel.consumer().pop_many

    def produce(self, there: Any, count: int) -> None:
        many = [self.record] * BATCH
        for _ in range(count // BATCH):
            sent = there(many)
            while sent < BATCH:  # the rest of this batch
                sent += there(many[sent:])

    def consume(self, there: Any, count: int) -> None:
        got = 0
        while got < count:
            got += len(there(min(BATCH, count - got)))


OURS: tuple[type[Messages], ...] = (MessageBytes, MessageInPlace)


def from_c(measure: str, length: int, count: int) -> Callable[[], Figures]:
    """Return the same from C: see bench/c/bench_byte_ring.c."""
    count = min(count * LONG_BYTES // max(length, LONG_BYTES), MOST_C_BYTES // length)
    return partial(
        c_program, "bench_byte_ring.c", measure, length, room(length), max(scaled(count, 1000), 1000), *two_cores()
    )
