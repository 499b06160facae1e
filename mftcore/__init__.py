"""Typed, crash-safe shared-memory structures for processes on one Linux machine."""

from mftcore.version import __version__

__all__ = ["__version__"]
