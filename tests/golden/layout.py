"""The header page of a segment as Python sees it, and what of a segment depends on the machine and the moment.

A golden file is a whole segment of another machine. `settle` makes its header one of this machine: user, boot and
namespaces are replaced and the checksum is computed anew; every other byte stays as the release wrote it.
"""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

PAGE = 4096
LINE = 64
U32, U64 = ctypes.c_uint32, ctypes.c_uint64


class Layout(ctypes.LittleEndianStructure):
    """``mft_layout_t`` of ``segment.h``: what never changes after a segment is ready."""

    _fields_ = (
        ("magic", U64),
        ("kind", U32),
        ("version", U32),
        ("total_bytes", U64),
        ("data_offset", U64),
        ("record_bytes", U64),
        ("capacity", U64),
        ("params", U64 * 8),
        ("instance", ctypes.c_uint8 * 16),
        ("boot", ctypes.c_uint8 * 16),
        ("pid_namespace", U64),
        ("time_namespace", U64),
        ("creator", U64),
        ("uid", U32),
        ("named", U32),
        ("created_ns", U64),
        ("dtype_hash", U64),
        ("dtype_length", U32),
        ("meta_length", U32),
        ("meta", ctypes.c_uint8 * 248),
        ("dtype", ctypes.c_uint8 * 2616),
        ("checksum", U64),
    )


class Role(ctypes.LittleEndianStructure):
    """``mft_role_t``."""

    _fields_ = (("owner", U64), ("epoch", U64), ("zero", U64 * 6))


class Header(ctypes.LittleEndianStructure):
    """``mft_header_t``."""

    _fields_ = (
        ("layout", Layout),
        ("ready", U64),
        ("after_ready", ctypes.c_uint8 * (LINE - 8)),
        ("roles", Role * 8),
        ("zero", ctypes.c_uint8 * (PAGE - 3072 - LINE - 8 * LINE)),
    )


assert ctypes.sizeof(Layout) == 3072
assert ctypes.sizeof(Header) == PAGE

OF_THE_MACHINE = ("boot", "pid_namespace", "time_namespace", "uid")
OF_THE_MOMENT = ("instance", "creator", "created_ns", "checksum")


def fnv1a(data: bytes | bytearray) -> int:
    """Return the 64-bit FNV-1a hash, as ``mft_fnv1a`` computes it."""
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return digest


def sign(segment: bytearray) -> None:
    """Make the checksum of a header right again after a change."""
    header = Header.from_buffer(segment)
    header.layout.checksum = fnv1a(segment[: Layout.checksum.offset])


def settle(segment: bytearray) -> None:
    """Make the header one of this user, boot and namespaces; nothing else changes but the checksum."""
    layout = Header.from_buffer(segment).layout
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip().replace("-", "")
    layout.boot[:] = bytes.fromhex(boot)
    layout.pid_namespace = Path("/proc/self/ns/pid").stat().st_ino
    layout.time_namespace = Path("/proc/self/ns/time").stat().st_ino
    layout.uid = os.geteuid()
    sign(segment)


def blanked(segment: bytes, times: tuple[int, ...]) -> bytearray:
    """Return a copy without what depends on machine and moment: fields of the header, holders, the words at `times`."""
    copy = bytearray(segment)
    header = Header.from_buffer(copy)
    for name in (*OF_THE_MACHINE, *OF_THE_MOMENT):
        field = getattr(Layout, name)
        copy[field.offset : field.offset + field.size] = bytes(field.size)
    for role in header.roles:
        role.owner = 0 if role.owner == 0 else 1
    for at in times:
        copy[at : at + 8] = bytes(8)
    return copy


def place(at: int) -> str:
    """Return what lies at a byte of a segment, by the names of the header's fields."""
    if at >= PAGE:
        return f"byte {at - PAGE} of the data"
    if at >= Header.roles.offset and at < Header.zero.offset:
        role, within = divmod(at - Header.roles.offset, ctypes.sizeof(Role))
        return f"role {role}, byte {within}"
    if at >= Header.ready.offset:
        return "ready" if at < Header.ready.offset + 8 else f"byte {at} of the header"
    for name, *_ in Layout._fields_:
        field = getattr(Layout, name)
        if field.offset <= at < field.offset + field.size:
            return f"{name} (byte {at} of the header)"
    raise AssertionError(at)


def differences(golden: bytes, fresh: bytes, times: tuple[int, ...]) -> Iterator[str]:
    """Give the places at which a golden segment and a fresh one of the same request and contents differ."""
    if len(golden) != len(fresh):
        yield f"size: {len(golden)} bytes in the golden file, {len(fresh)} now"
        return
    old, new = blanked(golden, times), blanked(fresh, times)
    for at in range(0, len(old), 8):
        if old[at : at + 8] != new[at : at + 8]:
            yield f"{place(at)}: {old[at : at + 8].hex()} in the golden file, {new[at : at + 8].hex()} now"
