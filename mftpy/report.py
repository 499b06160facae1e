"""The result of a run: `summary.json` and the report that is printed at its end."""

from __future__ import annotations

import contextlib
import math
import os
from pathlib import Path
from typing import Any

import msgspec

from mftpy.errors import ResourceError
from mftpy.execution.position import Waterfall
from mftpy.journal_meta import DECISIONS
from mftpy.links import PROCESSES
from mftpy.processes.jobs import Placement
from mftpy.settings import Config
from mftpy.supervisor import Outcome
from mftpy.view import pnl_words

NO_RESOURCES: dict[str, float | int | None] = {"cpu_seconds": None, "pss_bytes": None, "gc_collections": None}


def summarise(
    *,
    run_id: str,
    config: Config,
    flow: str,
    seed: int | None,
    placement: Placement,
    outcome: Outcome,
    duration_s: float,
    latency: dict[str, int],
) -> dict[str, Any]:
    """Return the content of `summary.json`.

    What a process did not live to report is None, never a guess. ``position_exchange_lots``, ``orders_left_open``,
    ``equity_start`` and ``equity_end`` are what the exchange said; prices and money are in quote currency.

    Parameters
    ----------
    duration_s : float
        From the first moment that both sides could be quoted to the stop.
    latency : dict
        recv-to-send in ns: p50, p90, p99, p999, max, count.
    """
    market, strategy = outcome.finals.get("market_data", {}), outcome.finals.get("strategy", {})
    execution = outcome.finals.get("execution", {})
    asked = execution or outcome.finals.get("canceller", {})
    summary: dict[str, Any] = {
        "run_id": run_id,
        "network": config.venue.network,
        "instrument": config.venue.instrument,
        "model": config.model.name,
        "flow": flow,
        "seed": seed,
        "duration_s": round(duration_s, 3),
        "mode": config.system.mode,
        "wait_mode": placement.wait_mode,
        "cores": placement.our_cores,
        "book_updates": market.get("book_updates"),
        "trades_seen": market.get("trades_seen"),
        "quotes_decided": strategy.get("quotes_decided"),
        "decisions_by_reason": strategy.get("reasons"),
        "estimates": strategy.get("estimates"),
    }
    summary["decisions_kept"], summary["decisions_not_kept"] = _kept(outcome, summary["quotes_decided"])
    for name in ("orders_inserted", "orders_amended", "orders_cancelled", "orders_rejected", "throttled", "fills"):
        summary[name] = execution.get(name)
    summary["position_lots"] = execution.get("position_lots")
    summary["position_exchange_lots"] = asked.get("position_exchange_lots")
    summary["orders_left_open"] = asked.get("orders_left_open")
    for name in ("realised_pnl", "unrealised_pnl", "fees", "funding", "equity_start"):
        summary[name] = execution.get(name)
    summary["equity_end"] = asked.get("equity_end")
    summary["cash_difference"] = execution.get("cash_difference")
    summary["recv_to_send_ns"] = {key: latency[key] for key in ("p50", "p90", "p99", "p999", "max", "count")}
    summary["processes"] = {
        name: outcome.finals.get(name, {}).get("resources", dict(NO_RESOURCES)) for name in PROCESSES
    }
    summary["errors"] = list(outcome.errors)
    summary["warnings"] = list(outcome.warnings)
    return summary


def _kept(outcome: Outcome, decided: int | None) -> tuple[int, int | None]:
    """Decisions in the journal, and those that are not; None when strategy did not live to tell how many there were."""
    kept = outcome.kept.get(DECISIONS)
    if kept is None:
        return 0, decided
    return kept.records, kept.refused if decided is None else max(decided - kept.records, 0)


def disagreements(summary: dict[str, Any], tolerance: float) -> list[str]:
    """Return a sentence for each point in which the exchange's figures and ours disagree."""
    found = []
    ours, theirs = summary["position_lots"], summary["position_exchange_lots"]
    if ours is not None and ours != theirs:
        found.append(f"we count a position of {ours} lots, the exchange says {theirs}")
    if summary["orders_left_open"]:
        found.append(f"the exchange says that {summary['orders_left_open']} orders of ours are still open")
    difference = summary["cash_difference"]
    if difference is not None and abs(difference) > tolerance:
        found.append(f"our profit and the exchange's change of equity differ by {difference:+.8f}")
    return found


def to_json(summary: dict[str, Any]) -> str:
    """Return the summary as indented JSON; not-a-number becomes null."""
    cleaned = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in summary.items()
    }
    return msgspec.json.format(msgspec.json.encode(cleaned), indent=2).decode()


def write_whole(directory: Path, name: str, text: str) -> Path:
    """Write a file whole: under another name first, then renamed.

    Raises
    ------
    ResourceError
        It cannot be written.
    """
    path = directory / name
    fresh = directory / f".{name}.{os.getpid()}"
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise ResourceError(f"cannot write {path}: {error.strerror}") from error
    return path


def report_text(summary: dict[str, Any], split: Waterfall | None, ended_by: str, path: Path | None) -> str:
    """Return the printed report: the same waterfall as the screen's, and what the exchange was asked.

    `path` is where the summary lies; None when it could not be written.
    """

    def shown(name: str) -> str:
        value = summary[name]
        return "?" if value is None else f"{value:,}"

    latency = summary["recv_to_send_ns"]
    lines = [
        f"run {summary['run_id']} on {summary['network']} ({summary['flow']}): {summary['duration_s']:.1f} s of "
        f"{summary['instrument']}, ended by {ended_by or 'a failure at its start'}",
        f"  market     {shown('book_updates')} book updates, {shown('trades_seen')} trades, "
        f"{shown('quotes_decided')} quotes decided",
        f"  orders     {shown('orders_inserted')} inserted, {shown('orders_amended')} amended, "
        f"{shown('orders_cancelled')} cancelled, {shown('orders_rejected')} rejected, {shown('throttled')} throttled; "
        f"{shown('fills')} fills",
        f"  P&L        {pnl_words(split) if split is not None else 'not known: execution did not report'}",
        f"  latency    recv-to-send p50 {latency['p50'] / 1e3:,.0f} us, p99 {latency['p99'] / 1e3:,.0f} us, "
        f"max {latency['max'] / 1e3:,.0f} us over {latency['count']:,} orders",
    ]
    if summary["decisions_not_kept"]:
        lines.append(f"  decisions  {shown('decisions_not_kept')} were not kept: mftpy explain does not know of them")
    if summary["orders_left_open"] is None:
        lines.append("  exchange   was not asked")
    else:
        lines.append(
            f"  exchange   says position {shown('position_exchange_lots')} lots (we: {shown('position_lots')}), "
            f"{shown('orders_left_open')} orders open, equity {_money(summary['equity_start'])} -> "
            f"{_money(summary['equity_end'])} (difference to our P&L {_money(summary['cash_difference'])})"
        )
    lines += [f"  warning    {warning}" for warning in summary["warnings"]]
    lines += [f"  error      {error}" for error in summary["errors"]]
    if path is not None:
        lines.append(f"  files      {path}")
    return "\n".join(lines)


def _money(value: float | None) -> str:
    return "?" if value is None else f"{value:,.2f}"
