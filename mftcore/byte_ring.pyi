"""`ByteRing`: one producer, one consumer, messages of any length."""

from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, NamedTuple, final

from typing_extensions import Buffer

from mftcore.doorbell import Doorbell
from mftcore.endpoint import Endpoint, Handle, WaitMode
from mftcore.lent import Lent

class BytesCounters(NamedTuple):
    pushed: int
    popped: int
    full: int
    used_bytes: int

@final
class ByteRing(Handle):
    @property
    def capacity(self) -> int: ...
    @staticmethod
    def create(capacity: int, *, name: str | None = None) -> ByteRing: ...
    def producer(self, bell: Doorbell | None = None) -> ByteProducer: ...
    def consumer(self, bell: Doorbell | None = None) -> ByteConsumer: ...
    def counters(self) -> BytesCounters: ...

class BytesEnd(Endpoint):
    @property
    def capacity(self) -> int: ...

@final
class ByteProducer(BytesEnd):
    def push(self, message: Buffer) -> bool: ...
    def push_many(self, messages: Iterable[Buffer]) -> int: ...
    def push_wait(self, message: Buffer, timeout_s: float | None, *, mode: WaitMode = "park") -> bool: ...
    def claim(self, length: int) -> BytesClaim: ...
    @property
    def consumer_alive(self) -> bool: ...

@final
class ByteConsumer(BytesEnd):
    def pop(self) -> bytes | None: ...
    def pop_many(self, most: int) -> list[bytes]: ...
    def pop_wait(self, timeout_s: float | None, *, mode: WaitMode = "park") -> bytes | None: ...
    def pop_async(self) -> Coroutine[Any, Any, bytes]: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def peek(self) -> BytesPeek: ...
    @property
    def producer_alive(self) -> bool: ...

@final
class BytesClaim(Lent):
    length: int
    @property
    def view(self) -> memoryview | None: ...  # type: ignore[override]

@final
class BytesPeek(Lent):
    @property
    def view(self) -> memoryview | None: ...  # type: ignore[override]
