"""What the two ends of an `SpscRing` share: lending of the ring's own memory, bound records."""

from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt
from typing_extensions import Buffer

from mftcore.endpoint import Endpoint
from mftcore.lent import Lent

# an ndarray declares itself a buffer to the type checker from Python 3.12 on only
Bytes: TypeAlias = Buffer | npt.NDArray[Any]

class RingEnd(Endpoint):
    @property
    def record_size(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

class RecordsLent(Lent):
    used: int
    @property
    def records(self) -> npt.NDArray[Any]: ...
    def __len__(self) -> int: ...

@final
class Claim(RecordsLent): ...

@final
class Peek(RecordsLent): ...

@final
class BoundPush:
    def push(self) -> bool: ...

@final
class BoundPop:
    def pop(self) -> bool: ...
