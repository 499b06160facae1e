"""Typed, crash-safe shared-memory structures for processes on one Linux machine.

Every structure is made with ``create``, found again with ``attach`` or given to a child process as an argument; its
handle holds no role, its endpoints (producer, writer, reader, ...) do. See ``docs/shared-memory.md``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mftcore.book import (
    BOOK_CROSSED,
    BOOK_EMPTY,
    BOOK_ONE_SIDED,
    BOOK_RESYNCING,
    BOOK_STALE,
    LEVEL,
    BookReader,
    BookStamp,
    BookWriter,
    MasterBook,
    SeqlockBook,
)
from mftcore.broadcast import Broadcast, BroadcastReader, BroadcastWriter
from mftcore.byte_ring import ByteConsumer, ByteProducer, ByteRing, BytesCounters
from mftcore.doorbell import Doorbell
from mftcore.endpoint import wait_any
from mftcore.errors import (
    ClosedError,
    ForkedError,
    JournalDamaged,
    JournalDiskError,
    JournalExists,
    JournalFull,
    KernelError,
    LayoutError,
    MemoryRefused,
    MftError,
    NameInUse,
    NoSuchJournal,
    NoSuchSegment,
    OrderTableFull,
    PeerDied,
    RecordError,
    RoleBusy,
    RoleTaken,
    UnknownOrder,
    UnsafePath,
    Unstable,
)
from mftcore.histogram import Histogram, HistogramRecorder
from mftcore.journal import Journal
from mftcore.journal_reader import JournalReader, JournalRecord
from mftcore.journal_writer import JournalDrainer, JournalWriter
from mftcore.orders import Order, OrderManager, OrderState
from mftcore.ring import RingCounters, SpscConsumer, SpscProducer, SpscRing
from mftcore.seqlock import Seqlock, SeqlockReader, SeqlockWriter, Stamp
from mftcore.version import __version__
from mftcore.wait_modes import GapWatch, WaitChoice, WaitMode, choose_wait_mode

if TYPE_CHECKING:
    from mftcore.named_memory import Removal, RoleInfo, SegmentInfo, inspect_segment, remove_dead, segments

__all__ = [
    "BOOK_CROSSED",
    "BOOK_EMPTY",
    "BOOK_ONE_SIDED",
    "BOOK_RESYNCING",
    "BOOK_STALE",
    "LEVEL",
    "BookReader",
    "BookStamp",
    "BookWriter",
    "Broadcast",
    "BroadcastReader",
    "BroadcastWriter",
    "ByteConsumer",
    "ByteProducer",
    "ByteRing",
    "BytesCounters",
    "ClosedError",
    "Doorbell",
    "ForkedError",
    "GapWatch",
    "Histogram",
    "HistogramRecorder",
    "Journal",
    "JournalDamaged",
    "JournalDiskError",
    "JournalDrainer",
    "JournalExists",
    "JournalFull",
    "JournalReader",
    "JournalRecord",
    "JournalWriter",
    "KernelError",
    "LayoutError",
    "MasterBook",
    "MemoryRefused",
    "MftError",
    "NameInUse",
    "NoSuchJournal",
    "NoSuchSegment",
    "Order",
    "OrderManager",
    "OrderState",
    "OrderTableFull",
    "PeerDied",
    "RecordError",
    "Removal",
    "RingCounters",
    "RoleBusy",
    "RoleInfo",
    "RoleTaken",
    "SegmentInfo",
    "Seqlock",
    "SeqlockBook",
    "SeqlockReader",
    "SeqlockWriter",
    "SpscConsumer",
    "SpscProducer",
    "SpscRing",
    "Stamp",
    "UnknownOrder",
    "UnsafePath",
    "Unstable",
    "WaitChoice",
    "WaitMode",
    "__version__",
    "choose_wait_mode",
    "get_include",
    "inspect_segment",
    "remove_dead",
    "segments",
    "wait_any",
]

_NAMED_MEMORY = {"Removal", "RoleInfo", "SegmentInfo", "inspect_segment", "remove_dead", "segments"}


def __getattr__(name: str) -> Any:
    """Import the calls for named memory when they are first used: processes that trade start sooner without them."""
    if name in _NAMED_MEMORY:
        from mftcore import named_memory

        return getattr(named_memory, name)
    raise AttributeError(f"module 'mftcore' has no attribute {name!r}")


def get_include() -> str:
    """Return the directory for the C compiler's ``-I``; then ``#include "mftcore/ring.h"``."""
    return str(Path(__file__).parent / "include")
