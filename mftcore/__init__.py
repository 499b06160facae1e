"""Typed, crash-safe shared-memory structures for processes on one Linux machine.

Every structure is made with ``create``, found again with ``attach`` or given to a child process as an argument; its
handle holds no role, its endpoints (producer, writer, reader, ...) do. See ``docs/shared-memory.md``.
"""

from pathlib import Path

from mftcore.doorbell import Doorbell
from mftcore.errors import (
    ClosedError,
    ForkedError,
    KernelError,
    LayoutError,
    MemoryRefused,
    MftError,
    NameInUse,
    NoSuchSegment,
    RecordError,
    RoleBusy,
    RoleTaken,
    UnsafePath,
    Unstable,
)
from mftcore.ring import RingCounters, SpscConsumer, SpscProducer, SpscRing
from mftcore.version import __version__

__all__ = [
    "ClosedError",
    "Doorbell",
    "ForkedError",
    "KernelError",
    "LayoutError",
    "MemoryRefused",
    "MftError",
    "NameInUse",
    "NoSuchSegment",
    "RecordError",
    "RingCounters",
    "RoleBusy",
    "RoleTaken",
    "SpscConsumer",
    "SpscProducer",
    "SpscRing",
    "UnsafePath",
    "Unstable",
    "__version__",
    "get_include",
]


def get_include() -> str:
    """Return the directory for the C compiler's ``-I``; then ``#include "mftcore/ring.h"``."""
    return str(Path(__file__).parent / "include")
