"""One client's connection: bytes of the socket on one side, messages and what may go wrong on the other.

websockets' Sans-I/O protocol reads what the client sends and speaks the closing handshake. Text frames that go out are
built here, once for all who get the same message, so every byte on the wire is ours, also those of a planned fault.
"""

from __future__ import annotations

import asyncio
import http
import logging
import socket
import struct
from collections.abc import Sequence
from enum import Enum
from typing import Final, cast

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from mftpy.sim.host import Host
from mftpy.sim.latency import DelayLine

_log: Final = logging.getLogger(__name__)

PATH: Final = "/ws/api/v2"
SLICE_BYTES: Final = 1024
"""What one client may have read in one turn of the loop: a flood waits, others do not."""
MOST_IN_FLIGHT_BYTES: Final = 1 << 22
MOST_HEAD_BYTES: Final = 1 << 15
_END_OF_HEAD: Final = b"\r\n\r\n"
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER with no time: closing sends RST


class _End(Enum):
    """What a direction of the wire carries besides bytes."""

    EOF = 1
    CLOSE = 2
    RESET = 3
    LOST = 4


class ClientConnection(asyncio.Protocol):
    """See the module's text. Made by the loop for every socket that is accepted."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._protocol = ServerProtocol(max_size=host.limits.message_bytes, logger=_log)
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self.number = 0
        """Of the session; 0 before the handshake."""
        self.made_ns = self.opened_ns = host.now_ns()
        self.in_handshake = True
        self.halted = False
        """A fault's half-open connection: nothing is read or sent any more."""
        self.ping_due_ns = 0
        self.pong_due_ns = 0
        self._ping = b""
        self._head = b""
        self._message: bytearray | None = None
        self._slices = bytearray()
        self._ends: list[_End] = []
        self._work_is_due = self._paused = self._over = self._ended = self._lost = False
        self._inbound: DelayLine[bytes | _End] | None = None
        self._outbound: DelayLine[bytes | _End] | None = None
        self._in_flight = [0, 0]
        self._timers: dict[int, asyncio.TimerHandle] = {}

    # from the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the client has to ask for its handshake."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is not one by class
        ordinal = self._host.made(self)
        if not ordinal:
            self._transport.abort()
        elif self._host.latency:
            self._inbound = self._host.latency.line(ordinal, "in")
            self._outbound = self._host.latency.line(ordinal, "out")

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client: at once, or when they have come along the longer wire."""
        if self._inbound is None:
            self._arrive(data)
        elif not self.halted:
            self._in_flight[0] += len(data)
            self._inbound.put(data, self._host.now_ns())
            self._await_wire(0)
            self._regulate()

    def eof_received(self) -> bool:
        """Take the end of what the client sends; the socket stays until we close it."""
        if self._inbound is None:
            self._arrive(_End.EOF)
        else:
            self._inbound.put(_End.EOF, self._host.now_ns())
            self._await_wire(0)
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """The socket is gone: nothing can be sent, and the session ends when that is known at this end of the wire."""
        self._lost = True
        self._host.gone(self)
        if self._inbound is None:
            self._arrive(_End.LOST)
        else:
            self._inbound.put(_End.LOST, self._host.now_ns())
            self._await_wire(0)

    # the longer wire

    def _await_wire(self, direction: int) -> None:
        line = (self._inbound, self._outbound)[direction]
        due_ns = None if line is None else line.next_due_ns()
        if due_ns is not None and direction not in self._timers:
            delay_s = max((due_ns - self._host.now_ns()) * 1e-9, 0.001)  # uvloop's timers tick in milliseconds
            self._timers[direction] = self._loop.call_later(delay_s, self._come_along, direction)

    def _come_along(self, direction: int) -> None:
        del self._timers[direction]
        line = (self._inbound, self._outbound)[direction]
        assert line is not None
        for item in line.take(self._host.now_ns()):
            if isinstance(item, bytes):
                self._in_flight[direction] -= len(item)
            if direction:
                self._write([item])
            else:
                self._arrive(item)
        self._await_wire(direction)
        self._regulate()

    # what the client sends

    def _arrive(self, item: bytes | _End) -> None:
        if isinstance(item, _End):
            if self._slices:
                self._ends.append(item)  # what was sent before the end comes first, in its slices
            else:
                self._take_end(item)
        elif self.halted:
            return
        elif self._slices or len(item) > SLICE_BYTES:
            self._slices += item
            self._work_later()
        else:
            self._feed(item)

    def _take_end(self, end: _End) -> None:
        if end is _End.LOST:
            self._end_session()
        elif not self.halted:
            self._protocol.receive_eof()
            self._flush()
            self._end_session()
            self._send([_End.CLOSE])

    def _work_later(self) -> None:
        if not self._work_is_due:
            self._work_is_due = True
            self._loop.call_soon(self._work)
        self._regulate()

    def _work(self) -> None:
        self._work_is_due = False
        data = bytes(self._slices[:SLICE_BYTES])
        del self._slices[:SLICE_BYTES]
        if data and not self.halted:
            self._feed(data)
        if self._slices:
            self._work_later()
            return
        ends, self._ends = self._ends, []
        for end in ends:
            self._take_end(end)
        self._regulate()

    def _regulate(self) -> None:
        """Read from the socket only while what was read has been dealt with."""
        wanted = self.halted or bool(self._slices) or self._in_flight[0] > MOST_IN_FLIGHT_BYTES
        if wanted != self._paused and not self._lost and not self._transport.is_closing():
            self._paused = wanted
            if wanted:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        if self.in_handshake:
            data = self._shake_hands(data)
            if not data or self._over:
                return
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        if self._protocol.state is OPEN:
            self._flush()  # pongs at once
        if events and self.number and not self._over:
            self._host.heard(self)
        for frame in events:
            if self._over or self.halted:
                break
            assert isinstance(frame, Frame)
            self._take(frame)
        self._flush()  # after the answers to what came before a close
        if self._protocol.state is not OPEN:
            self._end_session()

    def _shake_hands(self, data: bytes) -> bytes:
        """Answer the client's HTTP request once it is whole; returns what came after it."""
        self._head += data
        end = self._head.find(_END_OF_HEAD)
        if end < 0 and len(self._head) <= MOST_HEAD_BYTES:
            return b""
        cut = len(self._head) if end < 0 else end + len(_END_OF_HEAD)
        head, rest, self._head = self._head[:cut], self._head[cut:], b""
        protocol, self.in_handshake = self._protocol, False
        if not head.isascii():
            protocol.send_response(protocol.reject(http.HTTPStatus.BAD_REQUEST, "A request is ASCII text.\n"))
            head = b""
        protocol.receive_data(head)
        events = protocol.events_received()
        if not events:  # no request that could be read, and answered so
            self._flush()
            self._finish()
            return b""
        request = events[0]
        assert isinstance(request, Request)
        response = protocol.accept(request)
        if request.path.partition("?")[0] != PATH:
            response = protocol.reject(http.HTTPStatus.NOT_FOUND, f"Nothing is here; the exchange is at {PATH}.\n")
        elif response.status_code == 101:
            refusal = self._host.admit(self)
            if refusal is not None:
                response = protocol.reject(http.HTTPStatus.SERVICE_UNAVAILABLE, refusal + "\n")
        protocol.send_response(response)
        self._flush()
        if response.status_code != 101:
            self._finish()
            return b""
        now_ns = self._host.now_ns()
        self.opened_ns, self.ping_due_ns = now_ns, now_ns + round(self._host.limits.ping_s * 1e9)
        return rest

    def _take(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            if self.pong_due_ns and bytes(frame.data) == self._ping:
                self.pong_due_ns = 0
            return
        if frame.opcode is Opcode.BINARY:
            self.fail(1003, "text frames only")
            return
        if frame.opcode is Opcode.TEXT:
            message = bytes(frame.data)
            if not frame.fin:
                self._message = bytearray(message)
                return
        elif frame.opcode is Opcode.CONT:
            assert self._message is not None
            self._message += frame.data
            if not frame.fin:
                return
            message, self._message = bytes(self._message), None
        else:
            return
        try:
            message.decode()
        except UnicodeDecodeError:
            self.fail(1007, "not UTF-8")
            return
        self._host.received(self, message)

    # what the client gets

    def send(self, frames: list[bytes]) -> None:
        """Send what is complete on the wire."""
        if not self._over:
            self._send(frames)

    def send_raw(self, data: bytes, *, then_close: bool) -> None:
        """Send bytes that are no frame; then, if that is wanted, close the socket without a word."""
        if not self._over:
            self._send([data, _End.CLOSE] if then_close else [data])

    def ping(self) -> None:
        """Ask for a sign of life."""
        limits, now_ns = self._host.limits, self._host.now_ns()
        self._ping = now_ns.to_bytes(8, "big")
        self.ping_due_ns, self.pong_due_ns = now_ns + round(limits.ping_s * 1e9), now_ns + round(limits.pong_s * 1e9)
        self._protocol.send_ping(self._ping)
        self._flush()

    def close(self, code: int, reason: str) -> None:
        """Say goodbye; the client has a moment for its part. A connection that is half-open is not told."""
        if self.halted:
            self._end_session()
        elif not self._over and self._protocol.state is OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
            self._end_session()
            self._finish()

    def fail(self, code: int, reason: str) -> None:
        """Close for what the client did; nothing more is read."""
        if not self._over and self._protocol.state is OPEN:
            self._protocol.fail(code, reason)
            self._flush()
            self._end_session()

    def reset(self) -> None:
        """Take the connection away with RST."""
        self._send([_End.RESET])

    def halt(self) -> None:
        """Neither read nor send any more; the socket stays."""
        self.halted = True
        self._slices.clear()
        self._regulate()

    def abort(self) -> None:
        """Take the connection away."""
        self._end_session()
        if not self._lost:
            self._transport.abort()

    def _flush(self) -> None:
        """Send what the protocol has to say."""
        said: list[bytes | _End] = [item or _End.EOF for item in self._protocol.data_to_send()]
        self._send(said)

    def _send(self, items: Sequence[bytes | _End]) -> None:
        if self._lost or not items:
            return
        if self._outbound is None:
            self._write(items)
            return
        now_ns = self._host.now_ns()
        for item in items:
            self._outbound.put(item, now_ns)
            if isinstance(item, bytes):
                self._in_flight[1] += len(item)
        self._await_wire(1)

    def _write(self, items: Sequence[bytes | _End]) -> None:
        transport = self._transport
        if self._lost or transport.is_closing():
            return
        if self.halted and _End.RESET not in items:
            return
        data = [item for item in items if isinstance(item, bytes)]
        if data:
            transport.writelines(data)
        for item in items:
            if item is _End.EOF:
                if transport.can_write_eof():
                    transport.write_eof()
                self._finish()
            elif item is _End.CLOSE:
                transport.close()
                self._finish()
            elif item is _End.RESET:
                sock = transport.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.abort()
        waiting = 0 if transport.is_closing() else transport.get_write_buffer_size() + self._in_flight[1]
        if waiting > self._host.limits.backlog_bytes:
            self._host.cut_off(self, waiting)
            self.abort()

    def _finish(self) -> None:
        """Take the socket away when the client does not do its part of the end in time."""
        self._over = True
        self._loop.call_later(self._host.limits.close_s, self._give_up)

    def _give_up(self) -> None:
        if not self._lost:
            self._transport.abort()

    def _end_session(self) -> None:
        self._over = True
        if self.number and not self._ended:
            self._ended = True
            self._host.ended(self)
