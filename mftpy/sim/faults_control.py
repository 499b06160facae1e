"""The control channel: faults by command while the exchange runs, over a Unix socket of the same user.

One command per line, one JSON object per line in answer: see `mftpy.sim.faults.parse_command`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from mftpy.errors import ConfigError, ResourceError
from mftpy.sim.faults import Fault, parse_command

MOST_LINE_BYTES: Final = 1 << 16
MOST_CLIENTS: Final = 16
PATIENCE_S: Final = 5.0


class Controlled:
    """What commands are for: an exchange with an injector, in calls of its own loop."""

    def __init__(
        self,
        add: Callable[[Fault], int],
        clear: Callable[[int | None], int],
        listed: Callable[[], list[dict[str, Any]]],
    ) -> None:
        self._add, self._clear, self._listed = add, clear, listed

    def answer(self, line: str) -> dict[str, Any]:
        """Obey one command; returns what to tell of it."""
        try:
            what, argument = parse_command(line)
        except ConfigError as error:
            return {"error": str(error)}
        if what == "list":
            return {"faults": self._listed()}
        if what == "clear":
            cleared = self._clear(argument)
            return {"cleared": cleared} if cleared or argument is None else {"error": f"there is no fault {argument}"}
        return {"number": self._add(argument)}


class _Client(asyncio.Protocol):
    """One connection to the control channel."""

    def __init__(self, controlled: Controlled, clients: set[_Client]) -> None:
        self._controlled, self._clients = controlled, clients
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse other users, and more than a few."""
        self._transport = cast(asyncio.Transport, transport)
        sock = transport.get_extra_info("socket")
        peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", peer)[1] != os.geteuid() or len(self._clients) >= MOST_CLIENTS:
            self._transport.abort()
        self._clients.add(self)

    def data_received(self, data: bytes) -> None:
        """Answer whole lines."""
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            text = line.decode(errors="replace").strip()
            if text:
                self._transport.write(msgspec.json.encode(self._controlled.answer(text)) + b"\n")
        if len(self._buffer) > MOST_LINE_BYTES or self._transport.get_write_buffer_size() > 16 * MOST_LINE_BYTES:
            self._transport.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget it."""
        self._clients.discard(self)


async def serve_control(path: Path, controlled: Controlled) -> Callable[[], None]:
    """Listen for commands at `path`, for this user alone; returns what ends it.

    Raises
    ------
    ResourceError
        Another exchange listens there, or the socket cannot be made.
    """
    clients: set[_Client] = set()
    try:
        _make_room(path)
        sock = _bind(path)
        server = await asyncio.get_running_loop().create_unix_server(lambda: _Client(controlled, clients), sock=sock)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ResourceError(f"cannot make the control socket {path}: {reason}; choose another --keys") from error
    inode = path.stat().st_ino

    def stop() -> None:
        server.close()
        for client in list(clients):
            client._transport.abort()
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == inode:
                path.unlink()

    return stop


def _bind(path: Path) -> socket.socket:
    """Return a socket at `path` that nobody but this user can connect to, at any time."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    old = os.umask(0o177)
    try:
        sock.bind(str(path))
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(old)
    return sock


def _make_room(path: Path) -> None:
    """Remove the socket of an exchange that is gone."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise ResourceError(f"{path} is there and no socket; choose another --keys")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PATIENCE_S)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ResourceError(f"another exchange uses the control socket {path}; choose another --keys")


def send_command(path: str | Path, line: str) -> dict[str, Any]:
    """Send one command to a running exchange; returns its answer.

    Raises
    ------
    ConfigError
        The exchange says that it is no command.
    ResourceError
        No exchange listens at `path`, or it does not answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE_S)
        try:
            sock.connect(str(path))
            sock.sendall(" ".join(line.split("\n")).encode() + b"\n")
            with sock.makefile("rb") as file:
                answer = file.readline()
        except OSError as error:
            raise ResourceError(
                f"no exchange answers at {path}: {error.strerror or error}; --control names the socket that "
                "mftpy exchange has made in its --keys directory"
            ) from error
    if not answer.endswith(b"\n"):
        raise ResourceError(f"the exchange at {path} has closed the control channel without an answer")
    found: dict[str, Any] = msgspec.json.decode(answer)
    if "error" in found:
        raise ConfigError(found["error"])
    return found
