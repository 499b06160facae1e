"""Why there is no quote, what was passed on and what execution did: sentences with the numbers that decided."""

from __future__ import annotations

import math
from typing import Any, Final

from mftcore import BOOK_RESYNCING, BOOK_STALE
from mftpy.decisions import Outcome
from mftpy.explain import quote_sums, side_word, whole_lots
from mftpy.records import Command, Reason, Side


def reasons_in_words(row: Any, settings: dict[str, Any]) -> list[str]:
    """Say why there is no quote, or none on one side: a sentence for each reason, with the numbers that decided it.

    Parameters
    ----------
    row : numpy.void of DECISION
    settings : dict
        `mftpy.journal_meta.Meta.settings`.
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
        prices = {side: f"{float(price) * float(row['tick_size']):,.12g}" for side, price in best.items()}
        return f"after limits on price the bid at {prices[Side.BUY]} would not be below the ask at {prices[Side.SELL]}"
    return "after limits on price the bid would not be below the ask"


def _at_limit(side: Side) -> Any:
    def said(row: Any, _settings: dict[str, Any]) -> str:
        word, lot = side_word(side), float(row["lot_size"])
        limit, clip = (whole_lots(float(row["x"][name]), lot) for name in ("max_position", "clip"))
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


def action_in_words(action: Any, tick: float) -> str:
    """Say what execution did about one quote.

    Parameters
    ----------
    action : numpy.void of ACTION
    tick : float
        Of the instrument.
    """
    order = f"order {int(action['client_order_id'])}"
    at = f"at {int(action['price_ticks']) * tick:,.12g}, {int(action['lots']):,} lots"
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
