"""The exchange on loopback: websockets on uvloop around the pure core, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import uvloop
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.protocol import Event

from mftpy.errors import MftpyError, ResourceError
from mftpy.sim.exchange import Exchange, Output
from mftpy.sim.keys import Keys
from mftpy.sim.settings import ExchangeSettings

log = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
PATH: Final = "/ws/api/v2"
MOST_MESSAGE_BYTES: Final = 1 << 20
MOST_BACKLOG: Final = 5_000
TICK_S: Final = 0.01


@dataclass(frozen=True)
class ReadyInfo:
    """Where the exchange listens, and who may log in."""

    port: int
    url: str
    key_id: str
    private_key_pem: bytes = field(repr=False)


class Heard(ServerConnection):
    """A connection that tells of every frame, pings included: to the exchange each is a sign of life."""

    on_frame: Callable[[], None] | None = None

    def process_event(self, event: Event) -> None:
        """Handle one event of the protocol."""
        if self.on_frame is not None:
            self.on_frame()
        super().process_event(event)


class Shell:
    """Connections, their send queues, and the clock."""

    def __init__(self, settings: ExchangeSettings, keys: Keys, *, until_login: bool) -> None:
        self.exchange = Exchange(settings, keys, time.monotonic_ns(), time.time_ns())
        if settings.flow == "recording":
            self.exchange.hold(until_login=until_login)
        self._connections: dict[int, ServerConnection] = {}
        self._queues: dict[int, asyncio.Queue[bytes]] = {}
        self._next = 0

    async def serve_one(self, connection: ServerConnection) -> None:
        """Serve one client until it goes."""
        self._next += 1
        number = self._next
        queue: asyncio.Queue[bytes] = asyncio.Queue(MOST_BACKLOG)
        self._connections[number], self._queues[number] = connection, queue
        self.exchange.connect(number, time.monotonic_ns())
        assert isinstance(connection, Heard)
        connection.on_frame = lambda: self.exchange.touch(number, time.monotonic_ns())
        writer = asyncio.create_task(self._write(connection, queue))
        try:
            async for payload in connection:
                self.deliver(self.exchange.handle(number, payload, time.monotonic_ns()))
        except ConnectionClosed as closed:
            log.info("client %d: %s", number, closed)
        finally:
            del self._connections[number], self._queues[number]
            self.deliver(self.exchange.disconnect(number, time.monotonic_ns()))
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    @staticmethod
    async def _write(connection: ServerConnection, queue: asyncio.Queue[bytes]) -> None:
        try:
            while True:
                await connection.send(await queue.get(), text=True)
        except ConnectionClosed:
            return  # the reader sees it too, and ends the session

    def deliver(self, outputs: list[Output]) -> None:
        """Queue messages; a client that does not read is closed, so that memory stays bounded."""
        for number, payload in outputs:
            queue = self._queues.get(number)
            if queue is None:
                continue
            if queue.full():
                self._connections[number].transport.abort()
                continue
            queue.put_nowait(payload)

    async def run_clock(self) -> None:
        """Let the market move."""
        while True:
            self.deliver(self.exchange.advance(time.monotonic_ns()))
            await asyncio.sleep(TICK_S)


async def _listen(shell: Shell, port: int) -> Server:
    try:
        return await serve(
            shell.serve_one,
            HOST,
            port,
            create_connection=Heard,
            compression=None,
            max_size=MOST_MESSAGE_BYTES,
            ping_interval=None,
            close_timeout=1,
            server_header=None,
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ResourceError(
            f"cannot listen on {HOST}:{port}: {reason}; choose another port, or 0 for any free one"
        ) from error


async def _serve(
    settings: ExchangeSettings,
    port: int,
    ready: Callable[[ReadyInfo], None],
    stop: Callable[[Shell], Any],
    *,
    until_login: bool,
) -> None:
    keys = Keys()
    key_id = "K000000001"
    pem = keys.make(key_id, "A000000001")
    keys.make("K000000002", "A000000002")
    shell = Shell(settings, keys, until_login=until_login)
    server = await _listen(shell, port)
    number = server.sockets[0].getsockname()[1]
    clock = asyncio.create_task(shell.run_clock())
    gc.collect()
    gc.freeze()
    try:
        ready(ReadyInfo(number, f"ws://{HOST}:{number}{PATH}", key_id, pem))
        stopped = asyncio.ensure_future(stop(shell))
        await asyncio.wait({clock, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if clock.done():
            clock.result()  # raises what ended it
    finally:
        clock.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await clock
        server.close()
        await server.wait_closed()


def exchange_main(settings: ExchangeSettings, port: int, conn: Connection) -> None:
    """Run the exchange as a child process: tells its parent where it listens, ends when told or when it is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent ends it, after everybody else

    async def until_told(shell: Shell) -> None:
        told = False
        while True:
            if conn.poll():
                try:
                    said = conn.recv()
                except EOFError:
                    log.info("the parent is gone")
                    return
                if said[0] == "stop":
                    return
                shell.exchange.release(time.monotonic_ns())  # "play": everybody is ready for what was recorded
            flow = shell.exchange.flows[0]
            if flow.failure is not None and not told:
                told = True  # and serve on: what rests must still be cancelled
                conn.send(("error", flow.failure.exit_code, str(flow.failure), ""))
            elif flow.finished and not told:
                told = True
                conn.send(("finished", flow.finished))
            await asyncio.sleep(TICK_S)

    try:
        uvloop.run(_serve(settings, port, lambda info: conn.send(("ready", info)), until_told, until_login=False))
    except MftpyError as error:
        conn.send(("error", error.exit_code, str(error), ""))
        raise SystemExit(error.exit_code) from error


def serve_alone(
    settings: ExchangeSettings, port: int, keys_directory: Path, ready: Callable[[ReadyInfo, Path], None]
) -> None:
    """Run the exchange in this process until SIGINT, SIGTERM or SIGHUP; writes the key for its clients.

    Raises
    ------
    ResourceError
        The port is in use, or the key cannot be written.
    """

    def write_key(info: ReadyInfo) -> None:
        path = keys_directory.absolute() / f"{info.key_id}.pem"
        try:
            keys_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(info.private_key_pem)
        except OSError as error:
            raise ResourceError(f"cannot write the key {path}: {error.strerror}; choose another --keys") from error
        ready(info, path)

    async def until_signal(shell: Shell) -> None:
        told = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        while not told.is_set() and not shell.exchange.flows[0].finished:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), 0.2)

    uvloop.run(_serve(settings, port, write_key, until_signal, until_login=True))
