"""Means, standard errors and what must hold: the study's table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from mftpy.study.accounting import Row
from mftpy.study.running import NAIVE, SHIPPED, SLOW, STRATEGIES

LOT_COINS: Final = 0.001
"""Coins per lot of the contract that is studied."""

SLOWER_T: Final = -3.0
NAIVE_T: Final = -4.0
BETTER_T: Final = 3.0
FILLS_PER_MINUTE: Final = (4.0, 10.0)
MOST_EMPTY: Final = 0.01


class Mean(NamedTuple):
    """A mean with its standard error; `t` is their ratio, NaN where there is no error to speak of."""

    mean: float
    error: float

    @property
    def t(self) -> float:
        """Mean over standard error."""
        return self.mean / self.error if self.error > 0 else math.nan


class Check(NamedTuple):
    """One of the things that must hold, and whether it does."""

    claim: str
    figure: str
    holds: bool


def mean_of(values: Sequence[float]) -> Mean:
    """Mean and standard error of independent values; the error is NaN for fewer than two."""
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return Mean(mean, math.nan)
    return Mean(mean, math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n))


class Table:
    """The rows of a study, by strategy.

    Parameters
    ----------
    rows : sequence of Row
        Every strategy in the same markets.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = {name: sorted((r for r in rows if r.strategy == name), key=lambda r: r.seed) for name in STRATEGIES}
        self.seeds = len(self.rows[SHIPPED])
        self.hours = rows[0].hours

    def per_hour(self, strategy: str, of: Callable[[Row], float]) -> Mean:
        """Mean over markets of a figure per hour."""
        return mean_of([of(row) / row.hours for row in self.rows[strategy]])

    def difference(self, first: str, second: str, of: Callable[[Row], float]) -> Mean:
        """Mean of the paired difference per hour: the same market for both."""
        pairs = zip(self.rows[first], self.rows[second], strict=True)
        return mean_of([(of(a) - of(b)) / a.hours for a, b in pairs])

    def empty_share(self, strategy: str) -> float:
        """Share of two-minute windows without any fill; NaN when no run was that long."""
        rows = self.rows[strategy]
        windows = sum(row.windows for row in rows)
        return sum(row.empty_windows for row in rows) / windows if windows else math.nan

    def inventory_sd(self, strategy: str) -> float:
        """Root of the mean squared position, coins."""
        return LOT_COINS * math.sqrt(mean_of([row.inventory_mean_square for row in self.rows[strategy]]).mean)

    def fills_per_minute(self, strategy: str) -> float:
        """Mean over all time."""
        return self.per_hour(strategy, lambda row: row.fills).mean / 60

    @property
    def checks(self) -> list[Check]:
        """What must hold of a market that is honest."""
        naive = self.per_hour(NAIVE, _before).t
        better = self.difference(SHIPPED, NAIVE, _after)
        slower = self.difference(SLOW, SHIPPED, _after)
        fills, empty = self.fills_per_minute(SHIPPED), self.empty_share(SHIPPED)
        low, high = FILLS_PER_MINUTE
        return [
            Check(f"naive quotes lose before fees (t < {NAIVE_T:g})", f"t = {naive:.1f}", naive < NAIVE_T),
            Check(
                f"the shipped quotes beat them after fees (paired t > {BETTER_T:g})",
                f"{better.mean:+.2f} +- {better.error:.2f} USD/h, t = {better.t:.1f}",
                better.t > BETTER_T,
            ),
            Check(
                f"50 ms more latency costs money (paired t < {SLOWER_T:g})",
                f"{slower.mean:+.2f} +- {slower.error:.2f} USD/h, t = {slower.t:.1f}",
                slower.t < SLOWER_T,
            ),
            Check(
                f"the shipped quotes are filled {low:g} to {high:g} times a minute",
                f"{fills:.2f}",
                low <= fills <= high,
            ),
            Check(
                f"two minutes without any fill have a probability below {MOST_EMPTY:.0%}",
                f"{empty:.2%}",
                empty < MOST_EMPTY,
            ),
        ]

    def text(self) -> str:
        """Return the table and the checks as Markdown."""
        lines = [
            f"{self.seeds} markets of {self.hours:g} h each; USD per hour, mean +- standard error (t)",
            "",
            "| quotes | fills/min | before fees | fees | after fees | inventory, coins | 2 min without fill |",
            "|---|---|---|---|---|---|---|",
        ]
        for name in STRATEGIES:
            before, fees, after = (self.per_hour(name, of) for of in (_before, _fees, _after))
            lines.append(
                f"| {TITLES[name]} | {self.fills_per_minute(name):.2f} | {_figure(before)} | {fees.mean:.2f} "
                f"| {_figure(after)} | {self.inventory_sd(name):.4f} | {self.empty_share(name):.2%} |"
            )
        lines += ["", "| must hold | measured | |", "|---|---|---|"]
        lines += [f"| {check.claim} | {check.figure} | {'yes' if check.holds else 'NO'} |" for check in self.checks]
        return "\n".join(lines)

    def summary(self) -> dict[str, Any]:
        """Return the same as plain data."""
        strategies = {
            name: {
                "fills_per_minute": self.fills_per_minute(name),
                "taker_fills_per_hour": self.per_hour(name, lambda row: row.taker_fills).mean,
                "messages_per_s": self.per_hour(name, lambda row: row.messages).mean / 3600,
                "before_fees": _plain(self.per_hour(name, _before)),
                "fees": _plain(self.per_hour(name, _fees)),
                "after_fees": _plain(self.per_hour(name, _after)),
                "inventory_sd_coins": self.inventory_sd(name),
                "empty_two_minutes": _known(self.empty_share(name)),
            }
            for name in STRATEGIES
        }
        return {
            "seeds": self.seeds,
            "hours": self.hours,
            "usd_per_hour": strategies,
            "shipped_less_naive_after_fees": _plain(self.difference(SHIPPED, NAIVE, _after)),
            "slow_less_shipped_before_fees": _plain(self.difference(SLOW, SHIPPED, _before)),
            "slow_less_shipped_after_fees": _plain(self.difference(SLOW, SHIPPED, _after)),
            "checks": [check._asdict() for check in self.checks],
        }


TITLES: Final = {
    NAIVE: "naive: 5 USD from the mid",
    SHIPPED: "as shipped",
    SLOW: "as shipped, 50 ms slower",
}


def _before(row: Row) -> float:
    return row.before_fees


def _fees(row: Row) -> float:
    return row.fees


def _after(row: Row) -> float:
    return row.after_fees


def _plain(value: Mean) -> dict[str, float | None]:
    return {"mean": value.mean, "standard_error": _known(value.error), "t": _known(value.t)}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _figure(value: Mean) -> str:
    return f"{value.mean:.2f} +- {value.error:.2f} ({value.t:.1f})"
