"""One stream of messages, built once for all that listen to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from mftpy.sim.clock import Clock
from mftpy.sim.protocol import notification
from mftpy.sim.sessions import Session

MOST_ITEMS: Final = 1000
"""Items in one message, which keeps it below what clients take (1 MiB); more go into the next, at the same time."""


class Topic:
    """What all topics share; one of this class itself says its whole content whenever it is marked `dirty`.

    Parameters
    ----------
    name : str
        The channel's.
    clock : Clock
        What a new listener is shown now counts as the first message.
    interval_ns : int
        Least time between two messages.
    content : callable or None
        Returns what there is to say now, also to a new listener.

    Attributes
    ----------
    listeners : dict of Session to None
        In the order in which they came.
    dirty : bool
        Something has happened since the last message.
    waiting : bool
        The feeds have it among what is due later.
    """

    flagged = False
    """What a new listener is shown is marked as a snapshot."""

    def __init__(self, name: str, clock: Clock, interval_ns: int = 0, content: Callable[[], Any] | None = None) -> None:
        self.name = name
        self.clock = clock
        self.interval_ns = interval_ns
        self.listeners: dict[Session, None] = {}
        self.dirty = False
        self.waiting = False
        self.sent_ns = clock.now_ns
        self._content = content

    def snapshot(self) -> list[bytes]:
        """Return what a new listener is shown."""
        return [] if self._content is None else [notification(self.name, self._content(), snapshot=self.flagged)]

    def wants_ns(self) -> int | None:
        """Return when there will be something to say; None when nothing has happened."""
        return self.sent_ns + self.interval_ns if self.dirty else None

    def flush(self) -> bytes | None:
        """Return the message for all listeners; None when it has come to nothing."""
        self.dirty = False
        message = self.message()
        if message is not None:
            self.sent_ns = self.clock.now_ns
        return message

    def message(self) -> bytes | None:
        """Return the next message, if there is one."""
        return None if self._content is None else notification(self.name, self._content())


class ListTopic(Topic):
    """Says items as they come; new listeners are shown a snapshot, even an empty one."""

    flagged = True

    def __init__(self, name: str, clock: Clock, content: Callable[[], Any]) -> None:
        super().__init__(name, clock, 0, content)
        self._items: list[Any] = []

    def add(self, *items: Any) -> None:
        """Note what there is to say."""
        self._items += items
        self.dirty = True

    def message(self) -> bytes | None:
        """Return what has come since the last message."""
        items, self._items = self._items[:MOST_ITEMS], self._items[MOST_ITEMS:]
        self.dirty = bool(self._items)
        return notification(self.name, items) if items else None
