# cython: language_level=3, boundscheck=False, wraparound=False
"""The ring from Cython: the C calls on the handles inside the endpoints, without the interpreter or its lock."""

from libc.stdint cimport int64_t

from mftcore.ring cimport SpscConsumer, SpscProducer, mft_ring_pop, mft_ring_push

cdef extern from "mftcore/base.h" nogil:
    enum:
        MFT_OK
    void mft_pause() noexcept

cdef extern from "mftcore/clock.h" nogil:
    int64_t mft_now_ns() noexcept

cdef enum:
    MOST = 4096     # bytes of a record


cdef inline void send(SpscProducer tx, const void *record) noexcept nogil:
    while mft_ring_push(&tx.ring, record) != MFT_OK:
        mft_pause()


cdef inline void take(SpscConsumer rx, void *record) noexcept nogil:
    while mft_ring_pop(&rx.ring, record) != MFT_OK:
        mft_pause()


def ping(SpscProducer tx, SpscConsumer rx, int64_t[::1] taken):
    cdef unsigned char[MOST] record
    cdef Py_ssize_t i
    cdef int64_t start
    assert tx.record_size <= MOST
    record[0] = 0
    with nogil:
        for i in range(taken.shape[0]):
            start = mft_now_ns()
            send(tx, &record[0])
            take(rx, &record[0])
            taken[i] = mft_now_ns() - start


def echo(SpscConsumer rx, SpscProducer tx, Py_ssize_t count):
    cdef unsigned char[MOST] record
    cdef Py_ssize_t i
    assert tx.record_size <= MOST
    with nogil:
        for i in range(count):
            take(rx, &record[0])
            send(tx, &record[0])


# no pause here: it slows two sides that are both at work


def produce(SpscProducer tx, Py_ssize_t count):
    cdef unsigned char[MOST] record
    cdef Py_ssize_t i
    assert tx.record_size <= MOST
    record[0] = 0
    with nogil:
        for i in range(count):
            while mft_ring_push(&tx.ring, &record[0]) != MFT_OK:
                pass


def consume(SpscConsumer rx, Py_ssize_t count):
    cdef unsigned char[MOST] record
    cdef Py_ssize_t i
    assert rx.record_size <= MOST
    with nogil:
        for i in range(count):
            while mft_ring_pop(&rx.ring, &record[0]) != MFT_OK:
                pass
