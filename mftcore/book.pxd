"""`MasterBook` and `SeqlockBook`: a whole order book in own memory, its best levels in shared memory."""

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from mftcore.endpoint cimport Endpoint, Handle, mft_port_t
from mftcore.seqlock cimport VersionReader, mft_seqlock_t, mft_stamp_t


cdef extern from "mftcore/book.h" nogil:
    enum:
        MFT_BOOK_VERSION
        MFT_BOOK_EMPTY
        MFT_BOOK_ONE_SIDED
        MFT_BOOK_CROSSED
        MFT_BOOK_STALE
        MFT_BOOK_RESYNCING

    const uint64_t MFT_BOOK_MOST_LEVELS
    const unsigned MFT_BOOK_MAX_LEVELS

    ctypedef struct mft_level_t:
        int64_t price_ticks
        int64_t size_lots
        int64_t outright_lots

    ctypedef struct mft_side_t:
        mft_level_t *levels
        uint64_t count
        uint64_t capacity
        int64_t total_lots

    ctypedef struct mft_master_t:
        mft_side_t bids
        mft_side_t asks
        uint64_t overflowed
        uint64_t removed_absent

    ctypedef struct mft_book_top_t:
        int64_t bid_ticks
        int64_t bid_lots
        int64_t ask_ticks
        int64_t ask_lots
        int64_t receive_ns
        uint16_t n_bids
        uint16_t n_asks
        uint32_t state

    ctypedef struct mft_window_t:
        mft_book_top_t top
        int64_t exchange_time_ns
        mft_level_t *levels

    int mft_master_init(mft_master_t *m, uint64_t capacity) noexcept
    void mft_master_free(mft_master_t *m) noexcept
    void mft_master_clear(mft_master_t *m) noexcept
    int mft_levels_check(const mft_level_t *levels, uint64_t count) noexcept
    void mft_master_apply(mft_master_t *m, const mft_level_t *bids, uint64_t n_bids, const mft_level_t *asks,
                          uint64_t n_asks) noexcept
    const mft_level_t *mft_side_best(const mft_side_t *s) noexcept
    int mft_master_crossed(const mft_master_t *m) noexcept
    uint64_t mft_window_bytes(uint64_t levels) noexcept
    void mft_window_fill(mft_window_t *w, uint64_t levels, const mft_master_t *m, uint32_t state) noexcept


cdef class MasterBook:
    cdef mft_master_t master

    cdef int change(self, object bids, object asks, bint fresh) except -1


cdef class SeqlockBook(Handle):
    cdef readonly str instrument
    cdef readonly double tick_size
    cdef readonly double lot_size
    cdef readonly int levels


cdef class BookWriter(Endpoint):
    cdef mft_seqlock_t lock
    cdef mft_window_t *window
    cdef int levels

    cdef int start(self, SeqlockBook book, object bell) except -1
    cdef uint64_t write(self) except 0


cdef class BookStamp:
    cdef readonly uint64_t version
    cdef readonly uint64_t epoch
    cdef readonly int64_t age_ns
    cdef readonly bint writer_alive
    cdef readonly uint32_t n_bids
    cdef readonly uint32_t n_asks
    cdef readonly int64_t exchange_time_ns
    cdef readonly int64_t receive_ns
    cdef readonly int64_t published_ns
    cdef readonly uint32_t state
    cdef readonly int64_t bid_ticks
    cdef readonly int64_t bid_lots
    cdef readonly int64_t ask_ticks
    cdef readonly int64_t ask_lots


cdef class BookReader(VersionReader):
    cdef object memory                  # of the window: ours
    cdef mft_window_t *window
    cdef readonly object bids
    cdef readonly object asks
    cdef int levels

    cdef int start(self, SeqlockBook book) except -1
    cdef BookStamp fetch(self, uint64_t levels)
