"""The structures' calls under names with a version, for machine code that outlives ours: Numba's cache keeps it. Not public.

``mft1_push`` and the like are the calls of ``port.h`` for binary interface 1. When a later version changes what a call
expects, the number goes up, and the names of the retired numbers stay, as a call that does nothing but return an error.
"""

from mftcore.segment cimport MFT_E_ARGUMENT

ABI = MFT_ABI
RETIRED_ABIS = ()

RETIRED = MFT_E_RETIRED
UNUSABLE = MFT_E_UNUSABLE
UNSTABLE = MFT_E_UNSTABLE
SMALL = MFT_E_SMALL
WRONG_END = MFT_E_WRONG_END
ARGUMENT = MFT_E_ARGUMENT


cdef int64_t retired() noexcept nogil:
    return MFT_E_RETIRED


def symbols(int abi=MFT_ABI, retired_abis=RETIRED_ABIS):
    """Return name -> address of all calls: of this version under their number, of retired ones as one that refuses."""
    calls = {
        "push": <size_t>&mft_port_push,
        "push_many": <size_t>&mft_port_push_many,
        "pop": <size_t>&mft_port_pop,
        "pop_many": <size_t>&mft_port_pop_many,
        "write": <size_t>&mft_port_write,
        "read": <size_t>&mft_port_read,
        "read_book": <size_t>&mft_port_read_book,
        "write_many": <size_t>&mft_port_write_many,
        "next": <size_t>&mft_port_next,
        "push_bytes": <size_t>&mft_port_push_bytes,
        "pop_bytes": <size_t>&mft_port_pop_bytes,
        "record": <size_t>&mft_port_record,
    }
    found = {f"mft{abi}_{name}": address for name, address in calls.items()}
    found.update({f"mft{old}_{name}": <size_t>&retired for old in retired_abis for name in calls})
    return found
