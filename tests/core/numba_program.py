"""Run by test_numba.py in processes of its own: relays numbers through nopython code that Numba keeps on disk.

usage: numba_program.py [ABI]: with another number, as a later version would be that has retired today's calls
"""

import json
import sys

import numpy as np
from numba import njit

from mftcore import SpscRing, abi

if len(sys.argv) > 1:  # what a version with another binary interface would register
    later, today = int(sys.argv[1]), abi.ABI
    names = abi.symbols(later, [today])
    abi.symbols = lambda: names

import mftcore.numba

RECORD = np.dtype([("number", "<i8"), ("half", "<f8")])


@njit(nogil=True, cache=True)
def relay(rx, tx, record):
    moved = 0
    while rx.pop(record):
        record[0].number += 1
        record[0].half = record[0].number / 2
        moved += tx.push(record)
    return moved


def main():
    with SpscRing.create(RECORD, 16) as there, SpscRing.create(RECORD, 16) as back:
        tx, rx = there.producer(), back.consumer()
        numbers = np.zeros(10, RECORD)
        numbers["number"] = np.arange(10)
        tx.push_many(numbers)
        try:
            moved = relay(there.consumer(), back.producer(), np.zeros(1, RECORD))
            error = ""
        except mftcore.numba.NopythonError as failure:
            moved, error = 0, str(failure)
        out = np.zeros(16, RECORD)
        got = out[: rx.pop_many(out)]
        print(
            json.dumps(
                {
                    "moved": moved,
                    "error": error,
                    "numbers": got["number"].tolist(),
                    "halves": got["half"].tolist(),
                    "hits": sum(relay.stats.cache_hits.values()),
                    "misses": sum(relay.stats.cache_misses.values()),
                }
            )
        )


if __name__ == "__main__":
    main()
