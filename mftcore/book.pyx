"""`MasterBook` and `SeqlockBook`: lifetime, checks, words; the algorithms are ``include/mftcore/book.h``."""

import json
from collections import namedtuple

cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from mftcore.segment cimport (
    MFT_KIND_BOOK,
    MFT_OK,
    mft_now_ns,
    mft_segment_self,
    mft_watch_alive,
    mft_watch_close,
    mft_watch_init,
)
from mftcore.seqlock cimport (
    MFT_SEQLOCK_WRITER,
    mft_seqlock_data_bytes,
    mft_seqlock_open,
    mft_seqlock_read,
    mft_seqlock_version,
    mft_seqlock_write,
)

import numpy

from mftcore.errors import LayoutError, RecordError, Unstable

LEVEL = numpy.dtype([("price_ticks", "<i8"), ("size_lots", "<i8"), ("outright_lots", "<i8")])

BOOK_EMPTY = MFT_BOOK_EMPTY
BOOK_ONE_SIDED = MFT_BOOK_ONE_SIDED
BOOK_CROSSED = MFT_BOOK_CROSSED
BOOK_STALE = MFT_BOOK_STALE
BOOK_RESYNCING = MFT_BOOK_RESYNCING

BookStamp = namedtuple("BookStamp", [
    "version", "epoch", "age_ns", "writer_alive", "n_bids", "n_asks", "exchange_time_ns", "receive_ns", "published_ns",
    "state",
])
BookStamp.__doc__ = """What comes with every reading of a `SeqlockBook`.

Attributes
----------
version : int
    Counts the windows ever published; 0: none yet.
epoch : int
    Which writer published it, counted from 1.
age_ns : int
    Nanoseconds since its message was received; -1 when nothing was published.
writer_alive : bool
    Whether a live process holds the writing end; at most a millisecond old.
n_bids, n_asks : int
    Levels copied a side; what lies beyond them in the arrays was not touched.
exchange_time_ns : int
    Of the last message in it, by the exchange's clock.
receive_ns, published_ns : int
    CLOCK_MONOTONIC.
state : int
    ``BOOK_EMPTY | BOOK_ONE_SIDED | BOOK_CROSSED | BOOK_STALE | BOOK_RESYNCING``; 0 is a book to trade on.
"""

BookTop = namedtuple("BookTop", ["bid_ticks", "bid_lots", "ask_ticks", "ask_lots", "state", "version"])
BookTop.__doc__ = """The best level of each side; 0 lots where there is none."""


cdef const mft_level_t[::1] levels_of(object array, str side):
    """An (n, 3) int64 array or an array of LEVEL, as levels."""
    if type(array) is not numpy.ndarray:
        array = numpy.asarray(array, numpy.int64).reshape(-1, 3)
    if array.dtype != LEVEL:
        if array.dtype != numpy.int64 or array.ndim != 2 or array.shape[1] != 3:
            raise RecordError(
                f"{side} must be an int64 array of shape (n, 3) [price_ticks, size_lots, outright_lots] or an array "
                f"of mftcore.LEVEL, not {array.dtype} of shape {array.shape}"
            )
        array = numpy.ascontiguousarray(array).reshape(-1).view(LEVEL)
    cdef const mft_level_t[::1] levels = numpy.ascontiguousarray(array)
    if levels.shape[0] and mft_levels_check(&levels[0], levels.shape[0]) != MFT_OK:
        raise RecordError(f"{side} hold a negative size, or a price or size beyond 2^53; nothing was changed")
    return levels


@cython.final
cdef class MasterBook:
    """A whole order book in this process's own memory: kept from a snapshot and changes.

    Parameters
    ----------
    capacity : int
        Levels a side, at least 1. A level that finds no room pushes out the worst one; `overflowed` counts these, and
        the book is then incomplete until the next snapshot.

    Attributes
    ----------
    n_bids, n_asks : int
    total_bid_lots, total_ask_lots : int
    overflowed : int
        Since the last snapshot.
    removed_absent : int
        Removals, ever, of levels that were not there.
    crossed : bool
        The best bid is at or above the best ask.
    """

    def __cinit__(self, int capacity=8192):
        memset(&self.master, 0, sizeof(self.master))
        if capacity < 1:
            raise RecordError(f"a book has room for at least one level a side, not {capacity}")
        if mft_master_init(&self.master, capacity) != MFT_OK:
            raise MemoryError(f"no memory for a book of {capacity} levels a side")

    def __dealloc__(self):
        mft_master_free(&self.master)

    cdef int change(self, object bids, object asks, bint fresh) except -1:
        cdef const mft_level_t[::1] b = levels_of(bids, "bids")
        cdef const mft_level_t[::1] a = levels_of(asks, "asks")
        if fresh:
            mft_master_clear(&self.master)
        mft_master_apply(
            &self.master, &b[0] if b.shape[0] else NULL, b.shape[0], &a[0] if a.shape[0] else NULL, a.shape[0]
        )
        return 0

    def snapshot(self, bids, asks):
        """Replace the book.

        Parameters
        ----------
        bids, asks : ndarray
            int64 of shape (n, 3): price_ticks, size_lots, outright_lots; or arrays of `LEVEL`. In any order.

        Raises
        ------
        RecordError
            Another shape, a negative size, a number beyond 2^53; nothing was changed.
        """
        self.change(bids, asks, True)

    def apply(self, bids, asks):
        """Apply changes: new absolute sizes, 0 removes the level; arrays and errors as for `snapshot`."""
        self.change(bids, asks, False)

    def clear(self):
        """Forget all levels."""
        mft_master_clear(&self.master)

    def best(self, int n):
        """Return (bids, asks): copies of the best n levels a side, arrays of `LEVEL`, best first."""
        found = []
        for k in range(2):
            found.append(self._best(k == 0, max(n, 0)))
        return tuple(found)

    def _best(self, bint bids, uint64_t n):
        cdef mft_side_t *side = &self.master.bids if bids else &self.master.asks
        cdef uint64_t i
        cdef mft_level_t[::1] levels
        n = min(n, side.count)
        array = numpy.empty(n, LEVEL)
        if n:
            levels = array
            for i in range(n):
                levels[i] = side.levels[side.count - 1 - i]
        return array

    def best_bid(self):
        """Return (price_ticks, size_lots), or None when there is no bid."""
        cdef const mft_level_t *level = mft_side_best(&self.master.bids)
        return None if level == NULL else (level.price_ticks, level.size_lots)

    def best_ask(self):
        """Return (price_ticks, size_lots), or None when there is no ask."""
        cdef const mft_level_t *level = mft_side_best(&self.master.asks)
        return None if level == NULL else (level.price_ticks, level.size_lots)

    @property
    def n_bids(self):
        return self.master.bids.count

    @property
    def n_asks(self):
        return self.master.asks.count

    @property
    def total_bid_lots(self):
        return self.master.bids.total_lots

    @property
    def total_ask_lots(self):
        return self.master.asks.total_lots

    @property
    def overflowed(self):
        return self.master.overflowed

    @property
    def removed_absent(self):
        return self.master.removed_absent

    @property
    def crossed(self):
        return mft_master_crossed(&self.master) != 0


@cython.final
cdef class SeqlockBook:
    """The best levels of an order book in shared memory: one writer, any number of readers.

    A handle, as `Seqlock` is, with the same promises: a reader gets one whole window with its age, whatever happens to
    the writer. The window is published as a whole.

    Attributes
    ----------
    instrument : str
    tick_size, lot_size : float
        Quote currency per tick, coins per lot.
    levels : int
        Levels a side.
    name : str or None
    """

    def __init__(self):
        raise TypeError("SeqlockBook has no constructor; use SeqlockBook.create(...) or SeqlockBook.attach(name)")

    @staticmethod
    def create(str instrument not None, double tick_size, double lot_size, *, int levels=50, name=None):
        """Make a book that was never published.

        Raises
        ------
        RecordError
            Levels outside 1 to 4,096, a tick or lot that is not positive and finite, a bad name.
        MemoryRefused, NameInUse
            So much memory is not available; the name is taken.
        """
        cdef SeqlockBook self = SeqlockBook.__new__(SeqlockBook)
        cdef uint64_t window_bytes = mft_window_bytes(levels) if levels > 0 else 0
        if window_bytes == 0:
            raise RecordError(f"a book window has 1 to 4,096 levels a side, not {levels}")
        if not (0 < tick_size < 1e300 and 0 < lot_size < 1e300):
            raise RecordError(f"tick and lot must be positive and finite, not {tick_size} and {lot_size}")
        meta = json.dumps({"instrument": instrument, "tick_size": tick_size, "lot_size": lot_size})
        self.start(Segment.make(
            MFT_KIND_BOOK, MFT_BOOK_VERSION, "SeqlockBook", record_bytes=window_bytes, capacity=levels,
            data_bytes=mft_seqlock_data_bytes(window_bytes), meta=meta, name=name,
        ))
        self.segment.publish()
        return self

    @staticmethod
    def attach(str name not None):
        """Attach to a named book; raises as `SpscRing.attach`."""
        cdef SeqlockBook self = SeqlockBook.__new__(SeqlockBook)
        self.start(Segment.attach(MFT_KIND_BOOK, MFT_BOOK_VERSION, "SeqlockBook", name))
        return self

    @staticmethod
    def remove(str name not None):
        """Take away the name of a book whose users are all dead; `RoleTaken` names the one who lives."""
        Segment.remove(MFT_KIND_BOOK, MFT_BOOK_VERSION, "SeqlockBook", name)

    cdef int start(self, Segment segment) except -1:
        cdef mft_seqlock_t lock
        cdef uint64_t levels = segment.seg.layout.capacity
        if mft_seqlock_open(&lock, &segment.seg) != MFT_OK or lock.bytes != mft_window_bytes(levels):
            segment.corrupt("the window does not fit the memory")
        try:
            meta = json.loads(segment.meta)
            self.instrument = meta["instrument"]
            self.tick_size = meta["tick_size"]
            self.lot_size = meta["lot_size"]
        except (ValueError, KeyError, TypeError) as error:
            raise LayoutError(f"{segment.what}: the description of the instrument cannot be read: {error}") from error
        self.levels = <int>levels
        self.segment = segment
        return 0

    cdef int check(self) except -1:
        if self.segment is None:
            raise TypeError("this SeqlockBook was never opened; use SeqlockBook.create(...) or SeqlockBook.attach(name)")
        self.segment.check()
        return 0

    def writer(self):
        """Claim the writing end; `RoleTaken` while another holds it and lives."""
        cdef BookWriter endpoint = BookWriter.__new__(BookWriter)
        self.check()
        endpoint.start(self)
        return endpoint

    def reader(self):
        """Return a reading end; there may be any number."""
        cdef BookReader endpoint = BookReader.__new__(BookReader)
        self.check()
        endpoint.start(self)
        return endpoint

    @property
    def name(self):
        return None if self.segment is None else self.segment.name

    def fileno(self):
        """Return the descriptor of the memory, for SCM_RIGHTS; it stays this handle's own."""
        self.check()
        return self.segment.fileno()

    def close(self):
        """Give the handle back; its endpoints go on until they are closed. Twice does nothing."""
        if self.segment is not None:
            self.segment.close()

    def __enter__(self):
        self.check()
        return self

    def __exit__(self, *exc):
        self.close()

    def __reduce__(self):
        self.check()
        return _receive, (self.segment,)


def _receive(Segment segment):
    cdef SeqlockBook self = SeqlockBook.__new__(SeqlockBook)
    self.start(segment)
    return self


@cython.final
cdef class BookWriter(Endpoint):
    """The writing end of a `SeqlockBook`; from `SeqlockBook.writer`."""

    def __dealloc__(self):
        free(self.window)

    cdef int start(self, SeqlockBook book) except -1:
        self.window = <mft_window_t *>calloc(1, mft_window_bytes(book.levels))
        if self.window == NULL:
            raise MemoryError("no memory for a book window")
        self.levels = book.levels
        self.open(book.segment, MFT_SEQLOCK_WRITER, "writer")
        mft_seqlock_open(&self.lock, &self.segment.seg)
        self.window.top.state = MFT_BOOK_EMPTY
        return 0

    def publish(self, MasterBook master not None, *, int64_t exchange_time_ns, int64_t receive_ns, int state=0):
        """Publish the best levels of a master book, as a whole; returns the version.

        Parameters
        ----------
        exchange_time_ns : int
            Of the last message in it.
        receive_ns : int
            When that was received, CLOCK_MONOTONIC.
        state : int
            Flags to add; empty, one-sided and crossed are found by itself.
        """
        self.check()
        mft_window_fill(self.window, self.levels, &master.master, state)
        self.window.exchange_time_ns = exchange_time_ns
        self.window.receive_ns = receive_ns
        return mft_seqlock_write(&self.lock, self.window, self.epoch, mft_now_ns())

    def mark(self, int state):
        """Publish the last window again with state flags added: it is stale, or known to be wrong."""
        self.check()
        self.window.top.state |= <uint32_t>state
        return mft_seqlock_write(&self.lock, self.window, self.epoch, mft_now_ns())


@cython.final
cdef class BookReader(Endpoint):
    """A reading end of a `SeqlockBook`; from `SeqlockBook.reader`.

    Attributes
    ----------
    unstable : int
        Readings that were given up after 64 attempts.
    """

    def __cinit__(self):
        mft_watch_init(&self.watch)

    def __dealloc__(self):
        mft_watch_close(&self.watch)
        free(self.window)

    cdef int start(self, SeqlockBook book) except -1:
        self.window = <mft_window_t *>calloc(1, mft_window_bytes(book.levels))
        if self.window == NULL:
            raise MemoryError("no memory for a book window")
        self.levels = book.levels
        self.open(book.segment, -1, "reader")
        mft_seqlock_open(&self.lock, &self.segment.seg)
        self.self_word = mft_segment_self(&self.segment.seg)
        return 0

    cdef int fetch(self, uint64_t levels, mft_stamp_t *stamp) except -1:
        """Copy the head and the best `levels` into the private window."""
        cdef uint64_t size
        self.check()
        levels = min(levels, <uint64_t>self.levels)
        size = mft_window_bytes(levels) if levels else 64
        if mft_seqlock_read(&self.lock, self.window, size, stamp) != MFT_OK:
            self.unstable += 1
            raise Unstable(f"{self.segment.what} was overwritten during each of 64 attempts to read it; try again")
        if stamp.version == 0:
            memset(self.window, 0, size)
            self.window.top.state = MFT_BOOK_EMPTY
        # read once, then bounded: what stands in shared memory is never trusted as a length
        self.window.top.n_bids = min(self.window.top.n_bids, <uint32_t>levels)
        self.window.top.n_asks = min(self.window.top.n_asks, <uint32_t>levels)
        return 0

    def read_into(self, mft_level_t[::1] bids not None, mft_level_t[::1] asks not None):
        """Copy the best levels into two arrays of `LEVEL`; their lengths say how many are wanted.

        Returns
        -------
        BookStamp
            Says how many levels were copied, and how old they are.

        Raises
        ------
        Unstable
            64 tries failed, in each of which the writer published 8 windows; the arrays were not touched.
        """
        cdef mft_stamp_t s
        cdef uint64_t i, most_bids, most_asks
        cdef int64_t now_ns
        self.fetch(max(bids.shape[0], asks.shape[0]), &s)
        most_bids = min(<uint64_t>self.window.top.n_bids, <uint64_t>bids.shape[0])
        most_asks = min(<uint64_t>self.window.top.n_asks, <uint64_t>asks.shape[0])
        for i in range(most_bids):
            bids[i] = self.window.levels[2 * i]
        for i in range(most_asks):
            asks[i] = self.window.levels[2 * i + 1]
        now_ns = mft_now_ns()
        alive = mft_watch_alive(&self.watch, &self.segment.seg, MFT_SEQLOCK_WRITER, self.self_word, now_ns) == 1
        return BookStamp(
            s.version, s.epoch, now_ns - self.window.receive_ns if s.version else -1, alive, most_bids, most_asks,
            self.window.exchange_time_ns, self.window.receive_ns, s.written_ns, self.window.top.state,
        )

    def top(self):
        """Return `BookTop`: one cache line of shared memory."""
        cdef mft_stamp_t s
        self.fetch(0, &s)
        return BookTop(
            self.window.top.bid_ticks, self.window.top.bid_lots, self.window.top.ask_ticks, self.window.top.ask_lots,
            self.window.top.state, s.version,
        )

    @property
    def version(self):
        """Newest version; one load, for polling."""
        self.check()
        return mft_seqlock_version(&self.lock)
