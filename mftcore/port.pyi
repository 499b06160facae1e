"""The structures without the GIL, for Cython code: see ``port.pxd``. Python finds nothing here."""
