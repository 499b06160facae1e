"""Child processes for tests: killed and reaped whatever happens."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def child(target: Callable[..., None], *args: Any) -> Iterator[Any]:
    """Run `target` in a forked child inside the block."""
    process = multiprocessing.get_context("fork").Process(target=target, args=args, daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
