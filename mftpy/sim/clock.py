"""The exchange's time: given by whoever drives it, never read."""

from __future__ import annotations


class Clock:
    """Monotonic time and what the exchange says the date is.

    Attributes
    ----------
    now_ns : int
        Monotonic; set by the exchange to the time of the event at hand.
    offset_ns : int
        Unix time less monotonic time. Messages and the check of logins use their sum: moving it makes a wrong clock.
    """

    __slots__ = ("now_ns", "offset_ns")

    def __init__(self, now_ns: int, unix_ns: int) -> None:
        self.now_ns = now_ns
        self.offset_ns = unix_ns - now_ns

    @property
    def unix_s(self) -> float:
        """Seconds since 1970, as messages carry them."""
        return (self.now_ns + self.offset_ns) / 1e9
