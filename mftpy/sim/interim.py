"""What the shell asks of the core and the present core does not answer yet."""

from __future__ import annotations

import time
from typing import Final

from mftpy.sim.exchange import Exchange, Output
from mftpy.sim.flow import Flow
from mftpy.sim.protocol import notification

TICK_NS: Final = 10_000_000


class PresentExchange(Exchange):
    """The present exchange under the coming one's interface."""

    @property
    def flows(self) -> list[Flow]:
        return [self.flow]

    def next_due_ns(self) -> int | None:
        tick_ns, due_ns = time.monotonic_ns() + TICK_NS, self.flow.next_due_ns()
        return tick_ns if self._held or due_ns is None else min(tick_ns, due_ns + self._flow_delay_ns)

    def is_anonymous(self, number: int) -> bool:
        session = self._sessions.get(number)
        return session is not None and not session.logged_in and not session.channels

    def is_logged_in(self, number: int) -> bool:
        session = self._sessions.get(number)
        return session is not None and session.logged_in

    @property
    def unix_offset_ns(self) -> int:
        return 0 if not hasattr(self, "_base_ns") else self._offset_ns - self._base_ns

    @unix_offset_ns.setter
    def unix_offset_ns(self, value: int) -> None:
        if not hasattr(self, "_base_ns"):
            self._base_ns = self._offset_ns
        self._offset_ns = self._base_ns + value

    def announce_reconnect(self, _now_ns: int) -> list[Output]:
        message = notification("system", {"event": "reconnect"})
        return [(number, message) for number, session in self._sessions.items() if "system" in session.channels]

    def replay_existing(self, number: int, _now_ns: int) -> list[Output]:
        session = self._sessions.get(number)
        channels = [] if session is None else session.channels
        return [
            (number, message)
            for channel in channels
            if session is not None and channel in ("session.orders", "account.orders")
            for message in self._feeds.snapshot(channel, session)
        ]
