"""The C structs of the strategy are the records of Python: names, order, sizes, types, and the enumerations."""

import numpy as np
import pytest

from mftpy import decisions, records
from mftpy.model.estimate import ESTIMATE
from mftpy.strategy import parameters, structs

DTYPES = {
    "CONTROL": records.CONTROL,
    "TRADE": records.TRADE,
    "TICKER": records.TICKER,
    "TARGET": records.TARGET,
    "ACCOUNT": records.ACCOUNT,
    "STATUS": records.STATUS,
    "MODEL_INPUT": decisions.MODEL_INPUT,
    "MODEL_OUTPUT": decisions.MODEL_OUTPUT,
    "DECISION": decisions.DECISION,
    "ACTION": decisions.ACTION,
    "PARAMETERS": parameters.PARAMETERS,
    "ESTIMATES": records.ESTIMATES,
    "ESTIMATE": ESTIMATE,
}


def filled(dtype, rng):
    """Return a record whose members, arrays and records within it included, are all different."""
    row = np.zeros(1, dtype)
    for name in dtype.names:
        kind = dtype[name].base.kind
        if dtype[name].names:
            row[name] = filled(dtype[name], rng)
        elif kind == "f":
            row[name] = rng.normal(size=row[name].shape)
        else:
            row[name] = rng.integers(0 if kind == "u" else -(2**63), 2**63 - 1, size=row[name].shape)
            if kind == "u":
                row[name] += np.uint64(2**63)  # only an unsigned word holds it
    return row


def plain(row):
    """Return one record as a dictionary of numbers and lists."""
    return {
        name: plain(row[name]) if row.dtype[name].names else np.asarray(row[name]).tolist() for name in row.dtype.names
    }


@pytest.mark.parametrize("name", structs.sizes())
def test_c_reads_of_a_record_what_numpy_wrote(name):
    dtype = DTYPES[name]
    assert structs.sizes()[name] == dtype.itemsize
    row = filled(dtype, np.random.default_rng(1))
    seen = structs.as_c_sees(name, row.tobytes())
    expected = plain(row[0])
    assert seen == expected
    assert list(seen) == list(expected)  # the order too


def test_every_record_is_compared_and_one_of_another_size_is_refused():
    assert structs.sizes().keys() == DTYPES.keys()
    with pytest.raises(ValueError, match="CONTROL of 23 bytes"):
        structs.as_c_sees("CONTROL", bytes(23))
    with pytest.raises(ValueError, match="NONE of 24 bytes"):
        structs.as_c_sees("NONE", bytes(24))


def test_a_member_that_has_moved_would_be_seen():
    row = filled(records.TRADE, np.random.default_rng(2))
    moved = np.frombuffer(row.tobytes()[8:] + row.tobytes()[:8], records.TRADE)
    assert structs.as_c_sees("TRADE", moved.tobytes()) != plain(row[0])


def test_the_enumerations_have_the_same_numbers():
    expected = {name: getattr(records, name) for name in ("SLOTS_PER_SIDE", "OWN_ORDERS")}
    expected |= {name: getattr(decisions, name) for name in ("MODEL_LEVELS", "PARAMETERS_OF_USER", "CLAMPS")}
    for kind in (records.Side, records.Command, records.Mode, records.Reason, decisions.FairSource, decisions.Clamp):
        expected |= {f"{kind.__name__}.{member}": int(value) for member, value in kind.__members__.items()}
    assert structs.constants() == expected
