"""Check a run's summary.json: check_summary.py [--recording | --short] FILE."""

import json
import sys
from pathlib import Path

KEYS = {
    "run_id", "network", "instrument", "model", "flow", "seed", "duration_s", "wait_mode", "cores", "book_updates",
    "trades_seen", "quotes_decided", "decisions_kept", "decisions_not_kept", "decisions_by_reason", "estimates",
    "orders_inserted", "orders_amended", "orders_cancelled", "orders_rejected", "mode", "throttled", "fills",
    "position_lots", "position_exchange_lots", "orders_left_open", "realised_pnl", "unrealised_pnl", "fees",
    "funding", "equity_start", "equity_end", "cash_difference", "recv_to_send_ns", "processes", "errors",
    "warnings",
}  # fmt: skip


def main() -> int:
    *flags, name = sys.argv[1:]
    summary = json.loads(Path(name).read_text(encoding="utf-8"))
    checks = {
        "all keys are there": set(summary) == KEYS,
        "no errors": summary["errors"] == [],
        "book updates were seen": summary["book_updates"] > 0,
        "quotes were decided": summary["quotes_decided"] > 0,
        "both sides were inserted": summary["orders_inserted"] >= 2,
        "no order is left": summary["orders_left_open"] == 0,
        "positions agree": summary["position_lots"] == summary["position_exchange_lots"],
        "cash agrees": abs(summary["cash_difference"]) < 0.01,
        "latency was measured": summary["recv_to_send_ns"]["count"] > 0,
        "no collection ran in a loop": all(
            process["gc_collections"] == 0 and process["cpu_seconds"] > 0 and process["pss_bytes"] > 0
            for process in summary["processes"].values()
        ),
    }
    if not flags:
        # in a market that begins with a burst; a quiet one may let a minute pass
        checks["fills came"] = summary["duration_s"] < 15 or summary["fills"] > 0
    for what, holds in checks.items():
        if not holds:
            print(f"{name}: NOT SO: {what}")
    print(f"{name}: {sum(checks.values())} of {len(checks)} checks hold; {summary['fills']} fills")
    if not all(checks.values()):
        print(json.dumps(summary, indent=2))
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
