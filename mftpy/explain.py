"""A decision taken apart: the terms of each price as exact numbers, what cut each size, and why a quote is missing.

All sums are of `fractions.Fraction`, in ticks, and are exact: ``fair price + ... = unrounded`` and
``unrounded + clamps = price``. A term is the model's own float, divided by the tick as a float; the few units in the
last place by which floats miss the sum are a term as well, the `REMAINDER`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from mftcore import BOOK_RESYNCING, BOOK_STALE
from mftpy.decisions import Clamp, Outcome
from mftpy.records import Command, Mode, Reason, Side

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

STANDINGS: Final = {-1: "configured", 0: "prior", 1: "warming up", 2: "live", 3: "rejected"}
"""`mftpy.model.estimate.Standing` in words; that module brings in the compiler, which takes a second."""


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
    return _whole_lots(size if math.isfinite(size) and size > 0 else clip, lot)


def _whole_lots(coins: float, lot: float) -> int:
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


def reasons_in_words(row: Any, settings: dict[str, Any]) -> list[str]:
    """Say why there is no quote, or none on one side: a sentence for each reason, with the numbers that decided it.

    Parameters
    ----------
    row : numpy.void of DECISION
    settings : dict
        `mftpy.journals.Meta.settings`.
    """
    reasons = Reason(int(row["reasons"]))
    said = [_SENTENCES[reason](row, settings) for reason in Reason if reason and reason in reasons]
    refused = bool(reasons & ~(_ONE_SIDED | Reason.REDUCING))
    for side, limit in ((Side.BUY, Reason.AT_LONG_LIMIT), (Side.SELL, Reason.AT_SHORT_LIMIT)):
        word = side_word(side)
        if int(row[f"n_{word}s"]) == 0 and not refused and limit not in reasons:
            if int(row["out"][f"n_{word}s"]) <= 0:
                said.append(f"no {word}: the model gave none")
            elif Reason.REDUCING not in reasons:
                said.append(f"no {word}: none was left by the limits on price and size")
    return said


_ONE_SIDED: Final = (
    Reason.AT_LONG_LIMIT | Reason.AT_SHORT_LIMIT | Reason.BID_POSSIBLY_FILLED | Reason.ASK_POSSIBLY_FILLED
)


def _setting(settings: dict[str, Any], name: str, scale: float = 1.0) -> str:
    value = settings.get(name)
    return f"{value * scale:,g}" if isinstance(value, (int, float)) else str(value)


def age_ms(row: Any, name: str) -> float:
    """Milliseconds from a time in the record to the decision; NaN when there is none."""
    then = int(row[name])
    return (int(row["decided_ns"]) - then) / 1e6 if then else math.nan


def _not_ready(row: Any, _settings: dict[str, Any]) -> str:
    if int(row["book_version"]) == 0:
        return "book not ready: none has come yet"
    if int(row["book_state"]) & BOOK_RESYNCING:
        return "book not ready: a message was missed, and the book is being fetched anew"
    return f"book not ready: its state is {int(row['book_state'])}"


def _stale(row: Any, settings: dict[str, Any]) -> str:
    silent_ms = age_ms(row, "transport_ns")
    if math.isnan(silent_ms):
        return "book stale: nothing has come from the exchange yet"
    limit = settings.get("stale_feed_s")
    if isinstance(limit, (int, float)) and silent_ms > limit * 1e3:
        return f"book stale: nothing came for {silent_ms:,.0f} ms, limit {limit * 1e3:,.0f}"
    if int(row["book_state"]) & BOOK_STALE:
        return "book stale: market data has lost the feed, and said so"
    return "book stale: the market data process, which writes it, has gone"


def _frozen(row: Any, settings: dict[str, Any]) -> str:
    return (
        f"book frozen: it has not changed for {age_ms(row, 'book_receive_ns'):,.0f} ms, limit "
        f"{_setting(settings, 'frozen_book_s', 1e3)}, and the index, now {float(row['index_price']):,g}, has moved by "
        f"more than {_setting(settings, 'frozen_book_bps')} basis points since"
    )


def _no_fair(row: Any, settings: dict[str, Any]) -> str:
    bid, ask = int(row["net_bid_ticks"]), int(row["net_ask_ticks"])
    coins = f"{_setting(settings, 'thin_side_coins')} coins of others"
    if bid <= 0 and ask <= 0:
        why = f"neither side of the book has {coins}"
    elif bid <= 0 or ask <= 0:
        why = f"the {'bid' if bid <= 0 else 'ask'} side of the book has not {coins}"
    else:
        wide = (ask - bid) / ((ask + bid) / 2) * 1e4
        why = f"the book is {wide:,.1f} basis points wide, limit {_setting(settings, 'thin_spread_bps')}"
    if settings.get("fair_price_fallback") == "none" and settings.get("fair_price") != "index":
        return f"no fair price: {why}"
    if not (math.isfinite(row["index_price"]) and float(row["index_price"]) > 0):
        return f"no fair price: {why}, and there is no fresh index to go by"
    return f"no fair price: {why}, and how far the middle lies from the index is not known yet"


_REFUSED_INPUT: Final = {
    "FAIR": "fair", "POSITION": "position", "GAMMA": "gamma", "CLIP": "clip", "SIGMA": "sigma", "A": "A_bid",
    "K": "k_bid", "FEE": "fee", "HORIZON": "horizon_s", "DRIFT": "drift",
}  # fmt: skip


def _model_refused(row: Any, _settings: dict[str, Any]) -> str:
    from mftpy.model.avellaneda_stoikov import Refusal

    code = int(row["refusal"]) or int(row["out"]["refusal"])
    try:
        refusal = Refusal(code)
    except ValueError:
        return f"the model refused: {code}"
    name = _REFUSED_INPUT.get(refusal.name)
    return f"the model refused: {refusal.sentence}" + (f"; {name} is {float(row['x'][name]):g}" if name else "")


def _model_failed(row: Any, settings: dict[str, Any]) -> str:
    return (
        "the model failed: it raised an exception, or its prices or sizes are no numbers or crossed; "
        f"{int(row['failures']):,} in a row, at {_setting(settings, 'failures_to_reducing')} only what reduces the "
        "position is quoted"
    )


def _crossed(row: Any, _settings: dict[str, Any]) -> str:
    best = {made.side: made.price for made in quote_sums(row) if made.level == 0}
    if len(best) == 2:
        prices = {side: f"{float(price):,g}" for side, price in best.items()}
        return f"after limits on price the bid at {prices[Side.BUY]} would not be below the ask at {prices[Side.SELL]}"
    return "after limits on price the bid would not be below the ask"


def _at_limit(side: Side) -> Any:
    def said(row: Any, _settings: dict[str, Any]) -> str:
        word, lot = side_word(side), float(row["lot_size"])
        limit, clip = (_whole_lots(float(row["x"][name]), lot) for name in ("max_position", "clip"))
        return (
            f"no {word}: position {int(row['position_lots']):+,} lots, limit {limit:,}: room for "
            f"{int(row[f'{word}_room_lots']):,} lots, a clip is {clip:,}"
        )

    return said


def _possibly_filled(side: Side) -> Any:
    def said(row: Any, settings: dict[str, Any]) -> str:
        word = side_word(side)
        lots = int(row["possible_buy_lots" if side == Side.BUY else "possible_sell_lots"])
        return (
            f"{word} left as it is: a trade at or through it may have filled {lots:,} lots; until the order feed "
            f"tells, for {_setting(settings, 'possibly_filled_ms')} ms at most"
        )

    return said


def _reducing(row: Any, settings: dict[str, Any]) -> str:
    failures, most = int(row["failures"]), settings.get("failures_to_reducing")
    position = int(row["position_lots"])
    because = f", after {failures:,} failures of the model" if isinstance(most, int) and failures >= most else ""
    return f"only what reduces the position of {position:+,} lots is quoted{because}"


def _stopping(row: Any, _settings: dict[str, Any]) -> str:
    return "the run is ending" if int(row["command"]) == Command.EXIT else "quoting was told to stop"


_SENTENCES: Final[dict[Reason, Any]] = {
    Reason.BOOK_NOT_READY: _not_ready,
    Reason.BOOK_STALE: _stale,
    Reason.NO_FAIR_PRICE: _no_fair,
    Reason.MODEL_REFUSED: _model_refused,
    Reason.CROSSED_AFTER_CLAMP: _crossed,
    Reason.AT_LONG_LIMIT: _at_limit(Side.BUY),
    Reason.AT_SHORT_LIMIT: _at_limit(Side.SELL),
    Reason.STOPPING: _stopping,
    Reason.ACCOUNT_NOT_READY: lambda _row, _settings: (
        "account not ready: execution has not told position and orders yet"
    ),
    Reason.BOOK_FROZEN: _frozen,
    Reason.REDUCING: _reducing,
    Reason.HALTED: lambda *_: "halted: nothing is quoted",
    Reason.MODEL_FAILED: _model_failed,
    Reason.BID_POSSIBLY_FILLED: _possibly_filled(Side.BUY),
    Reason.ASK_POSSIBLY_FILLED: _possibly_filled(Side.SELL),
}


def action_in_words(action: Any) -> str:
    """Say what execution did about one quote.

    Parameters
    ----------
    action : numpy.void of ACTION
    """
    order = f"order {int(action['client_order_id'])}"
    at = f"at {int(action['price_ticks']):,}, {int(action['lots']):,} lots"
    try:
        outcome = Outcome(int(action["outcome"]))
    except ValueError:
        return f"outcome {int(action['outcome'])}, which this version does not know"
    return {
        Outcome.INSERTED: f"{order} inserted {at}",
        Outcome.AMENDED: f"{order} moved: {at}",
        Outcome.CANCELLED: f"{order} cancelled {at}",
        Outcome.RESTS_ALREADY: f"{order} rests already {at}: within the threshold, nothing sent",
        Outcome.WAITS_FOR_ANSWER: f"{order} waits for the exchange's answer {at}, nothing sent"
        if int(action["client_order_id"])
        else f"nothing sent {at}: it waits for a decision that knows of the last fill",
        Outcome.THROTTLED: f"nothing sent {at}: the budget of messages is spent",
        Outcome.REFUSED_BY_LIMITS: f"nothing sent {at}: refused by execution's own limits on price, size or worst case",
        Outcome.PAUSED_AFTER_REFUSAL: f"nothing sent {at}: the exchange has just refused this side's last message",
        Outcome.HELD_POSSIBLY_FILLED: f"nothing sent {at}: a trade may have filled this side",
        Outcome.PULLED: f"{order} pulled {at}: a process or the feed stood still, or quoting ended",
        Outcome.FILLED: f"{order} filled {at}",
        Outcome.ENDED: f"{order} ended at the exchange {at}, not by us",
    }[outcome]


def passed_on_in_words(row: Any, standing: int | None, settings: dict[str, Any]) -> str:
    """Say whether execution was woken by a decision, or why not.

    Parameters
    ----------
    standing : int or None
        Number of the decision that was passed on last, before this one.
    """
    if int(row["passed_on"]):
        return "passed on to execution"
    stands = f"decision {standing:,}" if standing is not None else "the last one that was passed on"
    if not int(row["n_bids"]) and not int(row["n_asks"]):
        return f"not passed on: {stands} told execution already that nothing is to rest"
    ticks = int(row["threshold_ticks"])
    why = f"against {stands}, whose quotes stand, no price differs by {ticks:,} tick{'s' if ticks != 1 else ''}, and"
    why += " neither sizes nor the number of quotes do"
    if settings.get("min_interval_ms"):
        why += f", or {_setting(settings, 'min_interval_ms')} ms have not passed since"
    return f"not passed on: {why}"
