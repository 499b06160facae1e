"""What several tests of the structures need."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def open_descriptors() -> Callable[[], list[str]]:
    """Return a function that lists this process's open descriptors, for tests that none leaks."""
    return lambda: sorted(path.name for path in Path("/proc/self/fd").iterdir())
