"""Where the tests find material that is not part of this repository: a recording and the exchange's schema."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


def shared_path(relative: str) -> Path:
    """Return the path of a file under ``../shared``, or skip the calling test when it is not there."""
    path = (SHARED / relative).resolve()
    if not path.exists():
        pytest.skip(f"needs ../shared/{relative}, which is not part of the repository")
    return path
