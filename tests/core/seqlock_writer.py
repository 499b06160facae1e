"""A writer in a process of its own, for the tests of `Seqlock`: strict sequence and epoch in every word."""

import struct
import sys

WORDS = 32


def value(epoch: int, number: int) -> bytes:
    """Return a record whose every pair of words is (epoch, number)."""
    return struct.pack("<QQ", epoch, number) * (WORDS // 2)


def write_without_pause(lock, ready, limit: int = sys.maxsize) -> None:
    """Write values counted from the last one on, until killed."""
    data, stamp = lock.reader().read()
    number = struct.unpack_from("<Q", data, 8)[0] if stamp.version else 0
    with lock.writer() as writer:
        ready.set()
        for _ in range(limit):
            number += 1
            writer.write(value(writer.epoch, number))
