"""``cimport mftcore``: the calls of the structures for Cython code without the GIL; see ``mftcore/port.pxd``."""

from mftcore.port cimport *
