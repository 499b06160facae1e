"""What holds for every test: properties are checked on the same examples in every run, and never timed."""

import gc

import pytest
from hypothesis import settings

settings.register_profile("mftpy", derandomize=True, deadline=None)
settings.load_profile("mftpy")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # the longest first: where several processes share the tests, none of them is left alone with these at the end
    items.sort(key=lambda item: "tests/system/" not in item.path.as_posix())


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Spare every later collection of garbage the many objects that importing the tests has made."""
    gc.collect()
    gc.freeze()
