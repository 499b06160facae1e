"""Records of decisions and actions that are consistent as real ones are, for tests of what reads them."""

import math
import random

import numpy as np

from mftcore import Journal, JournalFull
from mftpy import journal_meta
from mftpy.config import load
from mftpy.decisions import ACTION, DECISION, Clamp, FairSource
from mftpy.links import Instrument

INSTRUMENT = Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD")
MS = 1_000_000


def plain_decision(number=1, decided_ns=5_000 * MS, tick=0.1, lot=0.001):
    """A decision of which nothing is quoted yet, all inputs in order."""
    row = np.zeros(1, DECISION)[0]
    row["decision_id"], row["decided_ns"], row["passed_on"] = number, decided_ns, 1
    row["book_version"], row["book_receive_ns"], row["transport_ns"] = number, decided_ns - 3 * MS, decided_ns - MS
    row["account_version"], row["position_lots"], row["average_price"] = 7, 20, 61_690.0
    row["worst_long_lots"], row["worst_short_lots"] = 30, -10
    row["tick_size"], row["lot_size"], row["threshold_ticks"] = tick, lot, 2
    row["fair_source"], row["fair_ticks"] = FairSource.MID, 617_000.5
    row["net_bid_ticks"], row["net_ask_ticks"], row["net_bid_lots"], row["net_ask_lots"] = 617_000, 617_001, 120, 300
    row["index_price"], row["basis"] = 61_698.0, 2.05
    for name in ("sigma_standing", "bid_standing", "ask_standing"):
        row[name] = -1
    for name, value in (
        ("fair", 61_700.05), ("clip", 0.01), ("gamma", 0.04), ("sigma", 8.0), ("A_bid", 0.55), ("A_ask", 0.55),
        ("k_bid", 0.25), ("k_ask", 0.25), ("fee", 6.17), ("horizon_s", -1.0), ("max_position", 0.1),
    ):  # fmt: skip
        row["x"][name] = value
    row["bid_room_lots"], row["ask_room_lots"] = 80, 120
    return row


def add_quote(row, side, level, price, clamps, lots=10):
    """Add a quote: the model's price in quote currency, and the whole ticks that clamps other than rounding add."""
    word = "bid" if side > 0 else "ask"
    unrounded = price / float(row["tick_size"])
    whole = math.floor(unrounded) if side > 0 else math.ceil(unrounded)
    row["out"][f"{word}_price"][level] = price
    row["out"][f"n_{word}s"] = level + 1
    moved = row[f"{word}_clamp_ticks"][level]
    moved[Clamp.ROUNDING] = whole - unrounded
    for clamp, ticks in clamps.items():
        moved[clamp] = ticks
    row[f"n_{word}s"] = level + 1
    row[f"{word}_ticks"][level] = whole + sum(clamps.values())
    row[f"{word}_lots"][level] = lots


def model_quotes(row, skew, half, fee, levels=1, step=0.5, clamps=()):
    """Quote both sides by terms, as the built-in models do, with the same float operations."""
    fair = float(row["fair_ticks"]) * float(row["tick_size"])
    row["x"]["fair"], row["out"]["skew"], row["out"]["model_half"], row["out"]["fee"] = fair, skew, half, fee
    row["out"]["horizon_s"] = 20.0
    for level in range(levels):
        for side in (1, -1):
            first = fair - skew - side * (half + fee)
            add_quote(row, side, level, first - side * step * level, dict(clamps))


def random_decision(seed, number=1):
    """A decision with random numbers of any size, all invariants kept."""
    rng = random.Random(seed)
    tick = rng.choice([1e-10, 1e-8, 0.001, 0.05, 0.1, 0.5, 1.0, 2.5, 10.0, 1e3, rng.uniform(1e-3, 10)])
    row = plain_decision(number, decided_ns=number * 50 * MS, tick=tick, lot=rng.choice([1e-8, 0.001, 1.0]))
    ticks = rng.choice([1000, 617_000, 10**9, 2**40, rng.randrange(500, 10**7)])
    row["fair_ticks"] = ticks + rng.choice([0.0, 0.5, rng.random()])
    clamps = {
        clamp: rng.randrange(-3, 4)
        for clamp in Clamp
        if clamp is not Clamp.ROUNDING and rng.random() < 0.4
    }  # fmt: skip
    small = ticks * tick * 1e-3
    terms = [rng.uniform(-1, 1) * small, rng.random() * small, rng.uniform(-0.1, 1) * small]
    model_quotes(row, *terms, rng.choice([1, 1, 1, 2, 3, 8]), rng.random() * small / 10, clamps)
    if rng.random() < 0.2:  # a model of the user's, which explains nothing
        for name in ("skew", "model_half", "fee"):
            row["out"][name] = 0.0
    elif rng.random() < 0.2:  # one whose terms do not add up
        row["out"]["skew"] = rng.uniform(-1, 1) * small
    return row


def action(decision_id, outcome, time_ns, **members):
    """An action of execution."""
    row = np.zeros(1, ACTION)[0]
    row["decision_id"], row["outcome"], row["time_ns"], row["side"] = decision_id, outcome, time_ns, 1
    for name, value in members.items():
        row[name] = value
    return row


def kept_run(directory, decisions, actions=(), run_id="20260131T120000Z-1", file_bytes=1 << 18):
    """Write the journals of a finished run."""
    for name, rows in ((journal_meta.DECISIONS, decisions), (journal_meta.ACTIONS, actions)):
        meta = journal_meta.Meta.of(load(None), INSTRUMENT, run_id, name)
        with (
            Journal.create(directory / name, meta=meta.text, memory_bytes=1 << 16, file_bytes=file_bytes) as journal,
            journal.writer(drain=True) as writer,
        ):
            for row in rows:
                while True:
                    try:
                        writer.append(1, row.tobytes())
                        break
                    except JournalFull:
                        writer.flush()
    return directory
