"""The model in plain Python: no compiler, no exchange, and a debugger works."""

import math

from imbalance import quote

from mftpy.model.builtin import avellaneda_stoikov
from mftpy.model.plain import blank_output, example_input


def answer(model, **members):
    out = blank_output()
    model(example_input(parameter=[3.0, 0, 0, 0, 0, 0, 0, 0], **members), out)
    return out


def test_a_balanced_book_changes_nothing():
    assert answer(quote, imbalance=0.0) == answer(avellaneda_stoikov, imbalance=0.0)


def test_more_bids_than_asks_move_both_quotes_up_by_up_to_the_parameter():
    without = answer(avellaneda_stoikov, levels=3)
    for imbalance in (-1.0, -0.2, 0.5, 1.0):
        out = answer(quote, imbalance=imbalance, levels=3)
        for i in range(3):
            assert math.isclose(out.bid_price[i] - without.bid_price[i], 3.0 * imbalance, abs_tol=1e-9)
            assert math.isclose(out.ask_price[i] - without.ask_price[i], 3.0 * imbalance, abs_tol=1e-9)


def test_the_terms_still_add_up_to_the_prices():
    out = answer(quote, imbalance=0.4, position=0.03)
    assert math.isclose(61_700.0 - out.skew - (out.model_half + out.fee), out.bid_price[0], rel_tol=1e-12)
    assert math.isclose(61_700.0 - out.skew + (out.model_half + out.fee), out.ask_price[0], rel_tol=1e-12)


def test_what_the_model_refuses_is_no_quote():
    assert answer(quote, imbalance=0.4, sigma=0.0).n_bids == 0
