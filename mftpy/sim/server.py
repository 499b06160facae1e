"""The exchange as a process: made from its settings, told to its clients, ended in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import uvloop

from mftpy.errors import MftpyError, ResourceError
from mftpy.settings import Config
from mftpy.sim.exchange import Exchange, account_numbers, key_ids
from mftpy.sim.faults import Fault, Plan, read_plan
from mftpy.sim.faults_control import Controlled, serve_control
from mftpy.sim.faults_injector import Injector
from mftpy.sim.host import Limits
from mftpy.sim.keys import Keys
from mftpy.sim.latency import Latency
from mftpy.sim.serving import Serving
from mftpy.sim.settings import ExchangeSettings

log: Final = logging.getLogger(__name__)

CONTROL: Final = "control.sock"
"""Name of the control socket, in the directory of the keys."""


@dataclass(frozen=True)
class ServerSettings:
    """What surrounds the market.

    Attributes
    ----------
    port : int
        Loopback port; 0 for any free one.
    latency : Latency
    limits : Limits
    plan : Plan
        What goes wrong on purpose.
    """

    port: int = 0
    latency: Latency = field(default_factory=Latency)
    limits: Limits = field(default_factory=Limits)
    plan: Plan = field(default_factory=Plan)

    @classmethod
    def of(cls, config: Config) -> ServerSettings:
        """Return what the settings of a run say; `ConfigError` when they are at odds."""
        exchange = config.exchange
        return cls(
            port=exchange.port,
            latency=Latency(exchange.latency_ms, exchange.jitter_ms, exchange.seed),
            limits=Limits(connections=exchange.max_connections, anonymous_s=exchange.anonymous_timeout_s),
            plan=read_plan(exchange.faults) if exchange.faults else Plan(),
        )


@dataclass(frozen=True)
class ClientKey:
    """What one client logs in with."""

    key_id: str
    account: str
    private_key_pem: bytes = field(repr=False)


@dataclass(frozen=True)
class ReadyInfo:
    """Where the exchange listens, and who may log in."""

    port: int
    url: str
    clients: tuple[ClientKey, ...]


def make_clients(keys: Keys, count: int) -> tuple[ClientKey, ...]:
    """Make a key for each of so many accounts."""
    return tuple(
        ClientKey(key_id, account, keys.make(key_id, account))
        for key_id, account in zip(key_ids(count), account_numbers(count), strict=True)
    )


class Running:
    """An exchange and its server, made from settings inside a running loop."""

    def __init__(self, settings: ExchangeSettings, server: ServerSettings, *, until_login: bool) -> None:
        keys = Keys()
        self.clients = make_clients(keys, settings.accounts)
        now_ns, unix_ns = time.monotonic_ns(), time.time_ns()
        self.exchange = Exchange(settings, keys, now_ns, unix_ns)
        if settings.flow == "recording":
            self.exchange.hold(until_login=until_login)
        self.injector = Injector(self.exchange, server.plan, now_ns, unix_ns)
        self.serving = Serving(self.injector, server.limits, server.latency, self._look_at_flows)
        self._settings = server
        self.on_failure: Callable[[MftpyError], None] = lambda _: None
        self.on_finished: Callable[[str], None] = lambda _: None
        self._told = False

    async def start(self) -> ReadyInfo:
        """Listen; returns what clients must know."""
        port = await self.serving.start(self._settings.port)
        gc.collect()
        gc.freeze()
        return ReadyInfo(port, self.serving.address(port), self.clients)

    def release(self) -> None:
        """Let a flow that is held begin now."""
        self.exchange.release(time.monotonic_ns())
        self.serving.perform([])

    def add_fault(self, fault: Fault) -> int:
        """Let a fault be at work from now on; returns its number."""
        number = self.injector.add(fault, time.monotonic_ns())
        self.serving.perform(self.injector.advance(time.monotonic_ns()))  # what begins at once has begun
        return number

    def clear_faults(self, number: int | None) -> int:
        """End one fault, or all; returns how many there were."""
        count, acts = self.injector.clear(number, time.monotonic_ns())
        self.serving.perform(acts)
        return count

    def _look_at_flows(self) -> None:
        if self._told:
            return
        for flow in self.exchange.flows:
            if flow.failure is not None:
                self._told = True  # and serve on: what rests must still be cancelled
                self.on_failure(flow.failure)
                return
        if all(flow.finished for flow in self.exchange.flows):
            self._told = True
            self.on_finished(self.exchange.flows[0].finished or "")


async def _serve(
    running: Running, ready: Callable[[ReadyInfo], None], stop: asyncio.Future[str], control: Path | None = None
) -> None:
    """Serve until `stop` has a result or raises, or a defect of ours ends it; with a control socket, if named."""
    end_control: Callable[[], None] | None = None
    try:
        info = await running.start()
        if control is not None:
            faults = Controlled(running.add_fault, running.clear_faults, running.injector.listed)
            end_control = await serve_control(control, faults)
        ready(info)
        ends: set[asyncio.Future[Any]] = {running.serving.failed, stop}
        ended, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for one in ended:
            one.result()  # raises what ended it
    finally:
        if end_control is not None:
            end_control()
        await running.serving.stop()


def exchange_main(settings: ExchangeSettings, server: ServerSettings, conn: Connection) -> None:
    """Run the exchange as a child process: tells its parent where it listens, ends when told or when it is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the parent ends it, after everybody else

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        stop: asyncio.Future[str] = loop.create_future()
        running = Running(settings, server, until_login=False)

        def listen() -> None:
            try:
                said = conn.recv()
            except (EOFError, OSError):
                log.info("the parent is gone")
                said = ("stop",)
            if said[0] == "play":
                running.release()  # everybody is ready for what was recorded
            else:
                loop.remove_reader(conn.fileno())
                stop.set_result("")

        running.on_failure = lambda failure: _tell(conn, ("error", failure.exit_code, str(failure), ""))
        running.on_finished = lambda how: _tell(conn, ("finished", how))
        loop.add_reader(conn.fileno(), listen)
        await _serve(running, lambda info: _tell(conn, ("ready", info)), stop)

    try:
        uvloop.run(serve())
    except MftpyError as error:
        _tell(conn, ("error", error.exit_code, str(error), ""))
        raise SystemExit(error.exit_code) from error
    except Exception as error:
        sentence = f"the embedded exchange ended by a defect of ours: {type(error).__name__}: {error}"
        _tell(conn, ("error", MftpyError.exit_code, sentence, traceback.format_exc()))
        raise SystemExit(MftpyError.exit_code) from error


def _tell(conn: Connection, message: tuple[object, ...]) -> None:
    """Tell the parent, if it is still there: it ends us when it goes, and then nobody is left to tell."""
    try:
        conn.send(message)
    except OSError as error:
        log.info("the parent is gone (%s), and was to be told: %s", error, message[:3])


def serve_alone(
    settings: ExchangeSettings,
    server: ServerSettings,
    keys_directory: Path,
    ready: Callable[[ReadyInfo, list[Path], Path], None],
) -> str:
    """Run the exchange in this process until SIGINT, SIGTERM or SIGHUP, or the end of its recording.

    It writes the keys for its clients; `ready` is told where they are, and where the control socket is.

    Returns
    -------
    str
        One phrase on what came to its end; empty after a signal.

    Raises
    ------
    InputFileError
        The recording cannot be played on: nobody is left to trade with.
    ResourceError
        The port is in use, a key cannot be written, or the control socket cannot be made.
    """
    control = keys_directory.absolute() / CONTROL

    async def serve() -> str:
        loop = asyncio.get_running_loop()
        stop: asyncio.Future[str] = loop.create_future()

        def end(how: str = "") -> None:
            if not stop.done():
                stop.set_result(how)

        def fail(failure: MftpyError) -> None:
            if not stop.done():
                stop.set_exception(failure)

        running = Running(settings, server, until_login=True)
        running.on_finished, running.on_failure = end, fail
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end)
        make_directory(keys_directory)
        await _serve(
            running, lambda info: ready(info, write_keys(keys_directory, info.clients), control), stop, control
        )
        return stop.result()

    return uvloop.run(serve())


def make_directory(path: Path) -> None:
    """Make the directory for the keys, for this user alone, if it is not there."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"cannot make the directory {path}: {error.strerror}; choose another --keys") from error


def write_keys(directory: Path, clients: tuple[ClientKey, ...]) -> list[Path]:
    """Write each client's private key into a file of its own that nobody else may read; returns their names."""
    paths = [directory.absolute() / f"{client.key_id}.pem" for client in clients]
    for client, path in zip(clients, paths, strict=True):
        try:
            path.unlink(missing_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(client.private_key_pem)
        except OSError as error:
            raise ResourceError(f"cannot write the key {path}: {error.strerror}; choose another --keys") from error
    return paths
