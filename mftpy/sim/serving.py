"""Connections around the exchange's core, and its clock: what is not pure, without what goes wrong on purpose."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from mftpy.errors import MftpyError, ResourceError
from mftpy.sim.acts import Act, text_frame
from mftpy.sim.connection import PATH, ClientConnection
from mftpy.sim.host import Limits
from mftpy.sim.latency import Latency

log: Final = logging.getLogger(__name__)

HOST: Final = "127.0.0.1"
LEAST_SLEEP_NS: Final = 1_000_000
SPARE_SOCKETS: Final = 100  # beyond the limit, for clients that must be told so


class Core(Protocol):
    """The exchange without I/O, as it is or with faults; see `mftpy.sim.exchange.Exchange`."""

    def refusal(self, now_ns: int) -> str | None:
        """Return why no new session can be opened now, if so."""

    def connect(self, number: int, now_ns: int) -> None:
        """A client connected."""

    def touch(self, number: int, now_ns: int) -> None:
        """Some frame of this client arrived."""

    def disconnect(self, number: int, now_ns: int) -> Sequence[Act]:
        """A client is gone."""

    def handle(self, number: int, payload: bytes, now_ns: int) -> Sequence[Act]:
        """Answer one message."""

    def advance(self, now_ns: int) -> Sequence[Act]:
        """Let the market move and time-outs pass up to now."""

    def next_due_ns(self) -> int | None:
        """Return when `advance` wants to be called next."""

    def is_anonymous(self, number: int) -> bool:
        """Whether a session has neither logged in nor subscribed to anything."""


class Serving:
    """The server: it owns sockets and time, and decides nothing about the market.

    Parameters
    ----------
    core : Core
    limits : Limits
    latency : Latency
    after_advance : callable
        Called after each time the market has moved.
    """

    def __init__(
        self,
        core: Core,
        limits: Limits | None = None,
        latency: Latency | None = None,
        after_advance: Callable[[], None] = lambda: None,
    ) -> None:
        self.core = core
        self.limits = limits or Limits()
        self.latency = latency or Latency()
        self.now_ns = time.monotonic_ns
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Raises what ended the exchange, when that is a defect of ours."""
        self.slow_consumers = 0
        """Clients that were cut off because they did not read."""
        self._after_advance = after_advance
        self._loop = asyncio.get_running_loop()
        self._sockets: set[ClientConnection] = set()
        self._sessions: dict[int, ClientConnection] = {}
        self._admitted_sockets: dict[int, ClientConnection] = {}  # also those whose session has ended
        self._made = self._admitted = 0
        self._ended: list[int] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due_ns = self._advanced_ns = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None
        self._stopping = False

    async def start(self, port: int) -> int:
        """Listen, and let the clock run; returns the port.

        Raises
        ------
        ResourceError
            The port cannot be had.
        """
        self._loop.set_exception_handler(self._on_defect)
        try:
            self._server = await self._loop.create_server(lambda: ClientConnection(self), HOST, port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ResourceError(
                f"cannot listen on {HOST}:{port}: {reason}; choose another port, or 0 for any free one"
            ) from error
        self._sweep()
        self._set_clock()
        found: int = self._server.sockets[0].getsockname()[1]
        return found

    def address(self, port: int) -> str:
        """Return where clients find the exchange."""
        return f"ws://{HOST}:{port}{PATH}"

    async def stop(self) -> None:
        """Say goodbye to all clients and release everything."""
        self._stopping = True
        for timer in (self._timer, self._sweeper):
            if timer is not None:
                timer.cancel()
        if self._server is not None:
            self._server.close()
        for connection in list(self._sockets):
            if connection.number and not connection.halted:
                connection.close(1001, "the exchange ends")
            else:
                connection.abort()
        deadline_ns = self.now_ns() + round((self.limits.close_s + self.latency.ms * 2e-3 + 1) * 1e9)
        while self._sockets and self.now_ns() < deadline_ns:
            await asyncio.sleep(0.005)
        for connection in list(self._sockets):
            connection.abort()

    def _on_defect(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the exchange for what nobody has caught: a book or a balance may be wrong from here on."""
        error = context.get("exception")
        if isinstance(error, OSError):  # of a socket: that client is gone
            log.info("%s: %s", context.get("message"), error)
        elif not self.failed.done():
            self.failed.set_exception(error or MftpyError(f"the event loop reports: {context.get('message')}"))

    # what connections ask of their host

    def made(self, connection: ClientConnection) -> int:
        """Take note of a socket; returns how many there have been, or 0 when far too many are there."""
        self._sockets.add(connection)
        self._made += 1
        return self._made if len(self._sockets) <= self.limits.connections + SPARE_SOCKETS else 0

    def admit(self, connection: ClientConnection) -> str | None:
        """Open a session for a client whose handshake is good; one phrase when that cannot be."""
        if self._stopping:
            return "The exchange ends."
        if len(self._sessions) >= self.limits.connections:
            return f"There are {self.limits.connections} connections already."
        refusal = self.core.refusal(self.now_ns())
        if refusal is None:
            self._admitted += 1
            connection.number = self._admitted
            self._sessions[self._admitted] = self._admitted_sockets[self._admitted] = connection
            self.core.connect(self._admitted, self.now_ns())
        return refusal

    def heard(self, connection: ClientConnection) -> None:
        """Take note that some frame of this client arrived."""
        if connection.number in self._sessions:
            self.core.touch(connection.number, self.now_ns())

    def received(self, connection: ClientConnection, message: bytes) -> None:
        """Answer a client's message."""
        self.perform(self.core.handle(connection.number, message, self.now_ns()))

    def ended(self, connection: ClientConnection) -> None:
        """End a session; the core is told in the next turn, for it may be the one that has just ended it."""
        if self._sessions.pop(connection.number, None) is not None:
            if not self._ended:
                self._loop.call_soon(self._settle)
            self._ended.append(connection.number)

    def cut_off(self, connection: ClientConnection, waiting_bytes: int) -> None:
        """Take note that this client does not read, and is cut off."""
        self.slow_consumers += 1
        log.warning("session %d does not read: %d bytes wait for it; cut off", connection.number, waiting_bytes)

    def gone(self, connection: ClientConnection) -> None:
        """Forget the socket."""
        self._sockets.discard(connection)
        self._admitted_sockets.pop(connection.number, None)

    # turns

    def _settle(self) -> None:
        ended, self._ended = self._ended, []
        for number in ended:
            self.perform(self.core.disconnect(number, self.now_ns()))

    def perform(self, acts: Sequence[Act]) -> None:
        """Send what the core has to say: a frame is built once for all who get it, and written once to each."""
        frames: dict[int, bytes] = {}
        batches: dict[int, list[bytes]] = {}
        for number, act in acts:
            if isinstance(act, bytes):
                frame = frames.get(id(act))
                if frame is None:
                    frame = frames[id(act)] = text_frame(act)
                batch = batches.get(number)
                if batch is None:
                    batches[number] = [frame]
                else:
                    batch.append(frame)
                continue
            connection = self._admitted_sockets.get(number)
            if connection is not None:
                connection.send(batches.pop(number, []))
                act.perform(connection)
        for number, batch in batches.items():
            connection = self._sessions.get(number)
            if connection is not None:
                connection.send(batch)
        self._set_clock()

    def _set_clock(self) -> None:
        """Sleep until the core wants to be called."""
        due_ns = self.core.next_due_ns()
        if due_ns is None or self._stopping:
            return
        due_ns = max(due_ns, self._advanced_ns + LEAST_SLEEP_NS)
        if self._timer is not None:
            if self._timer_due_ns <= due_ns:
                return
            self._timer.cancel()
        self._timer_due_ns = due_ns
        # uvloop's timers tick in milliseconds; less than one would be none, and spin
        delay_ns = max(due_ns - self.now_ns(), LEAST_SLEEP_NS)
        self._timer = self._loop.call_later(delay_ns * 1e-9, self._advance)

    def _advance(self) -> None:
        self._timer = None
        self._advanced_ns = self.now_ns()
        self.perform(self.core.advance(self._advanced_ns))
        self._after_advance()

    def _sweep(self) -> None:
        """Look for clients that are late with something."""
        limits, now_ns = self.limits, self.now_ns()
        for connection in list(self._sockets):
            if connection.halted:
                continue
            if not connection.number:
                if connection.in_handshake and now_ns - connection.made_ns > limits.handshake_s * 1e9:
                    connection.abort()
            elif connection.number not in self._sessions:
                continue
            elif connection.pong_due_ns and now_ns > connection.pong_due_ns:
                connection.fail(1011, "no answer to a ping")
            elif now_ns - connection.opened_ns > limits.anonymous_s * 1e9 and self.core.is_anonymous(connection.number):
                connection.fail(1008, "neither a login nor a subscription")
            elif now_ns >= connection.ping_due_ns and not connection.pong_due_ns:
                connection.ping()
        self._sweeper = self._loop.call_later(limits.sweep_s, self._sweep)
