"""Requests and answers over one session: straight-line for what is outside the loop, posted for what is inside."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any, Final

from mftpy.errors import VenueError
from mftpy.settings import Config
from mftpy.venue import codec, requests
from mftpy.venue.codec import Notification, Reply
from mftpy.venue.error_codes import RefusedError
from mftpy.venue.requests import Pending, RequestIds
from mftpy.venue.session import Session

STEP_S: Final = 0.05

OnNotification = Callable[[Notification, int], None]
OnReply = Callable[[Pending, Reply, int], None]
Build = Callable[[int], bytes]


def connect(url: str, config: Config) -> Session:
    """Connect within the configured patience; `VenueError` in one sentence when that fails."""
    return Session.connect(url, timeout_s=config.system.connect_timeout_s)


class Conversation:
    """One session's requests, their answers, and the notifications between them.

    Parameters
    ----------
    session : Session
    on_notification : callable
        Gets each notification and when it was received (CLOCK_MONOTONIC ns).
    turn : callable
        Called while an answer is awaited, so that the process shows progress.
    on_reply : callable, optional
        Gets the answers to posted requests: what was asked, the answer, when it was received.
    patience_s : float
        For the answer to `ask`.
    """

    def __init__(
        self,
        session: Session,
        on_notification: OnNotification,
        turn: Callable[[], None],
        on_reply: OnReply | None = None,
        *,
        patience_s: float,
    ) -> None:
        self.session = session
        self.ids = RequestIds()
        self._on_notification = on_notification
        self._on_reply = on_reply
        self._turn = turn
        self._patience_s = patience_s
        self._awaited: int | None = None
        self._answer: Reply | None = None

    def post(self, method: str, build: Build, context: Any = None) -> int:
        """Send a request whose answer goes to `on_reply`; returns when the send call returned."""
        now_ns = time.monotonic_ns()
        number = self.ids.issue(method, context, now_ns)
        try:
            return self.session.send(build(number))
        except VenueError:
            self.ids.forget(number)
            raise

    def ask(self, method: str, build: Build) -> Any:
        """Send a request and return its decoded result, handling all that arrives before it.

        Raises
        ------
        RefusedError
            The exchange answered with an error.
        VenueError
            It did not answer in time, or the connection was lost.
        """
        number = self.ids.issue(method, None, time.monotonic_ns())
        self._awaited = number
        self._answer = None
        self.session.send(build(number))
        deadline = time.monotonic() + self._patience_s
        while (answer := self._taken()) is None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                self._awaited = None
                raise VenueError(f"the exchange did not answer {method} within {self._patience_s:g} s")
            self.wait(min(left_s, STEP_S))
            self.pump()
            self._turn()
        self._awaited = None
        if answer.error is not None:
            raise RefusedError(method, answer.error)
        assert answer.result is not None
        return codec.decode_result(method, answer.result)

    def _taken(self) -> Reply | None:
        answer, self._answer = self._answer, None
        return answer

    def wait(self, timeout_s: float) -> None:
        """Sleep until something arrives or can be sent, at most so long."""
        session = self.session
        if session.has_pending:
            return
        poll = select.poll()
        poll.register(session.fileno(), select.POLLIN | (select.POLLOUT if session.wants_write else 0))
        poll.poll(timeout_s * 1e3)

    def pump(self) -> None:
        """Handle everything that has arrived; send what could not be sent before.

        Raises
        ------
        ProtocolError
            A message cannot be read; those after it are handled by the next call.
        VenueError
            The connection was lost.
        """
        session = self.session
        if session.wants_write:
            session.flush()
        failure: codec.ProtocolError | None = None
        for payload, receive_ns in session.receive():
            try:
                self._handle(payload, receive_ns)
            except codec.ProtocolError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _handle(self, payload: bytes, receive_ns: int) -> None:
        event = codec.decode(payload)
        if isinstance(event, Notification):
            self._on_notification(event, receive_ns)
            return
        pending = self.ids.take(event)
        if pending is None:
            return  # counted in ids.unknown
        if event.id == self._awaited:
            self._answer = event
        elif self._on_reply is not None:
            self._on_reply(pending, event, receive_ns)

    def subscribe(self, channels: list[str], *, private: bool = False) -> None:
        """Subscribe channels and check what the exchange accepted.

        Raises
        ------
        VenueError
            A channel is missing from the answer's list.
        """
        if private:
            accepted = self.ask("private/subscribe", lambda number: requests.private_subscribe(number, channels))
        else:
            accepted = self.ask("public/subscribe", lambda number: requests.public_subscribe(number, channels))
        refused = [channel for channel in channels if channel not in accepted]
        if refused:
            raise VenueError(f"the exchange did not accept the subscription to {', '.join(refused)}")
