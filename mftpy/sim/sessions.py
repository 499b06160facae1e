"""One connection of a client: what it may do, how often, and what it listens to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from mftpy.sim.accounts import Account
from mftpy.sim.protocol import THROTTLED, Refusal

PERSISTENT_RATE: Final = 10
NON_PERSISTENT_RATE: Final = 50
CANCEL_RATE: Final = 1000


@dataclass(slots=True)
class Bucket:
    """Tokens that refill with time; as many fit as flow in per second."""

    rate: float
    tokens: float
    last_ns: int

    def take(self, now_ns: int) -> None:
        """Take one token; raises `Refusal` with code 4 when there is none."""
        self.tokens = min(self.rate, self.tokens + max(now_ns - self.last_ns, 0) * 1e-9 * self.rate)
        self.last_ns = now_ns
        if self.tokens < 1:
            raise Refusal(THROTTLED, "throttle exceeded")
        self.tokens -= 1


@dataclass(slots=True, eq=False)
class Session:
    """A connection; `number` names it for the server.

    Attributes
    ----------
    account : Account or None
        Whose it is, once it has logged in.
    timeout_ns : int
        Silence after which its non-persistent orders go; 0 while it is persistent.
    expired : bool
        It was silent for so long, and its orders are gone; a frame of it brings it back.
    channels : dict of str to object
        What it listens to, by name; the values are the feeds' own.
    client_ids : dict of int to ClientOrder
        Its live orders by `client_order_id`.
    """

    number: int
    now_ns: int
    account: Account | None = None
    timeout_ns: int = 0
    heard_ns: int = 0
    expired: bool = False
    channels: dict[str, Any] = field(default_factory=dict)
    client_ids: dict[int, Any] = field(default_factory=dict)
    matching: Bucket = field(init=False)
    cancels: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self.heard_ns = self.now_ns
        self.matching = Bucket(PERSISTENT_RATE, PERSISTENT_RATE, self.now_ns)
        self.cancels = Bucket(CANCEL_RATE, CANCEL_RATE, self.now_ns)

    @property
    def persistent(self) -> bool:
        """True until cancel-on-disconnect was asked for."""
        return self.timeout_ns == 0

    def arm(self, timeout_s: float, now_ns: int) -> int:
        """Turn non-persistent; returns the messages per second now allowed."""
        if self.persistent:
            self.matching = Bucket(NON_PERSISTENT_RATE, NON_PERSISTENT_RATE, now_ns)
        self.timeout_ns = max(int(timeout_s * 1e9), 1)  # 0 would be persistent
        return NON_PERSISTENT_RATE
