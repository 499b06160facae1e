"""One WebSocket connection to the exchange, for a loop that waits on file descriptors itself.

The protocol is the websockets library's, without its I/O: the socket is ours, non-blocking, plain or TLS, through no
proxy and without compression. Nothing here waits except `Session.connect` and `Session.close`, both with a deadline.
Names of the methods that a loop needs: `fileno`, `has_pending`, `wants_write`, `receive`, `send`, `flush`, `ping`.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from types import TracebackType
from typing import Final

from websockets.client import ClientProtocol
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN

from mftpy.errors import VenueError
from mftpy.venue.connecting import Deadline, address_of, open_socket, shake_hands

RECEIVE_BYTES: Final = 65_536
RECEIVES_AT_ONCE: Final = 64
"""Reads of one `receive`, so that a flood of messages cannot keep a loop from its other work."""

MOST_MESSAGE_BYTES: Final = 8 * 2**20
MOST_BACKLOG_BYTES: Final = 2**20

Message = tuple[bytes, int]
"""A payload, and CLOCK_MONOTONIC in ns when the read that completed it returned."""


class ConnectionLostError(VenueError):
    """The connection is closed, by the exchange, by the network, or because of what came through it.

    Attributes
    ----------
    code : int
        The close code of RFC 6455; 1006 when the connection ended without one.
    reason : str
    """

    def __init__(self, url: str, code: int, reason: str) -> None:
        said = f': "{reason}"' if reason else ""
        super().__init__(f"the connection to {url} is closed (code {code}{said})")
        self.code = code
        self.reason = reason


class Session:
    """A connected WebSocket. Made by `connect`; one thread.

    Attributes
    ----------
    url : str
    last_receive_ns : int
        CLOCK_MONOTONIC when anything, a pong included, last came: the age of the transport.
    closed : bool
        True once the connection is of no more use; what came before is still returned by `receive`.
    close_code, close_reason : int or None, str
        Why, once closed.
    discarded : int
        Messages that came while we were closing, hence were not delivered.
    """

    def __init__(
        self, url: str, sock: socket.socket, protocol: ClientProtocol, *, most_backlog_bytes: int = MOST_BACKLOG_BYTES
    ) -> None:
        self.url = url
        self.closed = False
        self.close_code: int | None = None
        self.close_reason = ""
        self.discarded = 0
        self.last_receive_ns = time.monotonic_ns()
        self._sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._protocol = protocol
        self._most_backlog_bytes = most_backlog_bytes
        self._backlog = bytearray()
        self._fragments: list[bytes] = []
        self._received: list[Message] = []
        self._more_to_read = False
        self._read_wants_write = False
        self._write_wants_read = False
        self._pings = 0
        self._take_events(self.last_receive_ns)  # what came together with the handshake's answer
        self._write()

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        timeout_s: float = 10.0,
        ssl_context: ssl.SSLContext | None = None,
        most_message_bytes: int = MOST_MESSAGE_BYTES,
        most_backlog_bytes: int = MOST_BACKLOG_BYTES,
    ) -> Session:
        """Connect: name, TCP, TLS and WebSocket handshake, all within `timeout_s`.

        Parameters
        ----------
        url : str
            ``ws://`` or ``wss://``.
        ssl_context : ssl.SSLContext or None
            For ``wss://``; the default trusts the system's authorities and checks the host name.
        most_message_bytes : int
            A larger message ends the connection with code 1009.
        most_backlog_bytes : int
            How much may wait for the kernel before `send` refuses.

        Raises
        ------
        ConfigError
            `url` is none.
        VenueError
            There is no connection; the sentence names the step that failed.
        """
        deadline = Deadline(timeout_s)
        uri = address_of(url)
        sock = open_socket(url, uri, deadline, ssl_context)
        try:
            protocol = ClientProtocol(uri, max_size=most_message_bytes)
            shake_hands(url, sock, protocol, deadline)
            return cls(url, sock, protocol, most_backlog_bytes=most_backlog_bytes)
        except BaseException:
            sock.close()
            raise

    def fileno(self) -> int:
        """Return the socket's descriptor; -1 after `close`."""
        return self._sock.fileno()

    @property
    def has_pending(self) -> bool:
        """True when `receive` has something to say although the descriptor may not be readable: do not sleep."""
        return bool(self._received) or self._more_to_read or self.closed

    @property
    def wants_write(self) -> bool:
        """True when the descriptor's writability should be waited for, then `flush` called."""
        return (bool(self._backlog) and not self._write_wants_read) or self._read_wants_write

    @property
    def backlog_bytes(self) -> int:
        """Bytes accepted by `send` that the kernel has not yet taken."""
        return len(self._backlog)

    def receive(self) -> list[Message]:
        """Return the messages that are there, without waiting; often an empty list.

        Pings are answered, fragments joined. When the connection closes, the messages before it are returned first.

        Raises
        ------
        ConnectionLostError
            The connection is closed and everything that came has been returned.
        """
        if not self.closed:
            self._drain()
        messages, self._received = self._received, []
        if self.closed and not messages:
            raise self._lost()
        return messages

    def send(self, payload: bytes) -> int:
        """Send one text message.

        Returns
        -------
        int
            CLOCK_MONOTONIC in ns when the kernel, or else the backlog, had taken it; see `backlog_bytes`.

        Raises
        ------
        ConnectionLostError
            The connection is closed; this message did not go out whole. What became of earlier ones is unknown.
        VenueError
            The exchange does not take what we send and the backlog is full; the message was not sent.
        """
        if self.closed:
            raise self._lost()
        # checked before the protocol object takes it: a frame that was made must be sent
        if len(self._backlog) + len(payload) > self._most_backlog_bytes:
            raise VenueError(
                f"{self.url} has not taken {len(self._backlog)} bytes that were sent to it; "
                "the connection is stuck and should be closed"
            )
        self._protocol.send_text(payload)
        self._write()
        if self.closed:
            raise self._lost()
        return time.monotonic_ns()

    def ping(self) -> None:
        """Send a ping, whose answer shows in `last_receive_ns`; on a closed or stuck connection do nothing."""
        if self.closed or len(self._backlog) > self._most_backlog_bytes:
            return
        self._pings += 1
        self._protocol.send_ping(self._pings.to_bytes(8, "big"))
        self._write()

    def flush(self) -> None:
        """Hand the kernel what it did not take before; call it when the descriptor is writable."""
        if self._read_wants_write and not self.closed:
            self._drain()
        self._write()

    def close(self, *, timeout_s: float = 1.0) -> None:
        """Say goodbye, wait at most `timeout_s` for the answer, and give the descriptor back. Never raises.

        Messages that come meanwhile are counted in `discarded`.
        """
        if self._sock.fileno() < 0:
            return
        deadline = Deadline(timeout_s)
        self.discarded += len(self._received)
        self._received.clear()
        if not self.closed:
            if self._protocol.state is OPEN:
                self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
                self._write()
            while not self.closed and (left_s := deadline.left_s()) > 0:
                if not self._more_to_read:
                    poll = select.poll()
                    poll.register(self._sock, select.POLLIN | (select.POLLOUT if self.wants_write else 0))
                    poll.poll(left_s * 1e3)
                self.flush()
                if not self.closed:
                    self._drain()
                self.discarded += len(self._received)
                self._received.clear()
            self._end(CloseCode.NORMAL_CLOSURE, "closed by us")
        self._sock.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # reading

    def _drain(self) -> None:
        self._read_wants_write = False
        self._write_wants_read = False
        self._more_to_read = True
        for _ in range(RECEIVES_AT_ONCE):
            try:
                data = self._sock.recv(RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._more_to_read = False
                break
            except ssl.SSLWantWriteError:
                self._more_to_read, self._read_wants_write = False, True
                break
            except OSError as error:
                self._fail(error)
                break
            now_ns = time.monotonic_ns()
            self.last_receive_ns = now_ns
            if not data:
                self._protocol.receive_eof()
                self._end(CloseCode.ABNORMAL_CLOSURE, "the connection ended without a goodbye")
                break
            self._protocol.receive_data(data)
            self._take_events(now_ns)
            if self.closed:
                break
            # a plain socket gives all it has, or a full buffer; TLS gives one record at a time
            if not self._is_tls and len(data) < RECEIVE_BYTES:
                self._more_to_read = False
                break
        self._write()

    def _take_events(self, now_ns: int) -> None:
        for frame in self._protocol.events_received():
            if not isinstance(frame, Frame):
                continue  # the answer to the handshake
            if frame.opcode in (Opcode.TEXT, Opcode.BINARY) and frame.fin:
                self._received.append((bytes(frame.data), now_ns))
            elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    self._received.append((b"".join(self._fragments), now_ns))
                    self._fragments.clear()
        if self._protocol.state is not OPEN and not self.closed:
            self._on_close()

    def _on_close(self) -> None:
        """Take note of a goodbye that came, or of a frame that broke the protocol."""
        protocol = self._protocol
        if protocol.close_rcvd is not None:
            self._end(protocol.close_rcvd.code, protocol.close_rcvd.reason)
        elif protocol.parser_exc is not None:
            sent = protocol.close_sent
            self._end(sent.code if sent else CloseCode.PROTOCOL_ERROR, f"what came is wrong: {protocol.parser_exc}")

    # writing

    def _write(self) -> None:
        backlog = self._backlog
        for data in self._protocol.data_to_send():
            backlog += data  # the empty string asks to shut down our half; `close` does that at once
        while backlog:
            try:
                sent = self._sock.send(backlog)
            except (BlockingIOError, ssl.SSLWantWriteError):
                break
            except ssl.SSLWantReadError:
                self._write_wants_read = True
                break
            except OSError as error:
                backlog.clear()
                if not self.closed:
                    self._fail(error)
                break
            del backlog[:sent]
        if len(backlog) > 2 * self._most_backlog_bytes:
            # only answers to pings get here: `send` stops earlier
            self._end(CloseCode.ABNORMAL_CLOSURE, "the exchange does not read what we send")

    # ending

    def _fail(self, error: OSError) -> None:
        self._end(CloseCode.ABNORMAL_CLOSURE, error.strerror or str(error))

    def _end(self, code: int, reason: str) -> None:
        if not self.closed:
            self.closed, self.close_code, self.close_reason = True, int(code), reason

    def _lost(self) -> ConnectionLostError:
        return ConnectionLostError(self.url, self.close_code or int(CloseCode.ABNORMAL_CLOSURE), self.close_reason)
