"""Memory of a structure that is lent for the time of a ``with`` block: claims and peeks."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo

from mftcore.errors import ClosedError, RecordError


cdef enum:
    ENDPOINT_LENT = 4

    NOT_ENTERED = 0
    IN_BLOCK = 1
    LEFT = 2


@cython.no_gc_clear
cdef class Lent:
    """Base of claims and peeks. Not public.

    Attributes
    ----------
    view : memoryview
        The lent memory as bytes; it is dead after the block.
    """

    def __init__(self):
        raise TypeError(f"{type(self).__name__} has no constructor; ask an endpoint for one")

    def __dealloc__(self):
        if self.stage == IN_BLOCK:  # entered and dropped without leaving: nothing was done, nothing is lent any more
            self.free()

    cdef void free(self) noexcept:
        """The endpoint can be used again; and closed, if that was wanted meanwhile."""
        self.owner.state &= ~<unsigned>ENDPOINT_LENT
        if self.owner.closing:
            self.owner.shut()

    cdef int lend(self) except -1:
        return 0

    cdef int take_back(self) except -1:
        return 0

    def __enter__(self):
        if self.owner is None or self.stage != NOT_ENTERED:
            raise ClosedError(f"a {type(self).__name__} is for one block; ask the endpoint for a new one")
        self.owner.check()
        self.lend()
        self.stage = IN_BLOCK
        self.owner.state |= ENDPOINT_LENT
        return self

    def __exit__(self, kind, error, trace):
        if self.stage != IN_BLOCK:
            raise ClosedError(f"this {type(self).__name__} is not in its block")
        self.stage = LEFT
        if self.memory is not None:
            try:
                self.memory.release()
            except BufferError:
                pass  # an array was made from it: counted in `views`, and dealt with below
            self.memory = None
        if self.views:
            # the endpoint stays lent until the last of them is gone: they still reach the structure's memory
            if error is None:
                raise RecordError(
                    f"an array or view of what {self.owner.segment.what} lent outlives the block, so nothing was done "
                    "with it; use it in place, or delete what was made from it inside the block"
                )
            return
        self.free()
        if error is None:
            self.owner.check()
            self.take_back()

    cdef int in_block(self) except -1:
        if self.stage != IN_BLOCK:
            raise ClosedError(f"what a {type(self).__name__} lends can be used inside its block only")
        return 0

    @property
    def view(self):
        self.in_block()
        if self.memory is None:
            self.memory = memoryview(self)
        return self.memory

    def __getbuffer__(self, Py_buffer *view, int flags):
        self.in_block()
        PyBuffer_FillInfo(view, self, self.place, self.nbytes, not self.writable, flags)
        self.views += 1
        self.owner.segment.hold()  # in a forked child the endpoint may be closed while a view is kept

    def __releasebuffer__(self, Py_buffer *view):
        self.views -= 1
        self.owner.segment.unpin()
        if self.views == 0 and self.stage == LEFT:
            self.free()

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} can be neither pickled nor copied: it is a place in this process")
