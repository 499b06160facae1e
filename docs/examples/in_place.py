"""Claims and peeks: records written and read where they lie in the ring, without a copy."""

import contextlib

import numpy as np

from mftcore import RecordError, SpscRing

TRADE = np.dtype([("price_ticks", "<i8"), ("size_lots", "<i8")])


def main() -> None:
    with SpscRing.create(TRADE, capacity=64) as ring, ring.producer() as tx, ring.consumer() as rx:
        with tx.claim(40) as claim:
            assert len(claim) == 40  # fewer when there is less room, or less before the end of the memory
            claim.records["price_ticks"] = np.arange(40)
            claim.records["size_lots"] = 1
            claim.used = 30  # the other ten are not needed after all
            assert rx.waiting == 0  # nothing is to be seen before the block ends
        assert rx.waiting == 30

        with rx.peek(64) as peek:
            assert peek.records["price_ticks"].sum() == sum(range(30))
            peek.used = 20  # ten stay in the ring
        assert rx.waiting == 10

        with contextlib.suppress(ZeroDivisionError), rx.peek(1) as peek:
            _ = 1 // 0
        assert rx.waiting == 10  # not given back: the next peek or pop sees them again

        refused = ""
        try:
            with rx.peek(1) as peek:
                kept = peek.records  # would still reach into the ring when its records are long overwritten
        except RecordError as error:
            refused = str(error)
        assert "outlives the block" in refused
        del kept  # until then every call of this endpoint is refused
        with rx.peek(1) as peek:
            kept = peek.records.copy()
            assert kept["price_ticks"][0] == 20
        assert (rx.waiting, kept["size_lots"][0]) == (9, 1)


if __name__ == "__main__":
    main()
