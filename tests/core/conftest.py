"""What several tests of the structures need."""

import gc
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def open_descriptors() -> Callable[[], list[str]]:
    """Return a function that lists this process's open descriptors, for tests that none leaks.

    What earlier tests left to the garbage collector (handles in the tracebacks of expected errors) is collected
    first: it would otherwise be closed at some moment between two listings.
    """

    def listing() -> list[str]:
        gc.collect()
        return sorted(path.name for path in Path("/proc/self/fd").iterdir())

    return listing
