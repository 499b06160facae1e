"""`MasterBook` and `SeqlockBook`: lifetime, checks, words; the algorithms are ``include/mftcore/book.h``."""

import json

cimport cython
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from mftcore.doorbell cimport ring_also
from mftcore.endpoint cimport MFT_END_BOOK_READER
from mftcore.segment cimport MFT_KIND_BOOK, MFT_OK, Segment, mft_now_ns, mft_watch_alive
from mftcore.seqlock cimport (
    MFT_SEQLOCK_WRITER,
    mft_seqlock_data_bytes,
    mft_seqlock_open,
    mft_seqlock_read,
    mft_seqlock_ring,
    mft_seqlock_write,
)

import numpy

from mftcore.endpoint import checked_name, whole_number
from mftcore.errors import LayoutError, RecordError

LEVEL = numpy.dtype([("price_ticks", "<i8"), ("size_lots", "<i8"), ("outright_lots", "<i8")])

BOOK_EMPTY = MFT_BOOK_EMPTY
BOOK_ONE_SIDED = MFT_BOOK_ONE_SIDED
BOOK_CROSSED = MFT_BOOK_CROSSED
BOOK_STALE = MFT_BOOK_STALE
BOOK_RESYNCING = MFT_BOOK_RESYNCING


@cython.final
@cython.freelist(8)
cdef class BookStamp:
    """What comes with every reading of a `SeqlockBook`: there is no way to get the levels without their age.

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
        Levels that were read a side; what lies beyond them in the arrays means nothing.
    exchange_time_ns : int
        Of the last message in it, by the exchange's clock; 0 from `BookReader.top`, which does not read it.
    receive_ns, published_ns : int
        CLOCK_MONOTONIC.
    state : int
        ``BOOK_EMPTY | BOOK_ONE_SIDED | BOOK_CROSSED | BOOK_STALE | BOOK_RESYNCING``; 0 is a book to trade on.
    bid_ticks, bid_lots, ask_ticks, ask_lots : int
        The best level of each side; 0 lots where there is none.
    mid_ticks : float
        Half-way between the best prices; nan when a side is missing.
    spread_ticks : int
        Best ask less best bid, negative when crossed; 0 when a side is missing.
    """

    def __init__(self):
        raise TypeError("a BookStamp comes from a reading of a book")

    @property
    def mid_ticks(self):
        if self.bid_lots == 0 or self.ask_lots == 0:
            return float("nan")
        return 0.5 * (self.bid_ticks + self.ask_ticks)

    @property
    def spread_ticks(self):
        return self.ask_ticks - self.bid_ticks if self.bid_lots and self.ask_lots else 0

    def __repr__(self):
        names = ("version", "epoch", "age_ns", "writer_alive", "n_bids", "n_asks", "state", "bid_ticks", "ask_ticks")
        return "BookStamp(" + ", ".join(f"{name}={getattr(self, name)}" for name in names) + ")"


cdef int64_t int64_of(object value, str what) except? -1:
    """A time in ns or the like; an int quickly, anything else with a close look."""
    if type(value) is int:
        return value
    return whole_number(value, -(1 << 63), (1 << 63) - 1, what)


cdef const mft_level_t[::1] levels_of(object array, str side):
    """An (n, 3) int64 array or an array of LEVEL, as levels."""
    if type(array) is not numpy.ndarray:
        array = numpy.asarray(array)
        if array.size == 0:
            array = numpy.empty((0, 3), numpy.int64)
        elif array.dtype.kind == "i":
            array = array.astype(numpy.int64)
    if array.dtype != LEVEL:
        if array.dtype != numpy.int64 or array.ndim != 2 or array.shape[1] != 3:
            raise RecordError(
                f"{side} must be an int64 array of shape (n, 3) [price_ticks, size_lots, outright_lots] or an array "
                f"of mftcore.LEVEL, not {array.dtype} of shape {array.shape}"
            )
        array = numpy.ascontiguousarray(array).reshape(-1).view(LEVEL)
    cdef const mft_level_t[::1] levels = numpy.ascontiguousarray(array)
    if levels.shape[0] and mft_levels_check(&levels[0], levels.shape[0]) != MFT_OK:
        raise RecordError(f"{side} hold a negative size, one of 2^47 lots or more, or a price beyond 2^53; nothing was changed")
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

    def __cinit__(self, capacity=8192):
        memset(&self.master, 0, sizeof(self.master))
        room = whole_number(capacity, 1, MFT_BOOK_MOST_LEVELS, "the room for levels a side of a book")
        if mft_master_init(&self.master, room) != MFT_OK:
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
            Another shape, a negative size, one of 2^47 lots or more, a price beyond 2^53; nothing was changed.
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
cdef class SeqlockBook(Handle):
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

    KIND = MFT_KIND_BOOK
    VERSION = MFT_BOOK_VERSION

    @staticmethod
    def create(str instrument not None, double tick_size, double lot_size, *, levels=50, name=None):
        """Make a book that was never published.

        Raises
        ------
        RecordError
            Levels outside 1 to 4,096, a tick or lot that is not positive and finite, a bad name.
        MemoryRefused, NameInUse
            So much memory is not available; the name is taken.
        """
        cdef SeqlockBook self = SeqlockBook.__new__(SeqlockBook)
        levels = whole_number(levels, 1, MFT_BOOK_MAX_LEVELS, "the number of levels a side of a window")
        cdef uint64_t window_bytes = mft_window_bytes(levels)
        if not (0 < tick_size < 1e300 and 0 < lot_size < 1e300):
            raise RecordError(f"tick and lot must be positive and finite, not {tick_size} and {lot_size}")
        meta = json.dumps({"instrument": instrument, "tick_size": tick_size, "lot_size": lot_size})
        self.start(Segment.make(
            MFT_KIND_BOOK, MFT_BOOK_VERSION, "SeqlockBook", record_bytes=window_bytes, capacity=levels,
            data_bytes=mft_seqlock_data_bytes(window_bytes), meta=meta, name=None if name is None else checked_name(name),
        ))
        self.segment.publish()
        return self

    cdef int opened(self) except -1:
        cdef mft_seqlock_t lock
        cdef uint64_t levels = self.segment.seg.layout.capacity
        if mft_seqlock_open(&lock, &self.segment.seg) != MFT_OK or lock.bytes != mft_window_bytes(levels):
            self.segment.corrupt("the window does not fit the memory")
        try:
            meta = json.loads(self.segment.meta)
            self.instrument = meta["instrument"]
            self.tick_size = meta["tick_size"]
            self.lot_size = meta["lot_size"]
        except (ValueError, KeyError, TypeError) as error:
            raise LayoutError(
                f"{self.segment.what}: the description of the instrument cannot be read: {error}"
            ) from error
        self.levels = <int>levels
        return 0

    def writer(self, bell=None):
        """Claim the writing end; `bell` and errors as for `Seqlock.writer`."""
        cdef BookWriter endpoint = BookWriter.__new__(BookWriter)
        self.check()
        endpoint.start(self, bell)
        return endpoint

    def reader(self):
        """Return a reading end; there may be any number."""
        cdef BookReader endpoint = BookReader.__new__(BookReader)
        self.check()
        endpoint.start(self)
        return endpoint


@cython.final
cdef class BookWriter(Endpoint):
    """The writing end of a `SeqlockBook`; from `SeqlockBook.writer`.

    Attributes
    ----------
    epoch : int
        Which writer this book has had, counted from 1.
    """

    def __dealloc__(self):
        free(self.window)

    cdef int start(self, SeqlockBook book, object bell) except -1:
        self.window = <mft_window_t *>calloc(1, mft_window_bytes(book.levels))
        if self.window == NULL:
            raise MemoryError("no memory for a book window")
        cdef mft_stamp_t s
        self.levels = book.levels
        self.open(book.segment, MFT_SEQLOCK_WRITER, "writer", -1)
        try:
            if mft_seqlock_open(&self.lock, &self.segment.seg) != MFT_OK:
                self.segment.corrupt("the window does not fit the memory")
            ring_also(self, bell)
            # what the last writer left, so that a `mark` before the first `publish` marks that and not an empty window
            if mft_seqlock_read(&self.lock, self.window, self.lock.bytes, &s) != MFT_OK:
                self.segment.corrupt("its newest window cannot be read although nobody writes")
        except BaseException:
            self.shut()
            raise
        if s.version == 0:
            self.window.top.state = MFT_BOOK_EMPTY
        return 0

    cdef int usable(self) except -1:
        raise TypeError("a writer never waits; readers do")

    cdef uint64_t write(self) except 0:
        cdef uint64_t version = mft_seqlock_write(&self.lock, self.window, self.epoch, mft_now_ns())
        mft_seqlock_ring(&self.lock)
        self.ring_outer()
        return version

    def publish(self, MasterBook master not None, *, exchange_time_ns, receive_ns, state=0):
        """Publish the best levels of a master book, as a whole; returns the version.

        Parameters
        ----------
        exchange_time_ns : int
            Of the last message in it.
        receive_ns : int
            When that was received, CLOCK_MONOTONIC.
        state : int
            Flags to add; empty, one-sided and crossed are found by itself.

        Raises
        ------
        RecordError
            A time or flags that are no whole number; nothing was published.
        """
        cdef int64_t exchange_ns = int64_of(exchange_time_ns, "exchange_time_ns")
        cdef int64_t received_ns = int64_of(receive_ns, "receive_ns")
        cdef uint32_t flags = whole_number(state, 0, 0xFFFFFFFF, "the state flags")
        self.check()
        mft_window_fill(self.window, self.levels, &master.master, flags)
        self.window.exchange_time_ns = exchange_ns
        self.window.top.receive_ns = received_ns
        return self.write()

    def mark(self, state):
        """Publish the last window again with state flags added: it is stale, or known to be wrong.

        The last window may be a predecessor's. Returns the version; `RecordError` for flags that are no whole number.
        """
        cdef uint32_t flags = whole_number(state, 0, 0xFFFFFFFF, "the state flags")
        self.check()
        self.window.top.state |= flags
        return self.write()


@cython.final
cdef class BookReader(VersionReader):
    """A reading end of a `SeqlockBook`; from `SeqlockBook.reader`. `wait` waits for a newer window than it has read.

    Attributes
    ----------
    bids, asks : ndarray of LEVEL, shape (levels,), read-only
        Best first; filled anew by each `read`, the first ``n_bids`` and ``n_asks`` of its stamp count. The arrays stay
        the same: take views of their fields once (``price = reader.bids["price_ticks"]``).
    version : int
        Newest version; one load, for polling.
    unstable : int
        Readings that were given up after 64 attempts.
    writer_alive : bool
        Whether a live process holds the writing end; at most a millisecond old.
    epoch : int
        0: a reader holds no role.
    """

    cdef int start(self, SeqlockBook book) except -1:
        cdef int64_t[::1] words
        memory = numpy.zeros(mft_window_bytes(book.levels) // 8, numpy.int64)
        words = memory
        self.memory = memory
        self.window = <mft_window_t *>&words[0]
        levels = memory[mft_window_bytes(1) // 8 - 6:].view(LEVEL)
        levels.flags.writeable = False
        self.bids, self.asks = levels[0::2], levels[1::2]
        self.levels = book.levels
        self.open(book.segment, -1, "reader", MFT_SEQLOCK_WRITER)
        if mft_seqlock_open(&self.lock, &self.segment.seg) != MFT_OK:
            self.shut()
            self.segment.corrupt("the window does not fit the memory")
        return 0

    cdef int fill_port(self, mft_port_t *port) except -1:
        VersionReader.fill_port(self, port)
        port.end, port.window, port.levels = MFT_END_BOOK_READER, self.window, self.levels
        return 0

    cdef BookStamp fetch(self, uint64_t levels):
        """Copy the head and the best `levels` into our own window."""
        cdef mft_stamp_t s
        cdef uint64_t size
        cdef int64_t now_ns
        cdef BookStamp stamp
        cdef mft_book_top_t *top
        self.check()
        top = &self.window.top
        levels = min(levels, <uint64_t>self.levels)
        size = mft_window_bytes(levels) if levels else sizeof(mft_book_top_t)
        self.fetch_value(self.window, size, &s)
        if s.version == 0:
            memset(self.window, 0, size)
            top.state = MFT_BOOK_EMPTY
        now_ns = mft_now_ns()
        stamp = BookStamp.__new__(BookStamp)
        stamp.version, stamp.epoch, stamp.published_ns = s.version, s.epoch, s.written_ns
        stamp.age_ns = now_ns - top.receive_ns if s.version else -1
        stamp.writer_alive = mft_watch_alive(&self.watch, &self.segment.seg, self.peer, self.self_word, now_ns) == 1
        # read once, then bounded: what stands in shared memory is never trusted as a length
        stamp.n_bids, stamp.n_asks = min(top.n_bids, <uint32_t>levels), min(top.n_asks, <uint32_t>levels)
        stamp.exchange_time_ns = self.window.exchange_time_ns if levels else 0
        stamp.receive_ns = top.receive_ns
        stamp.state = top.state
        stamp.bid_ticks, stamp.bid_lots = top.bid_ticks, top.bid_lots
        stamp.ask_ticks, stamp.ask_lots = top.ask_ticks, top.ask_lots
        return stamp

    def read(self, levels=None):
        """Copy the newest window into `bids` and `asks`.

        Parameters
        ----------
        levels : int, optional
            How many a side, from the best; all by default. Fewer are cheaper.

        Returns
        -------
        BookStamp
            Says how many levels there are, and how old they are.

        Raises
        ------
        Unstable
            64 tries failed, in each of which the writer published 8 windows; `bids` and `asks` may hold anything. Counted.
        """
        cdef int64_t wanted
        if levels is None:
            return self.fetch(self.levels)
        wanted = levels
        if wanted < 0:
            raise RecordError(f"the number of levels is at least 0, not {levels}")
        return self.fetch(wanted)

    def read_into(self, mft_level_t[::1] bids not None, mft_level_t[::1] asks not None):
        """Copy the best levels into two arrays of `LEVEL`; their lengths say how many are wanted.

        Returns
        -------
        BookStamp
            Says how many levels were copied, and how old they are; what lies beyond them in the arrays was not touched.

        Raises
        ------
        Unstable
            64 tries failed, in each of which the writer published 8 windows; the arrays were not touched. Counted.
        ValueError
            Arrays that are not one-dimensional, contiguous, writable and of LEVEL.
        """
        cdef uint32_t i
        cdef BookStamp stamp = self.fetch(max(bids.shape[0], asks.shape[0]))
        stamp.n_bids = min(stamp.n_bids, <uint32_t>bids.shape[0])
        stamp.n_asks = min(stamp.n_asks, <uint32_t>asks.shape[0])
        for i in range(stamp.n_bids):
            bids[i] = self.window.levels[2 * i]
        for i in range(stamp.n_asks):
            asks[i] = self.window.levels[2 * i + 1]
        return stamp

    def top(self):
        """Return a `BookStamp` with the best level of each side and no others: one cache line of shared memory.

        Its ``exchange_time_ns`` is 0, since that lies beyond the line.
        """
        return self.fetch(0)
