"""Models and estimates called by address: the formulas to the last bit, exceptions, numbers that are none, leaks."""

import ctypes
import importlib
import math
import sys
from pathlib import Path

import numba
import numba.experimental
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numba.core.runtime import _nrt_python, rtsys

from mftpy.decisions import MODEL_INPUT, MODEL_OUTPUT
from mftpy.model import avellaneda_stoikov, by_address, glft
from mftpy.model.avellaneda_stoikov import Refusal, stationary_horizon_s
from mftpy.model.builtin import MODELS
from mftpy.model.by_address import compile_model
from mftpy.model.compiled import DISPATCHERS
from mftpy.model.estimator import Estimator
from mftpy.model.estimator_by_address import FUNCTIONS, compile_estimator
from mftpy.model.plain import blank_output, example_input
from mftpy.model.relinked import Relinked
from mftpy.settings import Estimation

BTC = {"fair": 61_700.0, "sigma": 8.0, "k_bid": 0.25, "k_ask": 0.25, "A_bid": 0.55, "A_ask": 0.55, "clip": 0.01}
BTC |= {"gamma": 0.04, "tick": 0.1, "fee": 0.0}


@pytest.fixture(scope="module")
def models():
    return {name: compile_model(function, name) for name, function in MODELS.items()}


def answer(model, **members):
    """Return what a compiled model answers."""
    out = blank_output()
    assert model.call(example_input(**members), out) == 0
    return out


def sides(out):
    return float(out.bid_price[0]), float(out.ask_price[0])


# the built-in models


@pytest.mark.parametrize(
    ("q", "as_prices", "glft_prices"),
    [
        (0.0, (61695.747197, 61704.252803), (61695.751577, 61704.248423)),
        (0.02, (61694.723197, 61703.228803), (61694.745098, 61703.241945)),
        (-0.05, (61698.307197, 61706.812803), (61698.267773, 61706.764619)),
    ],
)
def test_the_vectors_in_usd(models, q, as_prices, glft_prices):
    found = sides(answer(models["avellaneda_stoikov"], **BTC, position=q, horizon_s=20.0))
    assert found == pytest.approx(as_prices, abs=0.5e-6)
    assert sides(answer(models["glft"], **BTC, position=q)) == pytest.approx(glft_prices, abs=0.5e-6)


@pytest.mark.parametrize(
    ("q", "tau", "bid", "ask"),
    [
        (-3, 1.0, 100.354615, 102.045385),
        (0, 1.0, 99.154615, 100.845385),
        (3, 1.0, 97.954615, 99.645385),
        (-3, 0.5, 99.854615, 101.345385),
        (3, 0.005, 99.347615, 100.640385),
    ],
)
def test_the_vectors_of_the_paper(models, q, tau, bid, ask):
    out = answer(
        models["avellaneda_stoikov"], fair=100.0, position=q, gamma=0.1, clip=1.0, sigma=2.0, k_bid=1.5, k_ask=1.5,
        A_bid=140.0, A_ask=140.0, fee=0.0, horizon_s=tau, tick=0.01,
    )  # fmt: skip
    assert sides(out) == pytest.approx((bid, ask), abs=0.5e-6)


def test_the_vector_with_the_fee_inside(models):
    for model in models.values():
        out = answer(model, **BTC | {"fee": 6.17}, position=0.01)
        assert out.skew == pytest.approx(1.09, abs=0.005)
        assert out.model_half + out.fee == pytest.approx(10.7, abs=0.05)
        assert out.horizon_s == pytest.approx(42.5, abs=0.05)


def test_the_vector_of_hftbacktest(models):
    k = 0.04235741115084049
    out = answer(
        models["glft"], fair=1000.0, position=0.0, gamma=0.05, clip=1.0, sigma=10.69, A_bid=2.986162360812285,
        A_ask=2.986162360812285, k_bid=k, k_ask=k, fee=0.0, tick=1e-9, levels=2, level_step=0.0,
    )  # fmt: skip
    assert out.model_half == pytest.approx(20.47208533844371, rel=1e-12)
    assert out.bid_price[0] - out.bid_price[1] == pytest.approx(9.76326865029227, rel=1e-9)


numbers = st.floats(1e-3, 1e3)


@given(
    st.floats(1e3, 1e6), st.floats(-10, 10), numbers, numbers, numbers, numbers, numbers, st.floats(-20, 20),
    st.one_of(st.just(-1.0), st.floats(0.0, 1e3)), st.floats(-5, 5),
)  # fmt: skip
@example(61_700.0, 0.03, 0.04, 0.01, 8.0, 0.55, 0.25, 6.17, -1.0, 0.0)
def test_the_first_level_is_the_formula_s_to_the_last_bit(
    models, fair, position, gamma, clip, sigma, A, k, fee, horizon_s, drift
):
    members = {
        "fair": fair, "position": position, "gamma": gamma, "clip": clip, "sigma": sigma, "A_bid": A, "A_ask": A,
        "k_bid": k, "k_ask": k, "fee": fee, "horizon_s": horizon_s, "drift": drift, "tick": 0.1,
    }  # fmt: skip
    used_s = stationary_horizon_s(gamma, clip, sigma, A, k, fee) if horizon_s == -1.0 else horizon_s
    expected = {
        "avellaneda_stoikov": avellaneda_stoikov.quote(fair, position, gamma, clip, sigma, k, fee, used_s, drift),
        "glft": glft.quote(fair, position, gamma, clip, sigma, A, k, fee, gamma, drift),
    }
    for name, terms in expected.items():
        out = answer(models[name], **members)
        usable = all(0 < price / 0.1 < 2.0**53 for price in (terms.bid, terms.ask))
        if terms.refusal == 0 and terms.bid >= terms.ask:
            bid, ask = sides(out)
            apart = 0 < fair - terms.skew < 2.0**49 and fair - terms.skew - 0.05 > 0
            assert not apart or ask - bid == pytest.approx(0.1, abs=1e-3 * max(fair, abs(terms.skew)) * 1e-9)
        elif terms.refusal == 0 and usable:
            assert (out.refusal, out.n_bids, out.n_asks) == (0, 1, 1)
            assert sides(out) == (terms.bid, terms.ask)
            assert (out.skew, out.model_half, out.fee) == (terms.skew, terms.model_half, terms.fee)
            assert fair - out.skew - (out.model_half + out.fee) == out.bid_price[0]
            assert fair - out.skew + (out.model_half + out.fee) == out.ask_price[0]
        else:
            assert out.refusal == (terms.refusal or Refusal.RESULT)
            assert out == refused(out.refusal)
        plain = blank_output()
        MODELS[name](example_input(**members), plain)
        assert plain == out


def refused(reason):
    out = blank_output()
    out.refusal = reason
    return out


@given(st.floats(0.01, 2.0), st.floats(0.01, 2.0), st.floats(0.01, 2.0), st.floats(0.01, 2.0))
def test_sides_that_differ_are_quoted_by_their_mean(models, A_bid, A_ask, k_bid, k_ask):
    A, k = 0.5 * (A_bid + A_ask), 0.5 * (k_bid + k_ask)
    for model in models.values():
        apart = answer(model, position=0.02, A_bid=A_bid, A_ask=A_ask, k_bid=k_bid, k_ask=k_ask)
        assert apart == answer(model, position=0.02, A_bid=A, A_ask=A, k_bid=k, k_ask=k)


def test_levels_lie_behind_each_other_by_the_skew_of_a_clip_or_the_least_step(models):
    for model in models.values():
        first = answer(model, position=-0.02)
        one_more = answer(model, position=-0.01)
        near = answer(model, position=-0.02, levels=8, level_step=0.0)
        far = answer(model, position=-0.02, levels=8, level_step=50.0)
        assert (near.n_bids, near.n_asks, far.n_bids) == (8, 8, 8)
        assert sides(near) == sides(far) == sides(first)
        # the second bid is what is quoted when the first has been filled
        assert near.bid_price[1] == pytest.approx(one_more.bid_price[0], abs=1e-9)
        assert np.diff(near.ask_price) == pytest.approx(-np.diff(near.bid_price), abs=1e-9)
        assert np.diff(far.ask_price) == pytest.approx([50.0] * 7)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("levels", [1, 3])
def test_a_rebate_larger_than_the_model_s_half_leaves_quotes_a_tick_apart(models, name, levels):
    less = answer(models[name], **BTC | {"fee": -4.0}, position=0.02, levels=levels, level_step=0.1)
    most = answer(models[name], **BTC | {"fee": -40.0}, position=0.02, levels=levels, level_step=0.1)
    assert sides(less)[1] - sides(less)[0] > 0.1
    assert sides(most)[1] - sides(most)[0] == pytest.approx(0.1)
    assert most.n_bids == most.n_asks == levels
    assert sides(most)[0] == pytest.approx(61_700.0 - most.skew - (most.model_half + most.fee))
    assert most.skew > 0  # long: both are still moved down


def test_no_more_levels_are_answered_than_there_is_room_for(models):
    for model in models.values():
        assert answer(model, levels=1_000_000).n_bids == 8
        assert answer(model, levels=-3).n_bids == 1
        # the eighth bid would lie below zero
        out = answer(model, levels=8, level_step=10_000.0)
        assert out.refusal == Refusal.RESULT
        assert out.n_bids == out.n_asks == 0


ODD = [math.nan, math.inf, -math.inf, 0.0, -1.0, 1e-320, 1e308, -1e308]


@pytest.mark.parametrize(
    ("member", "value", "reason"),
    [
        *[("fair", value, Refusal.FAIR) for value in (math.nan, math.inf, 0.0, -1.0)],
        *[("gamma", value, Refusal.GAMMA) for value in (math.nan, 0.0)],
        ("position", math.nan, Refusal.POSITION),
        ("clip", 0.0, Refusal.CLIP),
        ("sigma", 0.0, Refusal.SIGMA),
        ("A_bid", math.nan, Refusal.A),
        ("k_ask", math.inf, Refusal.K),
        ("fee", math.nan, Refusal.FEE),
        ("drift", math.inf, Refusal.DRIFT),
    ],
)
def test_a_number_that_is_none_is_refused_by_its_name(models, member, value, reason):
    assert answer(models["glft"], **{member: value}) == refused(reason)
    out = answer(models["avellaneda_stoikov"], **{member: value})
    assert out.refusal == reason
    assert out.n_bids == out.n_asks == 0


def test_a_horizon_that_is_none_is_refused(models):
    for value in (math.nan, math.inf, -2.0):
        assert answer(models["avellaneda_stoikov"], horizon_s=value).refusal == Refusal.HORIZON


FLOATS = [name for name in MODEL_INPUT.names if MODEL_INPUT[name] == np.float64]


@given(st.dictionaries(st.sampled_from(FLOATS), st.one_of(st.sampled_from(ODD), st.floats()), max_size=8))
def test_whatever_comes_in_what_goes_out_is_finite_or_refused(models, members):
    for model in models.values():
        out = answer(model, levels=3, **members)
        for name in MODEL_OUTPUT.names:
            assert np.all(np.isfinite(getattr(out, name))), name
        assert (out.refusal != 0) == (out.n_bids == 0) == (out.n_asks == 0)


# a user's function


def raising(x, out):
    out.n_bids = 7
    raise ValueError("no")


def raising_with_a_number(x, out):
    raise ValueError("no quote at", x.fair)


def beyond_the_end(x, out):
    out.bid_price[x.levels] = 1.0


def _helper(x, i):
    return x.bid_price[i]  # no decorator


def beyond_the_end_in_a_helper(x, out):
    out.bid_price[0] = _helper(x, x.levels + 10)


@numba.njit
def _decorated(x, i):
    return x.bid_price[i]


def beyond_the_end_in_a_decorated_helper(x, out):
    out.bid_price[0] = _decorated(x, x.levels + 10)


def raising_while_it_holds_an_array(x, out):
    prices = np.zeros(x.n_bids)
    out.bid_price[0] = prices[x.n_bids]


RAISING = [
    raising,
    raising_with_a_number,
    beyond_the_end,
    beyond_the_end_in_a_helper,
    beyond_the_end_in_a_decorated_helper,
    raising_while_it_holds_an_array,
]


@pytest.mark.parametrize("function", RAISING, ids=lambda function: function.__name__)
def test_an_exception_is_told_by_the_status(function):
    model = compile_model(function)
    x, out = example_input(levels=8), blank_output()
    assert [model.call(x, out) for _ in range(3)] == [1, 1, 1]


class AllocatorState(ctypes.Structure):
    """``struct mallinfo2`` of glibc."""

    _fields_ = (
        *((name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks")),
        *((name, ctypes.c_size_t) for name in ("uordblks", "fordblks", "keepcost")),
    )


def allocated_bytes():
    """Bytes that are allocated and not freed; room that others left in the heap hides no leak from it."""
    ask = ctypes.CDLL(None).mallinfo2
    ask.restype = AllocatorState
    state = ask()
    return state.uordblks + state.hblkhd


def grown(model, calls):
    x, out = example_input(levels=8).array.ctypes.data, blank_output().array.ctypes.data
    call = model._call
    for _ in range(1000):
        call(x, out)
    before = allocated_bytes()
    failures = sum(call(x, out) for _ in range(calls))
    assert failures == calls
    return allocated_bytes() - before


def leaking(x, out):
    # Numba does not free what is alive when a called function raises: this is what the check must see
    prices = np.zeros(64)
    prices[0] = x.fair
    _raise_after(prices)
    out.bid_price[0] = prices[0]


@numba.njit
def _raise_after(prices):
    prices[1] = prices[0]
    raise ValueError("no")


def test_an_exception_leaves_nothing_behind():
    for function in (raising, raising_with_a_number, beyond_the_end):
        assert grown(compile_model(function), 200_000) < 4 << 20  # arguments that are not freed: 15 MiB
    assert grown(compile_model(leaking), 20_000) > 8 << 20


def test_a_value_that_is_returned_is_no_failure_and_leaves_nothing_behind():
    def returning(x, out):
        out.n_bids = 1
        return np.zeros(64)

    model = compile_model(returning)
    x, out = example_input(), blank_output()
    before = allocated_bytes()
    assert sum(model.call(x, out) for _ in range(30_000)) == 0
    assert allocated_bytes() - before < 4 << 20  # not freed: 15 MiB
    assert out.n_bids == 1


def test_a_division_by_zero_is_infinite_and_no_exception():
    def dividing(x, out):
        out.bid_price[0] = x.fair / x.drift

    out = answer(compile_model(dividing))
    assert out.bid_price[0] == math.inf


def test_what_is_not_one_of_the_records_is_not_called_with():
    model = compile_model(raising)
    x, out = example_input(), blank_output()
    read_only = np.zeros(1, MODEL_OUTPUT)
    read_only.flags.writeable = False
    for arguments in [(out, x), (x, np.zeros(2, MODEL_OUTPUT)), (x, read_only), (x.array[0], out), (None, out)]:
        with pytest.raises(TypeError, match="raising is called with"):
            model.call(*arguments)
    with pytest.raises(ValueError, match="shorter"):
        model.call(x)


def make(shift):
    def quote(x, out):
        out.n_bids = 1
        out.bid_price[0] = x.fair - shift

    return quote


def test_functions_of_one_name_are_not_taken_for_each_other():
    made = [compile_model(make(shift)) for shift in (1.0, 2.0, 1.0)]
    for _ in range(2):
        assert [61_700.0 - answer(model).bid_price[0] for model in made] == [1.0, 2.0, 1.0]


def test_the_key_depends_on_every_source_file_that_is_reached(monkeypatch):
    """Each file of a formula in turn is as if it were edited."""

    estimates = [function for function, _ in FUNCTIONS.values()]
    read = Path.read_bytes
    package = Path(by_address.__file__).parent
    for functions, files in (
        ([MODELS["avellaneda_stoikov"]], ["builtin", "avellaneda_stoikov", "levels", "relinked"]),
        ([MODELS["glft"]], ["builtin", "avellaneda_stoikov", "glft", "levels"]),
        (estimates, ["estimator_by_address", "estimate", "volatility", "intensity", "intensity_fit"]),
    ):
        before = Relinked(functions).key
        assert Relinked(functions).key == before
        for file in files:
            edited = package / f"{file}.py"
            with monkeypatch.context() as patch:
                patch.setattr(Path, "read_bytes", lambda path, edited=edited: read(path) + b" " * (path == edited))
                assert Relinked(functions).key != before, file
    assert Relinked(estimates).key != Relinked([MODELS["glft"]]).key


def test_no_function_is_compiled_with_fastmath():
    reached = Relinked([*MODELS.values(), *(function for function, _ in FUNCTIONS.values())])
    assert len(reached.functions) > 30
    assert not any(dispatcher.targetoptions.get("fastmath") for dispatcher in [*DISPATCHERS, *reached.dispatchers])


def test_functions_from_a_prompt_are_told_apart_by_their_code():
    made = []
    for shift in ("1.0", "2.0", "1.0"):
        scope = {"__name__": "__main__"}
        source = f"def quote(x, out):\n    out.n_bids = 1\n    out.bid_price[0] = x.fair - {shift}\n"
        exec(compile(source, "<stdin>", "exec"), scope)
        made.append(compile_model(scope["quote"]))
    assert [61_700.0 - answer(model).bid_price[0] for model in made] == [1.0, 2.0, 1.0]
    assert not any(model.from_cache for model in made)


def test_a_lambda_is_a_function():
    assert answer(compile_model(lambda x, out: beyond_nothing(x, out))).n_bids == 3


def beyond_nothing(x, out):
    out.n_bids = 3


FORMULAS = {
    "inner": "def deep(x):\n    return x + 1.0\n",
    "vectorised": (
        "import numba\nfrom inner import deep\n\nd = numba.njit(deep)\n\n@numba.vectorize\ndef f(x):\n    return d(x)\n"
    ),
    "of_class": (
        "import numba\nfrom inner import deep\n\n"
        "d = numba.njit(deep)\n\n@numba.experimental.jitclass([('a', numba.float64)])\nclass f:\n"
        "    def __init__(self, a):\n        self.a = d(a)\n"
    ),
    "as_tuple": "import typing\nimport inner\n\nclass f(typing.NamedTuple):\n    a: float\n",
}


@pytest.mark.parametrize("kind", ["vectorised", "of_class", "as_tuple"])
def test_an_edit_behind_what_is_not_a_function_changes_the_key_too(kind, tmp_path, monkeypatch):
    for name, text in FORMULAS.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(kind)
    scope = {"f": module.f, "__name__": "mine"}
    exec("def quote(x, out):\n    f(x.fair)\n", scope)
    before = Relinked([scope["quote"]]).key
    assert Relinked([scope["quote"]]).key == before
    (tmp_path / "inner.py").write_text("def deep(x):\n    return x + 2.0\n")
    assert Relinked([scope["quote"]]).key != before
    for name in FORMULAS:
        sys.modules.pop(name, None)


USED, UNUSED = 1.0, 2.0


def using(x, out):
    out.bid_price[0] = USED


def test_the_key_depends_on_the_constants_that_are_used_and_on_no_others(monkeypatch):
    before = Relinked([using]).key
    monkeypatch.setitem(globals(), "UNUSED", 3.0)
    assert Relinked([using]).key == before
    monkeypatch.setitem(globals(), "USED", np.nextafter(1.0, 2.0))
    assert Relinked([using]).key != before


# the estimates


def allocated():
    return rtsys.get_allocation_stats().alloc


def test_the_estimates_by_address_are_those_of_the_estimator_to_the_last_bit_and_allocate_nothing():
    _nrt_python.memsys_enable_stats()
    before = allocated()
    numba.njit(lambda: np.zeros(3))()
    assert allocated() > before  # it would show
    code, in_calls = compile_estimator(), 0
    settings = Estimation()
    known, by_code = Estimator(settings, 0.1), Estimator(settings, 0.1)
    rng = np.random.default_rng(7)
    now_ns, mid = 1_000_000_000, 61_700.0
    for i in range(3000):
        now_ns += int(rng.exponential(3e7))
        mid += float(rng.normal(0.0, 1.5))
        own_bid, own_ask = (mid - 10.0, mid + 10.0) if i % 3 else (0.0, 0.0)
        known.on_mid(now_ns, mid, own_bid, own_ask)
        records = by_code.volatility, by_code.sampling, by_code.intensity, by_code.observing
        before = allocated()
        assert code.observe_mid.call(*records, now_ns, mid, own_bid, own_ask) == 0
        in_calls += allocated() - before
        side = 1 if rng.random() < 0.5 else -1
        price, own, old = mid + side * float(rng.exponential(4.0)), bool(i % 11 == 0), bool(i % 17 == 0)
        known.on_print(now_ns, price, 0.1, side, own=own, in_snapshot=old)
        arguments = (now_ns, price, 0.1, side, int(own), int(old))
        before = allocated()
        assert code.observe_print.call(by_code.intensity, by_code.observing, *arguments) == 0
        in_calls += allocated() - before
        if i % 500 == 499:
            known.restart()
            assert code.restart.call(by_code.volatility, by_code.intensity) == 0
        if i % 100 == 0:
            known.update(now_ns, mid)
            before = allocated()
            code.estimate.call(*records, by_code.blending, now_ns, mid, by_code.estimates)
            in_calls += allocated() - before
            assert by_code.estimates.tobytes() == known.estimates.tobytes()
    assert by_code.volatility.tobytes() == known.volatility.tobytes()
    assert by_code.intensity.tobytes() == known.intensity.tobytes()
    assert np.all(known.estimates["weight_hours"] > 0)
    assert in_calls == 0
