"""`MasterBook` and `SeqlockBook`: a whole order book in own memory, its best levels in shared memory."""

from libc.stdint cimport int64_t, uint32_t, uint64_t

from mftcore.segment cimport Endpoint, Segment, mft_watch_t
from mftcore.seqlock cimport mft_seqlock_t, mft_stamp_t


cdef extern from "mftcore/book.h" nogil:
    enum:
        MFT_BOOK_VERSION
        MFT_BOOK_EMPTY
        MFT_BOOK_ONE_SIDED
        MFT_BOOK_CROSSED
        MFT_BOOK_STALE
        MFT_BOOK_RESYNCING

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
        uint32_t n_bids
        uint32_t n_asks
        uint32_t state

    ctypedef struct mft_window_t:
        mft_book_top_t top
        int64_t exchange_time_ns
        int64_t receive_ns
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


cdef class SeqlockBook:
    cdef Segment segment
    cdef readonly str instrument
    cdef readonly double tick_size
    cdef readonly double lot_size
    cdef readonly int levels

    cdef int start(self, Segment segment) except -1
    cdef int check(self) except -1


cdef class BookWriter(Endpoint):
    cdef mft_seqlock_t lock
    cdef mft_window_t *window
    cdef int levels

    cdef int start(self, SeqlockBook book) except -1


cdef class BookReader(Endpoint):
    cdef mft_seqlock_t lock
    cdef mft_watch_t watch
    cdef uint64_t self_word
    cdef mft_window_t *window
    cdef int levels
    cdef readonly uint64_t unstable

    cdef int start(self, SeqlockBook book) except -1
    cdef int fetch(self, uint64_t levels, mft_stamp_t *stamp) except -1
