"""Trades from an `SpscRing`, their averages into a `Seqlock`, how old each trade was into a `Histogram`."""

from libc.stdint cimport int64_t

from mftcore cimport mft_port_t, port_error, port_now_ns, port_of, port_pop, port_record, port_write

import numpy

TRADE = numpy.dtype([("price_ticks", "<i8"), ("size_lots", "<i8"), ("sent_ns", "<i8")])
SUMMARY = numpy.dtype([("trades", "<i8"), ("lots", "<i8"), ("vwap_ticks", "<f8"), ("average_ticks", "<f8")])

cdef struct Trade:                      # as TRADE
    int64_t price_ticks
    int64_t size_lots
    int64_t sent_ns

cdef struct Summary:                    # as SUMMARY
    int64_t trades
    int64_t lots
    double vwap_ticks
    double average_ticks


cdef class Follower:
    """Follows the trades of one ring.

    Parameters
    ----------
    trades : SpscConsumer
        Of a ring of `TRADE`.
    summary : SeqlockWriter
        Of a seqlock of `SUMMARY`; written once for each call of `follow` that found trades.
    ages : HistogramRecorder
        Gets the nanoseconds between ``sent_ns`` and now of each trade.
    weight : float
        Of the newest price in the moving average, above 0 and at most 1.
    """

    cdef object ends                    # their ports are good as long as they are
    cdef mft_port_t *trades
    cdef mft_port_t *summary
    cdef mft_port_t *ages
    cdef double weight
    cdef double price_lots              # sum of price times size
    cdef Summary now

    def __cinit__(self, trades, summary, ages, double weight=0.1):
        if trades.dtype != TRADE or summary.dtype != SUMMARY:  # the structs below would not fit
            raise ValueError(f"needs a ring of {TRADE} and a seqlock of {SUMMARY}")
        if not 0 < weight <= 1:
            raise ValueError(f"a weight is above 0 and at most 1, not {weight}")
        self.ends = trades, summary, ages
        self.trades, self.summary, self.ages = port_of(trades), port_of(summary), port_of(ages)
        self.weight = weight

    def follow(self, int64_t most):
        """Take the trades that are there, at most `most`; returns how many. Raises what the endpoints' own calls raise."""
        cdef int64_t done = 0, result = 0
        cdef Trade trade
        with nogil:
            while done < most:
                result = port_pop(self.trades, &trade)
                if result <= 0:
                    break
                done += 1
                self.add(&trade)
                result = port_record(self.ages, port_now_ns() - trade.sent_ns)
                if result < 0:
                    break
            if done and result >= 0:
                result = port_write(self.summary, &self.now)
        port_error(result)
        return done

    cdef void add(self, const Trade *trade) noexcept nogil:
        cdef Summary *now = &self.now
        self.price_lots += <double>trade.price_ticks * <double>trade.size_lots
        now.trades += 1
        now.lots += trade.size_lots
        now.vwap_ticks = self.price_lots / <double>now.lots if now.lots else 0.0
        if now.trades == 1:
            now.average_ticks = <double>trade.price_ticks
        else:
            now.average_ticks += self.weight * (<double>trade.price_ticks - now.average_ticks)
