"""What the two ends of an `SpscRing` share: lending of the ring's own memory, bound records."""

from types import TracebackType
from typing import Any, Self, TypeAlias, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from mftcore.endpoint import Endpoint

# an ndarray declares itself a buffer to the type checker from Python 3.12 on only
Bytes: TypeAlias = Buffer | npt.NDArray[Any]

class RingEnd(Endpoint):
    @property
    def record_size(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

class Lent:
    used: int
    @property
    def view(self) -> memoryview: ...
    @property
    def records(self) -> npt.NDArray[Any]: ...
    def __len__(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

@final
class Claim(Lent): ...

@final
class Peek(Lent): ...

@final
class BoundPush:
    def push(self) -> bool: ...

@final
class BoundPop:
    def pop(self) -> bool: ...
