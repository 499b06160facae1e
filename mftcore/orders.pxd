"""`OrderManager`: the orders of one session, what may still trade, and the fills that were counted.

``cimport`` the C functions for code without the GIL: they take ``&manager.table``. One thread at a time.
"""

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t


cdef extern from "mftcore/orders.h" nogil:
    enum:
        MFT_ORDER_INSERTING
        MFT_ORDER_LIVE
        MFT_ORDER_AMENDING
        MFT_ORDER_CANCELLING
        MFT_ORDER_UNKNOWN
        MFT_ORDER_FILLED
        MFT_ORDER_CANCELLED
        MFT_ORDER_REJECTED

        MFT_ORDER_AMEND
        MFT_ORDER_CANCEL
        MFT_ORDER_DOUBT
        MFT_ORDER_TOLD_OPEN
        MFT_ORDER_TOLD_FILLED
        MFT_ORDER_TOLD_CANCELLED
        MFT_ORDER_AMENDED
        MFT_ORDER_INSERT_REFUSED
        MFT_ORDER_AMEND_REFUSED
        MFT_ORDER_AMEND_MISSED
        MFT_ORDER_CANCEL_REFUSED
        MFT_ORDER_CANCEL_MISSED

        MFT_ORDER_APPLIED
        MFT_ORDER_LATE
        MFT_ORDER_ILLEGAL
        MFT_ORDER_STRANGE
        MFT_FILL_NEW
        MFT_FILL_REPEATED
        MFT_FILL_NO_ROOM

    const uint32_t MFT_NO_ENTRY
    const uint32_t MFT_ID_LONGEST
    const uint32_t MFT_ORDER_ABSENCES
    const uint32_t MFT_ORDERS_MOST_LIVE
    const uint32_t MFT_ORDERS_MOST_FILLS
    const int64_t MFT_ORDER_PRICE_LIMIT
    const int64_t MFT_ORDER_SIZE_LIMIT

    ctypedef struct mft_id_t:
        uint64_t *words

    ctypedef struct mft_list_t:
        uint32_t first
        uint32_t last
        uint32_t count

    ctypedef struct mft_order_facts_t:
        int64_t price_ticks
        int64_t total_lots
        int64_t asked_price_ticks
        int64_t asked_total_lots
        int64_t most_lots
        int64_t filled_lots
        int64_t fill_sum_lots
        uint16_t state
        uint16_t flags

    ctypedef struct mft_order_event_t:
        uint32_t kind
        int32_t listed
        int64_t price_ticks
        int64_t total_lots
        int64_t filled_lots

    ctypedef struct mft_order_t:
        uint64_t client_order_id
        mft_order_facts_t facts
        int64_t created_ns
        int64_t changed_ns
        mft_id_t order_id
        uint64_t serial
        uint32_t after
        int32_t side

    ctypedef struct mft_orders_t:
        mft_order_t *orders
        mft_list_t live
        uint32_t capacity
        int64_t *exposure_lots
        int64_t missing_lots
        uint64_t illegal
        uint64_t unknown
        uint64_t late
        uint64_t presumed
        uint64_t duplicate_fills
        uint64_t late_fills
        uint64_t overfills
        uint64_t refused_fills

    int64_t mft_order_done(const mft_order_facts_t *f) noexcept
    int64_t mft_order_missing(const mft_order_facts_t *f) noexcept
    int64_t mft_order_exposure(const mft_order_facts_t *f) noexcept

    int mft_id_set(mft_id_t *id, const char *bytes, uint64_t length) noexcept
    uint32_t mft_id_length(const mft_id_t *id) noexcept

    int mft_orders_init(mft_orders_t *t, uint32_t capacity, uint32_t keep_ended, uint32_t live_fills,
                        uint32_t keep_fills) noexcept
    void mft_orders_free(mft_orders_t *t) noexcept
    uint64_t mft_orders_bytes(const mft_orders_t *t) noexcept
    mft_order_t *mft_orders_get(const mft_orders_t *t, uint64_t client_order_id) noexcept
    mft_order_t *mft_orders_get_by_order_id(const mft_orders_t *t, const mft_id_t *order_id) noexcept
    int mft_orders_insert(mft_orders_t *t, uint64_t client_order_id, int32_t side, int64_t price_ticks, int64_t lots,
                          int64_t now_ns, mft_order_t **found) noexcept
    int mft_orders_ours(mft_orders_t *t, uint64_t client_order_id, uint32_t kind, int64_t price_ticks,
                        int64_t total_lots, int64_t now_ns, mft_order_t **found) noexcept
    int mft_orders_told(mft_orders_t *t, uint64_t client_order_id, const mft_id_t *order_id, mft_order_event_t event,
                        int64_t asked_ns, int64_t now_ns, mft_order_t **found) noexcept
    int mft_orders_answered(mft_orders_t *t, uint64_t client_order_id, mft_order_event_t event, int64_t now_ns,
                            mft_order_t **found) noexcept
    int mft_orders_absent(mft_orders_t *t, uint64_t client_order_id, int64_t asked_ns, int64_t grace_ns,
                          int64_t now_ns, mft_order_t **found) noexcept
    int mft_orders_fill(mft_orders_t *t, uint64_t client_order_id, const mft_id_t *trade_id, const mft_id_t *order_id,
                        int32_t leg, int64_t lots, mft_order_t **found) noexcept


cdef class OrderManager:
    cdef mft_orders_t table

    cdef object ours(self, object client_order_id, uint32_t kind, object price_ticks, object total_lots, object now_ns)
    cdef int answered(self, object client_order_id, mft_order_event_t event, object now_ns) except -1
    cdef int refused(self, object client_order_id, uint32_t kind, object now_ns) except -1
    cdef Order view(self, mft_order_t *order)


cdef class Order:
    cdef OrderManager manager           # its memory
    cdef mft_order_t *slot
    cdef uint64_t serial
    cdef readonly uint64_t client_order_id

    cdef mft_order_t *order(self) except NULL
