"""A thread's sleep at many bells on behalf of an event loop; ``mftcore/aio.py`` runs it. Not public."""

import os

cimport cython
from libc.errno cimport EINTR, errno
from libc.string cimport memset

from mftcore.endpoint cimport Endpoint, Handle, mft_bell_arm, mft_bell_ring, mft_bell_rung, mft_bell_want, mft_bells_sleep
from mftcore.segment cimport MFT_E_SYSTEM

from mftcore.errors import KernelError


cdef enum:
    MOST = 127                          # MFT_MOST_BELLS, less our own

cdef int64_t SLEEP_NS = 500_000_000     # the loop looks by its own timers; this bounds how late an end is noticed


@cython.no_gc_clear
cdef class Entry:
    def __dealloc__(self):
        if self.segment is not None:
            self.segment.unpin()


@cython.final
cdef class Sleeper:
    """Sleeps in one thread for endpoints that another thread, the event loop's, uses.

    The loop's thread calls `add` and `drop`, the sleeping thread `run`; all under the GIL, which `run` gives away while it
    sleeps. Endpoints are never touched from `run`, only the words of their bells.
    """

    def __cinit__(self):
        memset(&self.own, 0, sizeof(self.own))
        mft_bell_want(&self.own)
        self.entries = {}

    def add(self, Waitable item, token):
        """Arm an item's bell for a token that `run` delivers when it is rung.

        Returns
        -------
        int
            0: there is something to do already, and nothing was added. Else the time in ns after which to look again
            whatever happens: a ringer may have been killed before it rang.

        Raises
        ------
        ClosedError, RoleBusy, ForkedError
            The item cannot be waited for.
        """
        cdef Entry entry = Entry.__new__(Entry)
        cdef int64_t look_again_ns
        item.usable()
        entry.bell = item.bell()
        look_again_ns = mft_bell_want(entry.bell)
        entry.armed = mft_bell_arm(entry.bell)
        if item.ready():
            return 0
        segment = (<Endpoint>item).segment if isinstance(item, Endpoint) else (<Handle>item).segment
        (<Segment>segment).hold()
        entry.segment = segment
        entry.token = token
        self.entries[id(token)] = entry
        mft_bell_ring(&self.own)
        return look_again_ns

    def drop(self, token):
        """Forget a token; no error when it was delivered."""
        self.entries.pop(id(token), None)

    @property
    def room(self):
        """int: entries that it can still take."""
        return MOST - len(self.entries)

    def end(self):
        """Let `run` return."""
        self.ending = True
        mft_bell_ring(&self.own)

    def run(self, deliver):
        """Sleep and deliver lists of tokens until `end` is called or `deliver` returns False."""
        cdef mft_bell_t *bells[MOST + 1]
        cdef uint32_t armed[MOST + 1]
        cdef uint32_t count, i
        cdef int rc, code
        cdef Entry entry
        while not self.ending:
            bells[0] = &self.own
            armed[0] = mft_bell_arm(&self.own)
            taken = list(self.entries.values())  # keeps their memory mapped for as long as we sleep on it
            count = 1
            for entry in taken[:MOST]:
                bells[count], armed[count] = entry.bell, entry.armed
                count += 1
            if self.ending:
                return
            with nogil:
                rc = mft_bells_sleep(bells, armed, count, SLEEP_NS)
                code = errno
            if rc == MFT_E_SYSTEM and code != EINTR:
                raise KernelError(code, f"cannot sleep for the event loop: {os.strerror(code)}")
            rung = []
            for entry in taken:
                if mft_bell_rung(entry.bell, entry.armed) and self.entries.pop(id(entry.token), None) is not None:
                    rung.append(entry.token)
            entry = None
            del taken
            if not deliver(rung):
                return
