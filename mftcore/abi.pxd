"""The structures' calls under names with a version, for machine code that outlives ours."""

from libc.stdint cimport int64_t, uint64_t

from mftcore.endpoint cimport mft_port_t


cdef extern from "mftcore/port.h" nogil:
    const int MFT_ABI
    const int MFT_E_RETIRED
    const int MFT_E_UNUSABLE
    const int MFT_E_UNSTABLE
    const int MFT_E_SMALL
    const int MFT_E_WRONG_END
    int64_t mft_port_push(mft_port_t *p, const void *record) noexcept
    int64_t mft_port_push_many(mft_port_t *p, const void *records, int64_t count) noexcept
    int64_t mft_port_pop(mft_port_t *p, void *record) noexcept
    int64_t mft_port_pop_many(mft_port_t *p, void *records, int64_t count) noexcept
    int64_t mft_port_write(mft_port_t *p, const void *record) noexcept
    int64_t mft_port_read(mft_port_t *p, void *record, int64_t *age_ns) noexcept
    int64_t mft_port_read_book(mft_port_t *p, int64_t levels, int64_t *found) noexcept
    int64_t mft_port_write_many(mft_port_t *p, const void *records, int64_t count) noexcept
    int64_t mft_port_next(mft_port_t *p, void *record, int64_t *lost) noexcept
    int64_t mft_port_push_bytes(mft_port_t *p, const void *message, int64_t length) noexcept
    int64_t mft_port_pop_bytes(mft_port_t *p, void *message, int64_t size, int64_t *length) noexcept
    int64_t mft_port_record(mft_port_t *p, int64_t ns) noexcept
