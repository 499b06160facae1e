"""The header page of a segment of any kind, read without mapping it: for tools that look. Not public.

No algorithm here: ``mft_segment_look`` in ``include/mftcore/segment.h`` reads and checks.
"""

from collections import namedtuple

from libc.string cimport memset, strerror

from mftcore.segment cimport (
    MFT_E_LAYOUT,
    MFT_OK,
    MFT_OWNER_FOREIGN,
    MFT_PARAMS,
    MFT_ROLES,
    Segment,
    mft_now_ns,
    mft_owner_pid,
    mft_process_t,
    mft_role_dead,
    mft_segment_self,
    mft_self,
)

from mftcore.errors import KernelError, LayoutError

Holder = namedtuple("Holder", ["pid", "alive", "foreign", "epoch"])
Holder.__doc__ = """A process that made a segment or holds a role in it.

Attributes
----------
pid : int
    In the pid namespace in which the segment was made; 0: nobody.
alive : bool
    False when it is proved dead. A process of another pid or time namespace counts as alive.
foreign : bool
    It cannot be judged from here: it, or we, are not in the namespaces in which the segment was made.
epoch : int
    How many holders the role has had; 0 for the maker.
"""

Header = namedtuple(
    "Header",
    [
        "kind", "version", "total_bytes", "record_bytes", "capacity", "params", "instance", "dtype_text", "meta",
        "maker", "roles", "age_ns",
    ],
)
Header.__doc__ = """What a header says; ``docs/shared-memory.md`` has its layout.

Attributes
----------
kind, version, total_bytes, record_bytes, capacity, params, instance, dtype_text, meta
    As they stand there, checked.
maker : Holder
roles : tuple of Holder
    Of all roles, also those that the kind does not have.
age_ns : int or None
    Since it was made; None when that was in another time namespace, whose clock is another.
"""


def read_header(int fd):
    """Return the `Header` of the segment behind an open descriptor.

    Raises
    ------
    LayoutError
        It is no segment of this user and boot, or its header is damaged.
    KernelError
        The file cannot be read.
    """
    cdef mft_segment_t seg
    cdef mft_header_t page
    cdef mft_process_t here
    cdef int rc
    cdef uint64_t me
    with nogil:
        rc = mft_segment_look(&seg, fd, &page)
    if rc == MFT_E_LAYOUT:
        raise LayoutError(f"{seg.fault.field.decode()} is {seg.fault.found:#x}, expected {seg.fault.expected:#x}")
    if rc != MFT_OK:
        raise KernelError(seg.error, f"it cannot be read: {strerror(seg.error).decode()}")
    me = mft_segment_self(&seg)
    mft_self(&here)
    age_ns = mft_now_ns() - seg.layout.created_ns if here.time_namespace == seg.layout.time_namespace else None
    return Header(
        seg.layout.kind,
        seg.layout.version,
        seg.layout.total_bytes,
        seg.layout.record_bytes,
        seg.layout.capacity,
        tuple([seg.layout.params[i] for i in range(MFT_PARAMS)]),
        (<char *>seg.layout.instance)[:16],
        seg.layout.dtype[:seg.layout.dtype_length].decode("ascii", "backslashreplace"),
        seg.layout.meta[:seg.layout.meta_length].decode("utf-8", "backslashreplace"),
        _holder(seg.layout.creator, 0, me),
        tuple([_holder(page.roles[i].owner, page.roles[i].epoch, me) for i in range(MFT_ROLES)]),
        age_ns,
    )


def journal_state(Segment segment):
    """Return what the live memory of a journal says of itself; `LayoutError` when it is too small for one."""
    cdef mft_journal_shared_t *shared
    cdef uint64_t drained, tail
    segment.check()
    if segment.seg.data_bytes < sizeof(mft_journal_shared_t):
        segment.corrupt("its size does not fit the memory")
    shared = <mft_journal_shared_t *>segment.seg.data
    drained = shared.drained            # before the tail, which it follows
    tail = shared.tail
    if drained > tail:
        segment.corrupt("more is on disk than was written")
    return {
        "written_bytes": tail,
        "drained_bytes": drained,
        "undrained_bytes": tail - drained,
        "full": shared.full,
        "disk_error": shared.disk_error,
        "retired": bool(shared.retired),
    }


def retire_journal(Segment segment):
    """Tell the readers of a journal's live memory that it has ended. The caller holds its roles, and all is on disk."""
    cdef mft_journal_t j
    segment.check()
    memset(&j, 0, sizeof(j))
    j.shared = <mft_journal_shared_t *>segment.seg.data
    mft_journal_retire(&j)


cdef _holder(uint64_t word, uint64_t epoch, uint64_t me):
    cdef bint nobody = word == 0
    return Holder(
        mft_owner_pid(word),
        not nobody and not mft_role_dead(word, me),
        not nobody and bool((word | me) & MFT_OWNER_FOREIGN),
        epoch & ((<uint64_t>1 << 56) - 1),
    )
