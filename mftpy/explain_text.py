"""A decision as text for a terminal of 100 columns, whose printed numbers add up as printed; and as JSON, exactly.

Prices are printed in ticks with three decimals. Each term is rounded by itself, but the model's half spread (or, where
a model of the user's gives no terms, its one term), which is what makes the printed sum right: it may differ from its
own rounding by two units of the last place. So may "to a whole tick".
"""

from __future__ import annotations

import math
import textwrap
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any, Final

import numpy as np

from mftpy.decisions import Clamp, FairSource, Outcome
from mftpy.explain import (
    CLAMP_NAMES,
    FAIR,
    FEE,
    HALF,
    LEVEL,
    MODEL,
    REMAINDER,
    SKEW,
    STANDINGS,
    QuoteSum,
    cuts,
    quote_sums,
    side_word,
)
from mftpy.explain_reasons import action_in_words, age_ms, passed_on_in_words, reasons_in_words
from mftpy.records import Mode, Reason

UNROUNDED: Final = "= unrounded"
PRICE: Final = "= price"
_ROUNDING: Final = CLAMP_NAMES[Clamp.ROUNDING]
_ORDER: Final = (FAIR, SKEW, HALF, FEE, LEVEL, MODEL, REMAINDER)
_CLAMP_ORDER: Final = tuple(CLAMP_NAMES[clamp] for clamp in Clamp)
_TERMINAL: Final = 100
_NAME_WIDTH: Final = 28
_WIDTH: Final = 14
_VISIBLE: Final = Fraction(1, 2000)


def thousandths(exact: Fraction) -> int:
    """Return a number of ticks in thousandths, rounded half to even."""
    number, rest = divmod(exact.numerator * 1000, exact.denominator)
    return number + (2 * rest > exact.denominator or (2 * rest == exact.denominator and number & 1))


def printed(made: QuoteSum) -> tuple[dict[str, int], dict[str, int]]:
    """Return the terms and the clamps of a quote as they are printed, in thousandths of a tick.

    The first add up to the rounded `unrounded`, and with the second to the rounded price.
    """
    exact = {term.name: term.ticks for term in made.terms}
    carrier = MODEL if MODEL in exact else HALF
    if abs(exact.get(REMAINDER, Fraction(0))) < _VISIBLE:
        exact.pop(REMAINDER, None)
    else:
        carrier = REMAINDER  # the model's terms miss its price by what can be seen: say so
    terms = {name: thousandths(ticks) for name, ticks in exact.items()}
    terms[carrier] += thousandths(made.unrounded) - sum(terms.values())
    clamps = {term.name: thousandths(term.ticks) for term in made.clamps}
    left = thousandths(made.price) - thousandths(made.unrounded) - sum(clamps.values())
    if left:
        clamps[_ROUNDING] = clamps.get(_ROUNDING, 0) + left
    return terms, clamps


def in_ticks(number: int, *, sign: bool = False) -> str:
    """Write thousandths of a tick with their decimals; a whole number of ticks, if no sign is wanted, without."""
    whole, part = divmod(abs(number), 1000)
    minus = "-" if number < 0 else "+" if sign else ""
    return f"{minus}{whole:,}.{part:03d}"


def wall(ns: int) -> str:
    """Write nanoseconds since 1970 as local time with its zone, to the microsecond."""
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)
    return at.astimezone().isoformat(sep=" ", timespec="microseconds")


def as_text(row: Any, run: Any, actions: Any, standing: int | None) -> str:
    """Explain a decision.

    Parameters
    ----------
    row : numpy.void of DECISION
    run : mftpy.journal_meta.Meta
    actions : sequence of numpy.void of ACTION
        What execution did about it, in order.
    standing : int or None
        Number of the decision passed on last before it.
    """
    sums = quote_sums(row)
    lines = [*_head(row, run), ""]
    if sums:
        lines += [*_tables(row, sums), ""]
    said = [*reasons_in_words(row, run.settings), *cuts(row, sums)]
    lines += [*(_sentence(sentence) for sentence in said), *([""] if said else [])]
    lines.append(_sentence(passed_on_in_words(row, standing, run.settings)))
    if len(actions) and not int(row["passed_on"]):
        lines.append("  Execution, which looks at the newest decision whenever it wakes:")
    decided_ns = int(row["decided_ns"])
    for action in actions:
        after_ns = (int(action["sent_ns"]) or int(action["time_ns"])) - decided_ns
        name = f"{side_word(int(action['side']))} {int(action['level']) + 1}"
        what = f"  {name:<6}{_duration(after_ns):>10} later  {action_in_words(action, run.tick_size)}"
        lines.append(_wrapped(what, 26))
    if int(row["passed_on"]) and not len(actions):
        lines.append("  Execution did nothing about it: no message was needed, or a newer decision took its place.")
    return "\n".join(lines)


def _wrapped(text: str, indent: int) -> str:
    lines = textwrap.wrap(text, _TERMINAL, subsequent_indent=" " * indent, drop_whitespace=False)
    return "\n".join(line.rstrip() for line in lines)


def _sentence(text: str) -> str:
    return textwrap.fill(f"{text[:1].upper()}{text[1:]}.", _TERMINAL, initial_indent="  ", subsequent_indent="    ")


def _duration(ns: int) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6)):
        if abs(ns) >= size:
            return f"{ns / size:,.1f} {unit}"
    return f"{ns / 1e3:,.0f} us"


def _head(row: Any, run: Any) -> list[str]:
    decided_ns, lot = int(row["decided_ns"]), float(row["lot_size"])
    position = int(row["position_lots"])
    x = row["x"]
    outside = [
        f"{int(row[name]):,} {word}"
        for name, word in (
            ("outside_long_lots", "bought"), ("outside_short_lots", "sold"), ("possible_buy_lots", "perhaps bought"),
            ("possible_sell_lots", "perhaps sold"),
        )
        if int(row[name])
    ]  # fmt: skip
    silent = age_ms(row, "transport_ns")
    age = age_ms(row, "book_receive_ns")
    head = [
        f"decision {int(row['decision_id']):,}   {wall(decided_ns + run.wall_minus_monotonic_ns)}",
        f"  {'run':<12}{run.run_id}, {run.instrument}, {run.model}",
        f"  {'book':<12}version {int(row['book_version']):,}, "
        + (f"{age:,.3f} ms old" if not math.isnan(age) else "none yet")
        + (f"; the exchange was last heard {silent:,.3f} ms before" if not math.isnan(silent) else ""),
        f"  {'account':<12}version {int(row['account_version']):,}, {int(row['account_fills']):,} fills; position "
        f"{_signed(position)} lots ({_signed(position * lot)} coins)"
        + (f" at {float(row['average_price']):,.10g}" if position else "")
        + f", cash {float(row['cash']):+,.2f}",
        f"  {'worst case':<12}{_signed(int(row['worst_long_lots']))} lots if all bids fill, "
        f"{_signed(-int(row['worst_short_lots']))} if all asks do"
        + (f"; outside the quotes: {', '.join(outside)}" if outside else ""),
        f"  {'mode':<12}{_mode(row)}",
        f"  {'fair price':<12}{_fair(row)}",
    ]
    if float(x["sigma"]) or float(x["gamma"]):
        head += [
            f"  {'model':<12}sigma {float(x['sigma']):,.6g} ({_standing(row, 'sigma')}), "
            f"gamma {float(x['gamma']):,.6g}, fee {float(x['fee']):,.6g}, horizon {_horizon(row)}, "
            f"clip {float(x['clip']):,.8g}",
            f"  {'':<12}bid: A {float(x['A_bid']):,.6g} /s, k {float(x['k_bid']):,.6g} ({_standing(row, 'bid')}); "
            f"ask: A {float(x['A_ask']):,.6g} /s, k {float(x['k_ask']):,.6g} ({_standing(row, 'ask')})",
        ]
    return head


def _signed(number: float) -> str:
    return f"{number:+,.10g}" if number else "0"


def _mode(row: Any) -> str:
    try:
        return Mode(int(row["mode"])).name.lower()
    except ValueError:
        return f"{int(row['mode'])}, which this version does not know"


def _standing(row: Any, name: str) -> str:
    return STANDINGS.get(int(row[f"{name}_standing"]), "of a standing that this version does not know")


def _horizon(row: Any) -> str:
    solved, asked = float(row["out"]["horizon_s"]), float(row["x"]["horizon_s"])
    if solved > 0:
        return f"{solved:,.6g} s"
    return f"{asked:,.6g} s" if asked > 0 else "stationary"


def _fair(row: Any) -> str:
    try:
        source = FairSource(int(row["fair_source"]))
    except ValueError:
        source = FairSource.NONE
    tick = float(row["tick_size"])
    sides = [
        f"{int(row[f'net_{word}_lots']):,} lots at {int(row[f'net_{word}_ticks']) * tick:,.12g}"
        if int(row[f"net_{word}_ticks"]) > 0
        else f"no {word}"
        for word in ("bid", "ask")
    ]
    others = f"{sides[0]} and {sides[1]}, ours left out"
    if source == FairSource.NONE:
        looked = Reason.NO_FAIR_PRICE in Reason(int(row["reasons"]))
        return f"none; {others}" if looked else "none was looked for"
    fair = f"{float(row['fair_ticks']) * tick:,.12g}"
    how = {
        FairSource.MID: f"the middle of {others}",
        FairSource.MICRO: f"the middle, weighted by size, of {others}",
        FairSource.INDEX: f"index {float(row['index_price']):,.12g} {float(row['basis']):+,.6g}, as the middle lay",
    }[source]
    return f"{fair}: {how}"


def _tables(row: Any, sums: list[QuoteSum]) -> list[str]:
    """The sums side by side: both sides in one table while they fit."""
    longest = max(len(in_ticks(thousandths(number))) for made in sums for number in (made.unrounded, made.price))
    width = max(_WIDTH, longest + 2)
    columns = max((_TERMINAL - 2 - _NAME_WIDTH) // width, 1)
    if len(sums) <= columns:
        return _table(row, sums, width)
    lines: list[str] = []
    for side in dict.fromkeys(made.side for made in sums):
        mine = [made for made in sums if made.side is side]
        for first in range(0, len(mine), columns):
            lines += [*([""] if lines else []), *_table(row, mine[first : first + columns], width)]
    return lines


def _table(row: Any, sums: list[QuoteSum], width: int) -> list[str]:
    def line(name: str, cells: list[str]) -> str:
        return (f"  {name:<{_NAME_WIDTH}}" + "".join(f"{cell:>{width}}" for cell in cells)).rstrip()

    tick = float(row["tick_size"])
    told = [printed(made) for made in sums]
    lines = [line(f"ticks of {tick:.12g}", [made.name for made in sums])]
    for name in _ORDER:
        cells = [terms.get(name) for terms, _ in told]
        if any(cell is not None for cell in cells):
            lines.append(line(name, [_cell(cell, sign=name != FAIR) for cell in cells]))
    lines.append(line(UNROUNDED, [in_ticks(thousandths(made.unrounded)) for made in sums]))
    for name in _CLAMP_ORDER:
        cells = [clamps.get(name) for _, clamps in told]
        if any(cells):
            lines.append(line(name, [_cell(cell, sign=True) for cell in cells]))
    lines.append(line(PRICE, [in_ticks(thousandths(made.price)) if made.quoted else "none" for made in sums]))
    lines.append(line("price", [f"{float(made.price) * tick:,.12g}" if made.quoted else "" for made in sums]))
    lines.append(line("lots", [f"{made.lots:,}" if made.quoted else "" for made in sums]))
    return lines


def _cell(number: int | None, *, sign: bool) -> str:
    return "" if number is None else in_ticks(number, sign=sign)


def exact(number: Fraction) -> str:
    """Write a sum of floats as the decimal number that it is: nothing is rounded."""
    numerator, denominator = number.numerator, number.denominator
    places = denominator.bit_length() - 1  # a power of two: so many decimals are enough
    if denominator != 1 << places:
        raise ValueError(f"{number} is no sum of floats")
    digits = str(abs(numerator) * 5**places).zfill(places + 1)
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
    return f"{'-' if numerator < 0 else ''}{whole}" + (f".{part}" if part else "")


def as_json(row: Any, run: Any, actions: Any, standing: int | None) -> dict[str, Any]:
    """Return what `as_text` tells for ``json.dumps``, with every number of the record, and sums that are exact.

    In ``quotes`` the ticks are decimal numbers in strings, of as many digits as they have: the terms add up to
    ``unrounded``, and with the clamps to ``price``. Numbers that are none (NaN) are null.
    """
    sums = quote_sums(row)
    return {
        "decision_id": int(row["decision_id"]),
        "time": wall(int(row["decided_ns"]) + run.wall_minus_monotonic_ns),
        "reasons": [reason.name for reason in Reason if reason and reason in Reason(int(row["reasons"]))],
        "sentences": [
            *reasons_in_words(row, run.settings),
            *cuts(row, sums),
            passed_on_in_words(row, standing, run.settings),
        ],
        "quotes": [
            {
                "side": side_word(made.side),
                "level": made.level + 1,
                "terms": [{"name": term.name, "ticks": exact(term.ticks)} for term in made.terms],
                "unrounded": exact(made.unrounded),
                "clamps": [{"name": term.name, "ticks": exact(term.ticks)} for term in made.clamps],
                "price": exact(made.price),
                "quoted": made.quoted,
                "asked_lots": made.asked_lots,
                "lots": made.lots,
            }
            for made in sums
        ],
        "actions": [action_json(action, run) for action in actions],
        "record": plain(row),
    }


def action_json(action: Any, run: Any) -> dict[str, Any]:
    """Return an action with its outcome by name and its time on the wall, and in words."""
    told = {"time": wall(int(action["time_ns"]) + run.wall_minus_monotonic_ns), **plain(action)}
    return {**told, "outcome": _outcome(action), "said": action_in_words(action, run.tick_size)}


def order_text(client_order_id: int, actions: Any, run: Any, kept: set[int]) -> str:
    """Tell the life of an order: a line for each action, with the decision that it belongs to.

    Parameters
    ----------
    client_order_id : int
    actions : sequence of numpy.void of ACTION
        What changed this order, in order.
    run : mftpy.journal_meta.Meta
    kept : set of int
        Numbers of the decisions that follow; the others are not kept any more.
    """
    lines = [f"order {client_order_id}, run {run.run_id}, {run.instrument}"]
    for action in actions:
        number = int(action["decision_id"])
        at = wall((int(action["sent_ns"]) or int(action["time_ns"])) + run.wall_minus_monotonic_ns)
        side = f"{side_word(int(action['side']))} {int(action['level']) + 1}"
        gone = "" if number in kept else ", not kept"
        what = f"  {at[:26]}  {side:<6} {action_in_words(action, run.tick_size)} (decision {number:,}{gone})"
        lines.append(_wrapped(what, 37))
    return "\n".join(lines)


def _outcome(action: Any) -> str | int:
    code = int(action["outcome"])
    return Outcome(code).name if code in list(Outcome) else code


def plain(row: Any) -> Any:
    """Return a record as dicts, lists and numbers; what is no number as None."""
    if isinstance(row, np.void):
        return {name: plain(row[name]) for name in row.dtype.names or ()}
    if isinstance(row, np.ndarray):
        return [plain(item) for item in row]
    value = row.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
