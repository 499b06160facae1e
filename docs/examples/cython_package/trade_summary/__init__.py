"""Volume-weighted and moving average of trades, computed without the GIL: an example for `mftcore` in Cython."""

from trade_summary.follower import SUMMARY, TRADE, Follower

__all__ = ["SUMMARY", "TRADE", "Follower"]
