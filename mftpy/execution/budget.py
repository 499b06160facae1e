"""How many messages may be sent: token buckets by the venue's published rates, and a lower limit of the user's."""


class TokenBucket:
    """A rate limit that allows bursts of one second's worth.

    Parameters
    ----------
    rate_per_s : float
        Tokens that flow in per second; also the bucket's size.
    now_ns : int
        The clock's reading at creation, CLOCK_MONOTONIC.

    Notes
    -----
    A refill per elapsed nanosecond, not per window: a window limiter lets two windows' worth through at its edge.
    """

    __slots__ = ("_last_ns", "_tokens", "rate_per_s")

    def __init__(self, rate_per_s: float, now_ns: int) -> None:
        self.rate_per_s = rate_per_s
        self._tokens = rate_per_s
        self._last_ns = now_ns

    def set_rate(self, rate_per_s: float, now_ns: int) -> None:
        """Change the rate from now on; a larger bucket starts with what was left in the smaller."""
        self._refill(now_ns)
        self.rate_per_s = rate_per_s
        self._tokens = min(self._tokens, rate_per_s)

    def take(self, now_ns: int, tokens: float = 1.0) -> bool:
        """Take tokens if they are there; False, and nothing taken, when not."""
        self._refill(now_ns)
        if self._tokens < tokens:
            return False
        self._tokens -= tokens
        return True

    def available(self, now_ns: int) -> float:
        """Tokens that could be taken now."""
        self._refill(now_ns)
        return self._tokens

    def empty(self, now_ns: int) -> None:
        """Forget all tokens: the venue has said that we sent too much, so its count is the true one."""
        self._refill(now_ns)
        self._tokens = 0.0

    def _refill(self, now_ns: int) -> None:
        elapsed_ns = now_ns - self._last_ns
        if elapsed_ns > 0:
            self._tokens = min(self.rate_per_s, self._tokens + elapsed_ns * 1e-9 * self.rate_per_s)
            self._last_ns = now_ns


class MessageRate:
    """Messages sent in the last whole second, for the view.

    Notes
    -----
    Ten counters of a tenth of a second each, reused in turn: constant memory, at most 0.1 s late.
    """

    __slots__ = ("_counts", "_tenths")

    def __init__(self) -> None:
        self._counts = [0] * 10
        self._tenths = [-1] * 10

    def add(self, now_ns: int) -> None:
        """Count one message."""
        tenth = now_ns // 100_000_000
        index = tenth % 10
        if self._tenths[index] != tenth:
            self._tenths[index] = tenth
            self._counts[index] = 0
        self._counts[index] += 1

    def per_s(self, now_ns: int) -> int:
        """Messages counted in the ten tenths of a second that end now."""
        tenth = now_ns // 100_000_000
        return sum(count for count, when in zip(self._counts, self._tenths, strict=True) if tenth - 10 < when <= tenth)
