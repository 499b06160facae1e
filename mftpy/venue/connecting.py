"""From a URL to an open WebSocket: name, TCP, TLS, handshake, each with what is left of one deadline.

Every failure is a sentence that names the URL and the step. Never called inside a hot loop.
"""

from __future__ import annotations

import queue
import select
import socket
import ssl
import threading
import time
from typing import Any, Final

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.protocol import CONNECTING
from websockets.uri import WebSocketURI, parse_uri

from mftpy.errors import ConfigError, VenueError

LEAST_TRY_S: Final = 1.0
"""What one of several addresses of a host is given at least."""


class Deadline:
    """A moment of CLOCK_MONOTONIC, `timeout_s` from now."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        """Return the time that is left, at least 0."""
        return max(0.0, self._end_s - time.monotonic())


def address_of(url: str) -> WebSocketURI:
    """Return the parts of a ``ws://`` or ``wss://`` URL.

    Raises
    ------
    ConfigError
        It is none, or holds a user name: logins are by token.
    """
    try:
        uri = parse_uri(url)
    except (InvalidURI, ValueError) as error:  # ValueError: a port that is no number, half an IPv6 address
        shown = repr(url) if "@" not in url else "the address given"  # what stands before an @ may be a password
        raise ConfigError(
            f"{shown} is not the address of an exchange: it should look like wss://host/path or ws://127.0.0.1:1234/path"
        ) from error
    if uri.user_info is not None:
        raise ConfigError("the address of an exchange must not hold a user name or password; logins are by key")
    return uri


def open_socket(
    url: str, uri: WebSocketURI, deadline: Deadline, ssl_context: ssl.SSLContext | None = None
) -> socket.socket:
    """Return a connected non-blocking socket, with TLS set up for ``wss://``.

    Raises
    ------
    VenueError
        The name is unknown, nobody listens, TLS fails, or it took too long.
    """
    sock = _connect_any(url, _resolve(url, uri, deadline), deadline)
    if not uri.secure:
        return sock
    try:
        return _start_tls(url, uri, sock, deadline, ssl_context)
    except BaseException:
        sock.close()
        raise


def shake_hands(url: str, sock: socket.socket, protocol: ClientProtocol, deadline: Deadline) -> None:
    """Do the WebSocket handshake.

    Raises
    ------
    VenueError
        What answers is no WebSocket server, refuses, or takes too long.
    """
    protocol.send_request(protocol.connect())
    outgoing = b"".join(protocol.data_to_send())
    while protocol.state is CONNECTING and protocol.handshake_exc is None:
        try:
            if outgoing:
                outgoing = outgoing[sock.send(outgoing) :]
                continue
            data = sock.recv(65_536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            writing = isinstance(error, ssl.SSLWantWriteError) or (
                bool(outgoing) and not isinstance(error, ssl.SSLWantReadError)
            )
            _wait(url, sock, deadline, "the WebSocket handshake", write=writing)
            continue
        except OSError as error:
            raise VenueError(f"{url} ended the connection during the handshake: {_reason(error)}") from error
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
    if protocol.handshake_exc is not None:
        raise _handshake_failure(url, protocol.handshake_exc) from protocol.handshake_exc


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _too_late(url: str, step: str, deadline: Deadline) -> VenueError:
    return VenueError(f"{url} did not finish {step} within {deadline.timeout_s:g} s; is it up, and the address right?")


def _wait(url: str, sock: socket.socket, deadline: Deadline, step: str, *, write: bool) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLOUT if write else select.POLLIN)
    if not poll.poll(deadline.left_s() * 1e3):
        raise _too_late(url, step, deadline)


Address = tuple[int, Any]
"""Address family and socket address."""


def _resolve(url: str, uri: WebSocketURI, deadline: Deadline) -> list[Address]:
    """Look the host up in a thread, since the resolver knows no deadline; it is left behind when it is too slow."""
    answers: queue.SimpleQueue[list[Address] | OSError | UnicodeError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(uri.host, uri.port, type=socket.SOCK_STREAM)
            answers.put([(family, address) for family, _type, _protocol, _name, address in found])
        except (OSError, UnicodeError) as error:  # UnicodeError: a label of the name is too long
            answers.put(error)

    threading.Thread(target=look_up, name="look-up", daemon=True).start()
    try:
        answer = answers.get(timeout=max(deadline.left_s(), 1e-3))
    except queue.Empty:
        raise _too_late(url, f"the look-up of the name {uri.host}", deadline) from None
    if isinstance(answer, (OSError, UnicodeError)):
        said = _reason(answer) if isinstance(answer, OSError) else str(answer)
        raise VenueError(f"the name {uri.host} of {url} cannot be looked up: {said}") from answer
    return answer


def _connect_any(url: str, addresses: list[Address], deadline: Deadline) -> socket.socket:
    """Try the addresses in turn, each with its share of the time."""
    failure = VenueError(f"the name of {url} has no address")
    for position, (family, address) in enumerate(addresses):
        left_s = deadline.left_s()
        share_s = min(left_s, max(LEAST_TRY_S, left_s / (len(addresses) - position)))
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(share_s)
            if share_s <= 0:
                raise TimeoutError
            sock.connect(address)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return sock
        except TimeoutError:
            sock.close()
            failure = _too_late(url, "the TCP connection", deadline)
        except OSError as error:
            sock.close()
            failure = VenueError(
                f"cannot connect to {url}: {_reason(error)}; is the exchange up, and the address right?"
            )
            failure.__cause__ = error
        except BaseException:
            sock.close()
            raise
    raise failure


def _start_tls(
    url: str, uri: WebSocketURI, sock: socket.socket, deadline: Deadline, context: ssl.SSLContext | None
) -> ssl.SSLSocket:
    context = context or ssl.create_default_context()
    try:
        secure = context.wrap_socket(sock, server_hostname=uri.host, do_handshake_on_connect=False)
    except (OSError, ValueError) as error:  # ValueError: no usable host name
        raise VenueError(f"TLS with {url} cannot be started: {error}") from error
    try:
        while True:
            try:
                secure.do_handshake()
                return secure
            except ssl.SSLWantReadError:
                _wait(url, secure, deadline, "the TLS handshake", write=False)
            except ssl.SSLWantWriteError:
                _wait(url, secure, deadline, "the TLS handshake", write=True)
    except ssl.SSLCertVerificationError as error:
        secure.close()
        raise VenueError(f"the certificate of {url} cannot be trusted: {error.verify_message}") from error
    except OSError as error:
        secure.close()
        raise VenueError(f"TLS with {url} failed: {_reason(error)}; does it speak wss, or plain ws?") from error
    except BaseException:
        secure.close()
        raise


def _handshake_failure(url: str, error: Exception) -> VenueError:
    if isinstance(error, InvalidStatus):
        return VenueError(
            f"{url} answered the WebSocket handshake with HTTP status {error.response.status_code}; is the path right?"
        )
    if isinstance(error, InvalidHandshake):
        return VenueError(f"{url} does not speak WebSocket as it should: {error}")
    return VenueError(f"the WebSocket handshake with {url} failed: {error}")
