"""A decision taken apart: the terms of each price as exact numbers, and what cut each size.

All sums are of `fractions.Fraction`, in ticks, and are exact: ``fair price + ... = unrounded`` and
``unrounded + clamps = price``. A term is the model's own float, divided by the tick as a float; the few units in the
last place by which floats miss the sum are a term as well, the `REMAINDER`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from mftpy.decisions import Clamp
from mftpy.model.standing import Standing
from mftpy.records import Mode, Reason, Side

FAIR: Final = "fair price"
SKEW: Final = "skew of the position"
HALF: Final = "half spread of the model"
FEE: Final = "fee"
LEVEL: Final = "behind the first level"
MODEL: Final = "model"
REMAINDER: Final = "left over by these terms"

CLAMP_NAMES: Final = {
    Clamp.ROUNDING: "to a whole tick",
    Clamp.MIN_DISTANCE: "least distance from fair",
    Clamp.MAX_DISTANCE: "largest distance from fair",
    Clamp.OPPOSITE_BEST: "behind the opposite best",
    Clamp.LEVEL_STEP: "step behind level before",
    Clamp.HELD: "held where it stood",
}

STANDINGS: Final = {
    -1: "configured",
    Standing.PRIOR: "prior",
    Standing.WARMING: "warming up",
    Standing.LIVE: "live",
    Standing.REJECTED: "rejected",
}


@dataclass(frozen=True)
class Term:
    """One summand of a price, in ticks."""

    name: str
    ticks: Fraction


@dataclass(frozen=True)
class QuoteSum:
    """How the price of one quote came about.

    Attributes
    ----------
    side : Side
    level : int
        From 0.
    terms : tuple of Term
        Fair price first; add up to `unrounded`.
    unrounded : Fraction
        The model's price, in ticks.
    clamps : tuple of Term
        Those that acted; added to `unrounded` they make `price`.
    price : Fraction
    quoted : bool
        False when the model gave this quote and it was not wanted: a limit, or a reason against it.
    asked_lots, lots : int
        What the model or the configuration asked for, and what is quoted.
    """

    side: Side
    level: int
    terms: tuple[Term, ...]
    unrounded: Fraction
    clamps: tuple[Term, ...]
    price: Fraction
    quoted: bool
    asked_lots: int
    lots: int

    @property
    def name(self) -> str:
        """Such as ``bid 1``."""
        return f"{side_word(self.side)} {self.level + 1}"


def side_word(side: int) -> str:
    """Return ``bid`` or ``ask``."""
    return "bid" if side == Side.BUY else "ask"


def quote_sums(row: Any) -> list[QuoteSum]:
    """Take every quote of a decision apart, bids first, best first.

    Parameters
    ----------
    row : numpy.void of DECISION
    """
    return [
        made
        for side in (Side.BUY, Side.SELL)
        for level in range(min(max(int(row["out"][f"n_{side_word(side)}s"]), 0), len(row["bid_ticks"])))
        if (made := _quote_sum(row, side, level)) is not None
    ]


def _quote_sum(row: Any, side: Side, level: int) -> QuoteSum | None:
    word, out = side_word(side), row["out"]
    tick, price = float(row["tick_size"]), float(out[f"{word}_price"][level])
    fair = float(row["fair_ticks"])
    if not (tick > 0 and all(map(math.isfinite, (price, price / tick, fair)))):
        return None  # the model gave what is no price: there is nothing to add up, the reason says so
    unrounded = Fraction(price / tick)
    clamps = [
        Term(CLAMP_NAMES[clamp], Fraction(float(row[f"{word}_clamp_ticks"][level][clamp])))
        for clamp in Clamp
        if math.isfinite(row[f"{word}_clamp_ticks"][level][clamp])
    ]
    quoted = level < int(row[f"n_{word}s"])
    return QuoteSum(
        side=side,
        level=level,
        terms=_terms(row, side, level, unrounded),
        unrounded=unrounded,
        clamps=tuple(term for term in clamps if term.ticks),
        price=unrounded + sum((term.ticks for term in clamps), Fraction(0)),
        quoted=quoted,
        asked_lots=_asked_lots(row, float(out[f"{word}_size"][level])),
        lots=int(row[f"{word}_lots"][level]) if quoted else 0,
    )


def _terms(row: Any, side: Side, level: int, unrounded: Fraction) -> tuple[Term, ...]:
    """What adds up to an unrounded price: the model's terms where it told them, else one term for the model."""
    out, tick = row["out"], float(row["tick_size"])
    fair = Term(FAIR, Fraction(float(row["fair_ticks"])))
    told = [float(out[name]) / tick for name in ("skew", "model_half", "fee")]
    if not any(told) or not all(map(math.isfinite, told)):
        return _and_remainder([fair, Term(MODEL, unrounded - fair.ticks)], unrounded)
    skew, half, fee = map(Fraction, told)
    terms = [fair, Term(SKEW, -skew), Term(HALF, -side * half), Term(FEE, -side * fee)]
    if level:
        first = float(out[f"{side_word(side)}_price"][0]) / tick
        terms.append(Term(LEVEL, unrounded - (Fraction(first) if math.isfinite(first) else unrounded)))
    return _and_remainder(terms, unrounded)


def _and_remainder(terms: list[Term], unrounded: Fraction) -> tuple[Term, ...]:
    left = unrounded - sum((term.ticks for term in terms), Fraction(0))
    return (*terms, Term(REMAINDER, left)) if left else tuple(terms)


def _asked_lots(row: Any, size: float) -> int:
    lot, clip = float(row["lot_size"]), float(row["x"]["clip"])
    return whole_lots(size if math.isfinite(size) and size > 0 else clip, lot)


def whole_lots(coins: float, lot: float) -> int:
    """Coins in lots, rounded down as a decision does it; 0 where that makes no number."""
    lots = coins / lot if lot > 0 else 0.0
    return math.floor(lots + 1e-6) if math.isfinite(lots) else 0


def cuts(row: Any, sums: list[QuoteSum]) -> list[str]:
    """Say of each quote that is smaller than asked for, or missing behind others, what cut it."""
    said = []
    position = int(row["position_lots"])
    for made in sums:
        word = side_word(made.side)
        room = int(row[f"{word}_room_lots"])
        if not made.quoted and int(row[f"n_{word}s"]):
            said.append(f"no {made.name}: the side has room for {room:,} lots in all")
        if not made.quoted or made.lots >= made.asked_lots:
            continue
        before = sum(other.lots for other in sums if other.side is made.side and other.level < made.level)
        why = f"the side has room for {room:,} lots in all"
        if made.lots < room - before:
            why = "quotes that would grow the position shrink with it"
            if int(row["mode"]) == Mode.REDUCING or int(row["reasons"]) & Reason.REDUCING:
                why = f"only what reduces the position of {position:+,} lots is quoted"
            elif made.side * position <= 0:
                why = "whole lots, and what the limits leave"
        said.append(f"{made.name}: {made.lots:,} of {made.asked_lots:,} lots: {why}")
    return said
