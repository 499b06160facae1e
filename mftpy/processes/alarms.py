"""What execution warns of while it runs, once: fills that do not come, and a strategy that does not answer one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mftpy.execution.desk import Desk

FILL_LATE_S: Final = 5.0
"""A fill comes with the notice that tells of it; one that has not come after so long will not."""
UNINFORMED_S: Final = 1.0
"""The strategy learns of a fill within milliseconds; quotes that wait so long for it are told of."""


class Alarms:
    """Looks at a desk, and warns.

    Parameters
    ----------
    desk : Desk
    warn : callable
        Gets one sentence.
    """

    def __init__(self, desk: Desk, warn: Callable[[str], None]) -> None:
        self._desk, self._warn = desk, warn
        self._missing_since_ns = 0
        self._presumed_told = 0
        self._uninformed_told = False

    def lost_fills(self, now_ns: int) -> None:
        """Warn at once of fills that did not come: what they hold of the limit would else stop a side in silence."""
        orders = self._desk.orders
        if orders.presumed > self._presumed_told:
            self._presumed_told = orders.presumed
            self._warn(
                "an order that the exchange did not confirm is in none of three lists of open orders: it counts "
                "as gone. If it traded, the position shown is wrong: compare it with the account's, or start again",
            )
        if orders.missing_lots == 0:
            self._missing_since_ns = 0
        elif self._missing_since_ns == 0:
            self._missing_since_ns = now_ns
        elif 0 < self._missing_since_ns < now_ns - FILL_LATE_S * 1e9:
            self._missing_since_ns = -1  # told, until none is missing
            self._warn(
                f"{orders.missing_lots} lots are told as filled, and their fills did not come for {FILL_LATE_S:.0f} s. "
                "They count against the position limit until they do; stop and start again to begin from the account",
            )

    def held_inserts(self, now_ns: int) -> None:
        """Warn when the strategy's targets do not know of the last fill: nothing is inserted by them."""
        since_ns = self._desk.held_since_ns
        if not since_ns:
            self._uninformed_told = False
        elif now_ns - since_ns > UNINFORMED_S * 1e9 and not self._uninformed_told:
            self._uninformed_told = True
            self._warn(
                f"the strategy has not answered the last fill for {UNINFORMED_S:g} s: "
                "no order is inserted until it does",
            )
