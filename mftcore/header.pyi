"""The header page of a segment of any kind, read without mapping it: for tools that look. Not public."""

from typing import NamedTuple

from mftcore.segment import Segment

class Holder(NamedTuple):
    pid: int
    alive: bool
    foreign: bool
    epoch: int

class Header(NamedTuple):
    kind: int
    version: int
    total_bytes: int
    record_bytes: int
    capacity: int
    params: tuple[int, ...]
    instance: bytes
    dtype_text: str
    meta: str
    maker: Holder
    roles: tuple[Holder, ...]
    age_ns: int | None

def journal_state(segment: Segment) -> dict[str, int]: ...
def read_header(fd: int) -> Header: ...
def retire_journal(segment: Segment) -> None: ...
