"""Memory of a structure that is lent for the time of a ``with`` block: claims and peeks."""

from types import TracebackType
from typing import Self

class Lent:
    @property
    def view(self) -> memoryview: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...
