"""``mftpy explain``: what it prints adds up exactly, every reason is a sentence with its numbers, every failure too."""

import json
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mftcore import BOOK_RESYNCING, BOOK_STALE
from mftpy import explain, explain_reasons, explain_text, journal_meta
from mftpy.config import load
from mftpy.decisions import DECISION, Clamp, FairSource, Outcome
from mftpy.model.avellaneda_stoikov import Refusal
from mftpy.model.standing import Standing
from mftpy.records import Command, Mode, Reason
from tests.py.made_decisions import (
    INSTRUMENT,
    MS,
    action,
    add_quote,
    model_quotes,
    plain_decision,
    random_decision,
)

ROOT = Path(__file__).resolve().parents[2]
META = journal_meta.Meta.of(load(None), INSTRUMENT, "20260131T120000Z-1", journal_meta.DECISIONS)
CELL = re.compile(r"[+-]?[\d,]+\.\d{3}")


def tables(text):
    """Return each column of the printed tables as (name, numbers by the name of their line)."""
    found, columns = [], []
    for line in text.splitlines():
        if line.startswith("  ticks of "):
            ends = [(name.group(), name.end()) for name in re.finditer(r"(?:bid|ask) \d+", line)]
            starts = [30, *(end for _, end in ends)]
            columns = [(name, start, end, {}) for (name, end), start in zip(ends, starts, strict=False)]
            found += [(name, numbers) for name, _, _, numbers in columns]
        elif not line.strip():
            columns = []
        for _, start, end, numbers in columns:
            if CELL.fullmatch(cell := line[start:end].strip()):
                numbers[line[2:30].strip()] = Decimal(cell.replace(",", ""))
    return found


def adds_up(text):
    """Check that every printed column adds up as printed, and return how many there are."""
    columns = tables(text)
    for name, numbers in columns:
        total, seen = Decimal(0), []
        for line, number in numbers.items():
            if line.startswith("="):
                assert number == total, f"{name}: {line} {number}, but the lines make {total}"
                seen.append(line)
            else:
                total += number
        assert seen[0] == "= unrounded", name
    return len(columns)


def explained(row, actions=(), standing=None):
    return explain_text.as_text(row, META, actions, standing)


@given(st.integers(0, 2**32))
def test_the_printed_numbers_add_up_exactly_as_they_are_printed(seed):
    row = random_decision(seed)
    assert adds_up(explained(row)) == int(row["n_bids"]) + int(row["n_asks"])


@pytest.mark.parametrize("count", [1000, pytest.param(20_000, marks=pytest.mark.long)])
def test_thousands_of_random_quotes_add_up_exactly_as_printed(count):
    columns = sum(adds_up(explained(random_decision(seed))) for seed in range(count))
    assert columns > 4 * count


def test_a_wrong_digit_would_be_seen():
    row = plain_decision()
    model_quotes(row, 0.3, 2.2, 6.17)
    text = explained(row)
    assert adds_up(text) == 2
    with pytest.raises(AssertionError, match="but the lines make"):
        adds_up(text.replace("-61.700", "-61.701"))


@given(st.integers(0, 2**32))
def test_the_sums_as_json_are_exact_and_their_terms_are_the_floats_of_the_record(seed):
    row = random_decision(seed)
    told = json.loads(json.dumps(explain_text.as_json(row, META, [], None), allow_nan=False))
    tick = float(row["tick_size"])
    for quote in told["quotes"]:
        side, level = quote["side"], quote["level"] - 1
        terms = {term["name"]: Fraction(term["ticks"]) for term in quote["terms"]}
        clamps = sum((Fraction(term["ticks"]) for term in quote["clamps"]), Fraction(0))
        assert sum(terms.values()) == Fraction(quote["unrounded"])
        assert Fraction(quote["unrounded"]) == Fraction(float(row["out"][f"{side}_price"][level]) / tick)
        assert Fraction(quote["unrounded"]) + clamps == Fraction(quote["price"]) == int(row[f"{side}_ticks"][level])
        assert terms[explain.FAIR] == Fraction(float(row["fair_ticks"]))
        if explain.SKEW in terms:
            assert terms[explain.SKEW] == -Fraction(float(row["out"]["skew"]) / tick)
            assert abs(terms[explain.FEE]) == abs(Fraction(float(row["out"]["fee"]) / tick))
    assert told["record"]["x"]["sigma"] == float(row["x"]["sigma"])


@given(st.integers(0, 2**32))
def test_each_printed_term_is_its_own_rounding_but_for_the_line_that_carries_the_rest(seed):
    row = random_decision(seed)
    for made in explain.quote_sums(row):
        terms, clamps = explain_text.printed(made)
        exact = {term.name: term.ticks for term in (*made.terms, *made.clamps)}
        for name, thousandths in (terms | clamps).items():
            off = abs(thousandths - exact.get(name, Fraction(0)) * 1000)
            carries = name in (explain.HALF, explain.MODEL, explain.REMAINDER, explain.CLAMP_NAMES[Clamp.ROUNDING])
            assert off <= (3 if carries else Fraction(1, 2)), (name, float(off))


def test_a_model_that_explains_nothing_has_one_term():
    row = plain_decision()
    model_quotes(row, 0.3, 2.2, 6.17)
    for name in ("skew", "model_half", "fee"):
        row["out"][name] = 0.0
    text = explained(row)
    assert adds_up(text) == 2
    assert explain.MODEL in dict(tables(text))["bid 1"]
    assert explain.HALF not in text


def test_terms_of_a_users_model_that_miss_its_price_are_told_to_miss_it():
    row = plain_decision()
    model_quotes(row, 0.3, 2.2, 6.17)
    row["out"]["skew"] = 0.5
    text = explained(row)
    assert adds_up(text) == 2
    assert dict(tables(text))["bid 1"][explain.REMAINDER] == Decimal("2.000")


def test_every_clamp_that_acted_has_its_line_and_no_other():
    for clamp in Clamp:
        row = plain_decision()
        add_quote(row, 1, 0, 61_690.0, {clamp: -7} if clamp is not Clamp.ROUNDING else {})
        named = [name for name in explain.CLAMP_NAMES.values() if name in explained(row)]
        assert named == ([] if clamp is Clamp.ROUNDING else [explain.CLAMP_NAMES[clamp]])


def test_the_unrounded_price_and_every_amount_are_those_of_the_record():
    row = plain_decision()
    model_quotes(row, 0.3142, 2.2, 6.17, clamps={Clamp.OPPOSITE_BEST: -12})
    columns = dict(tables(explained(row)))
    assert columns["bid 1"] == {
        "fair price": Decimal("617000.500"), "skew of the position": Decimal("-3.142"),
        "half spread of the model": Decimal("-22.000"), "fee": Decimal("-61.700"),
        "= unrounded": Decimal("616913.658"),
        "to a whole tick": Decimal("-0.658"), "behind the opposite best": Decimal("-12.000"),
        "= price": Decimal("616901.000"),
    }  # fmt: skip


REFUSALS = [
    (Reason.BOOK_STALE, {"transport_ns": 5_000 * MS - 2_314 * MS}, "nothing came for 2,314 ms, limit 2,000"),
    (Reason.BOOK_STALE, {"book_state": BOOK_STALE}, "market data has lost the feed"),
    (Reason.BOOK_STALE, {}, "market data process, which writes it, has gone"),
    (Reason.BOOK_STALE, {"transport_ns": 0}, "nothing has come from the exchange yet"),
    (Reason.BOOK_NOT_READY, {"book_version": 0}, "none has come yet"),
    (Reason.BOOK_NOT_READY, {"book_state": BOOK_RESYNCING}, "fetched anew"),
    (Reason.BOOK_FROZEN, {"book_receive_ns": 5_000 * MS - 3_100 * MS}, "not changed for 3,100 ms, limit 2,000"),
    (Reason.NO_FAIR_PRICE, {"net_bid_ticks": 0, "net_ask_ticks": 0}, "neither side of the book has 0.01 coins"),
    (Reason.NO_FAIR_PRICE, {"net_ask_ticks": 0}, "the ask side of the book has not 0.01 coins"),
    (Reason.NO_FAIR_PRICE, {"net_ask_ticks": 630_000}, "208.5 basis points wide, limit 100"),
    (Reason.NO_FAIR_PRICE, {"net_ask_ticks": 0, "index_price": np.nan}, "no fresh index"),
    (Reason.MODEL_REFUSED, {"refusal": Refusal.SIGMA}, "sigma must be a positive, finite number; sigma is 8"),
    (Reason.MODEL_REFUSED, {"refusal": 99}, "99"),
    (Reason.MODEL_FAILED, {"failures": 3}, "3 in a row, at 10 only what reduces"),
    (Reason.AT_LONG_LIMIT, {"position_lots": 95, "bid_room_lots": 5}, "no bid: position +95 lots, limit 100: room for"),
    (Reason.AT_SHORT_LIMIT, {"position_lots": -95, "ask_room_lots": 5}, "no ask: position -95 lots"),
    (Reason.STOPPING, {"command": Command.STOP_QUOTING}, "told to stop"),
    (Reason.STOPPING, {"command": Command.EXIT}, "the run is ending"),
    (Reason.ACCOUNT_NOT_READY, {}, "execution has not told"),
    (Reason.REDUCING, {"failures": 10}, "only what reduces the position of +20 lots is quoted, after 10 failures"),
    (Reason.HALTED, {"mode": Mode.HALTED}, "nothing is quoted"),
    (Reason.BID_POSSIBLY_FILLED, {"possible_buy_lots": 10}, "at or through it may have filled 10 lots;"),
    (Reason.ASK_POSSIBLY_FILLED, {"possible_sell_lots": 7}, "for 250 ms at most"),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "members", "words"), REFUSALS)
def test_a_refusal_is_a_sentence_with_the_numbers_that_decided_it(reason, members, words):
    row = plain_decision()
    row["reasons"] = int(reason)
    for name, value in members.items():
        row[name] = value
    assert words in " ".join(explained(row).split()).replace("No ", "no ").replace("The ", "the ").replace(
        "Only", "only"
    )


def test_quotes_that_cross_after_the_clamps_are_told_with_both_prices():
    row = plain_decision()
    model_quotes(row, 0.3, 2.2, 6.17, clamps={Clamp.HELD: 0})
    row["bid_clamp_ticks"][0][Clamp.MIN_DISTANCE] = 300
    row["n_bids"] = row["n_asks"] = 0
    row["reasons"] = int(Reason.CROSSED_AFTER_CLAMP)
    text = " ".join(explained(row).split())
    assert "the bid at 61,721.3 would not be below the ask at 61,708.2" in text
    assert "= price none none" in text


def test_every_reason_has_a_sentence_and_every_outcome_and_standing_a_word():
    for reason in Reason:
        row = plain_decision()
        row["reasons"] = int(reason)
        assert bool(reason) == (
            explain_reasons.reasons_in_words(row, META.settings)[0] != "no bid: the model gave none"
        )
    for outcome in Outcome:
        assert explain_reasons.action_in_words(action(1, outcome, 0, client_order_id=5, price_ticks=7, lots=9), 0.1)
    assert {int(standing) for standing in Standing} | {-1} == set(explain.STANDINGS)
    assert {int(clamp) for clamp in Clamp} == {int(clamp) for clamp in explain.CLAMP_NAMES}
    for source in FairSource:
        row = plain_decision()
        row["fair_source"] = int(source)
        assert explained(row)


def test_what_this_version_does_not_know_is_told_as_its_number():
    row = plain_decision()
    row["mode"], row["fair_source"], row["sigma_standing"], row["reasons"] = 77, 88, 99, 1 << 40
    assert "77" in explained(row)
    assert "outcome 55" in explain_reasons.action_in_words(action(1, 55, 0), 0.1)


def test_a_side_without_a_quote_is_told_to_be_the_models_wish():
    row = plain_decision()
    add_quote(row, -1, 0, 61_710.0, {})
    assert "No bid: the model gave none." in explained(row)
    assert "no ask" not in explained(row).lower()


def test_a_decision_without_a_quote_that_was_not_passed_on_is_told_to_say_nothing_new():
    row = plain_decision()
    row["passed_on"], row["reasons"], row["fair_source"] = 0, int(Reason.STOPPING), 0
    row["net_bid_ticks"] = row["net_ask_ticks"] = 0
    text = explained(row, standing=7)
    assert "decision 7 told execution already that nothing is to rest" in text
    assert "none was looked for" in text


def test_a_size_is_told_with_what_cut_it():
    row = plain_decision()
    model_quotes(row, 0.3, 2.2, 6.17, levels=2)
    row["bid_lots"][:2], row["bid_room_lots"], row["position_lots"] = (10, 4), 14, 86
    assert "Bid 2: 4 of 10 lots: the side has room for 14 lots in all." in explained(row)
    row["bid_lots"][:2], row["bid_room_lots"] = (8, 8), 80
    assert "Bid 1: 8 of 10 lots: quotes that would grow the position shrink with it." in explained(row)
    row["n_bids"] = 1
    assert "No bid 2: the side has room for 80 lots in all." in explained(row)
    row["out"]["bid_size"][0] = 0.008
    assert "Bid 1" not in explained(row)


def test_prices_and_numbers_that_are_none_are_explained_and_are_null_as_json():
    row = plain_decision()
    model_quotes(row, 0.3, 2.2, 6.17)
    row["out"]["bid_price"][0] = np.nan
    row["out"]["ask_price"][0] = np.inf
    row["n_bids"] = row["n_asks"] = 0
    row["reasons"] = int(Reason.MODEL_FAILED)
    assert "model failed" in explained(row)
    told = json.loads(json.dumps(explain_text.as_json(row, META, [], None), allow_nan=False))
    assert told["record"]["out"]["bid_price"][0] is None


@given(st.binary(min_size=8, max_size=64), st.integers(0, 2**32))
def test_no_record_however_odd_breaks_it(noise, seed):
    words = np.random.default_rng(seed).integers(0, 2**64, DECISION.itemsize // 8, np.uint64)
    words[: len(noise) // 8] = np.frombuffer(noise[: len(noise) // 8 * 8], np.uint64)
    row = np.frombuffer(words.tobytes(), DECISION)[0]
    assert explained(row)
    json.dumps(explain_text.as_json(row, META, [], None), allow_nan=False)


def test_no_line_is_wider_than_a_terminal_of_100_columns():
    row = random_decision(5)
    model_quotes(row, 0.3, 2.2, 6.17, levels=8)
    row["reasons"] = sum(int(reason) for reason in Reason)
    told = [action(1, outcome, 0, client_order_id=123456, price_ticks=617_000, lots=10) for outcome in Outcome]
    text = explained(row, told)
    assert [line for line in text.splitlines() if len(line) > 100] == []
