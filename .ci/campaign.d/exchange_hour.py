#!/usr/bin/env python3
"""An hour of the embedded exchange with 20 sessions and 1,000 resting orders: its memory at the start and at the end.

Fails when the process holds more than 8 MB more at the end than after the first six minutes. EXCHANGE_HOUR_S: another
length, in seconds.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from _exchange import hold  # noqa: E402

MOST_GROWTH_MB = 8.0


def main() -> int:
    seconds = float(os.environ.get("EXCHANGE_HOUR_S", "3600"))
    found = hold(min(os.sched_getaffinity(0)), seconds, sessions=20, orders=1_000, per_s=250)
    print(
        f"{seconds:.0f} s, 20 sessions, 1,000 resting orders, 100 amends/s, 250 book changes/s: resident memory "
        f"{found['rss_start_mb']:.1f} MB at the start, {found['rss_end_mb']:.1f} MB at the end; "
        f"{found['cpu_share']:.2f} of a core"
    )
    if found["growth_mb"] > MOST_GROWTH_MB:
        print(f"FAILED: it has grown by {found['growth_mb']:.1f} MB, more than {MOST_GROWTH_MB:g}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
