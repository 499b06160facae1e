"""The estimates of a run in words and for the summary: what is seen, how far it can be relied on, what is used."""

from __future__ import annotations

from typing import Any

from mftpy.model.standing import ASK_A, ASK_K, BID_A, BID_K, NAMES, SIGMA, Doubt, Standing


def as_report(estimates: Any) -> dict[str, dict[str, float | str]]:
    """Return a `records.ESTIMATES` row as plain values by the name of each estimate; empty before the first one.

    Each has ``used``, what decisions are made with, and of what is seen ``value``, ``error`` and ``standing``, with the
    doubt after a colon where there is one.
    """
    if not estimates["time_ns"]:
        return {}
    return {
        name: {
            "used": float(estimates["used"][row]),
            "value": float(estimates["value"][row]),
            "error": float(estimates["error"][row]),
            "standing": standing_words(estimates, row),
        }
        for row, name in enumerate(NAMES)
    }


def standing_words(estimates: Any, row: int) -> str:
    """Spell out how far one estimate can be relied on, and why not further."""
    standing = Standing(int(estimates["standing"][row])).name.lower()
    doubt = Doubt(int(estimates["doubt"][row]))
    plain = doubt in (Doubt.NONE, Doubt.NO_DATA, Doubt.TOO_FEW)  # prior and warming say as much
    return standing if plain else f"{standing}: {doubt.name.lower().replace('_', ' ')}"


def as_words(estimates: Any) -> str:
    """Return one line: sigma, A and k of bid and ask."""
    if not estimates["time_ns"]:
        return "nothing estimated yet"
    return "; ".join(
        _both(name, estimates, rows)
        for name, rows in (("sigma", (SIGMA,)), ("A", (BID_A, ASK_A)), ("k", (BID_K, ASK_K)))
    )


def _both(name: str, estimates: Any, rows: tuple[int, ...]) -> str:
    used, value = estimates["used"], estimates["value"]
    seen = "|".join(f"{float(value[row]):.3g}" for row in rows)
    if len(rows) == 1:
        seen += f" ± {float(estimates['error'][rows[0]]):.2g}"
    standings = [standing_words(estimates, row) for row in rows]
    seen += " " + "|".join(standings if len(set(standings)) > 1 else standings[:1])
    if all(float(used[row]) == float(value[row]) for row in rows):
        return f"{name} {seen}"
    return f"{name} {float(used[rows[0]]):.3g} fixed, seen {seen}"
