"""The settings of model, estimates and quotes, and what every setting is declared with; part of `mftpy.settings`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final, Literal

PARAMETERS_MOST: Final = 8  # numbers of the user's own for a model: as many as its input has room for
LARGEST: Final = 1e9  # of any rate, price or size: keeps the products of settings far from overflow


@dataclass(frozen=True)
class Key:
    """What the command line tells of a setting, and what a value must satisfy.

    Attributes
    ----------
    doc : str
    unit : str
        Empty for words and counts of nothing in particular.
    above, least, most : float or None
        Bounds of a number; `above` is exclusive.
    pattern : str
        Regular expression that a word must match as a whole; empty for any text without control characters.
    form : str
        The same in words, for messages; empty to show the pattern.
    """

    doc: str
    unit: str = ""
    above: float | None = None
    least: float | None = None
    most: float | None = LARGEST
    pattern: str = ""
    form: str = ""


@dataclass(frozen=True)
class Model:
    """The quoting model and its parameters."""

    name: Annotated[
        str,
        Key(
            'Quoting model: "avellaneda_stoikov", "glft" (the closed form of 2013, the same quotes as the former with '
            'the stationary horizon), or your own as "package.module:function"; see docs/own-model.md.',
            pattern=r"avellaneda_stoikov|glft|[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*",
            form='avellaneda_stoikov, glft or "package.module:function"',
        ),
    ] = "avellaneda_stoikov"
    parameters: Annotated[
        tuple[float, ...], Key("Up to 8 numbers for a model of your own: x.parameter.", least=-LARGEST)
    ] = ()
    failures_to_reducing: Annotated[
        int,
        Key(
            "After so many decisions in a row in which the model failed, raised an exception or gave a number that is "
            "none, only what reduces the position is quoted until the next start.",
            "decisions",
            least=1,
            most=1_000_000,
        ),
    ] = 10
    gamma_per_usd: Annotated[
        float, Key("Risk aversion on money; larger shifts the quotes further per coin held.", "1/USD", above=0)
    ] = 0.04
    A_per_s: Annotated[
        float | Literal["estimated"],
        Key(
            'Fills per second and side of a quote at the fair price, as one clip; or "estimated", of each side.',
            "1/s",
            above=0,
        ),
    ] = 0.55
    k_per_usd: Annotated[
        float | Literal["estimated"],
        Key(
            'Decay of the fill rate with the distance d from the fair price, A exp(-k d); or "estimated".',
            "1/USD",
            above=0,
        ),
    ] = 0.25
    sigma_usd_sqrt_s: Annotated[
        float | Literal["estimated"],
        Key(
            'Arithmetic volatility of the fair price, not of log returns, not annualised; or "estimated".',
            "USD/sqrt(s)",
            above=0,
        ),
    ] = 8.0
    horizon: Annotated[
        float | Literal["stationary"],
        Key(
            'Horizon of the model in seconds, or "stationary": the constant one that is solved from the other '
            "parameters and the fee in force.",
            "s",
            above=0,
        ),
    ] = "stationary"
    drift_usd_per_s: Annotated[
        float, Key("Expected movement of the fair price; shifts both quotes.", "USD/s", least=-LARGEST)
    ] = 0.0


@dataclass(frozen=True)
class Estimation:
    """Sigma, A and k from what is seen, in basis points of the price; used where [model] says so, shown always."""

    sigma_step_s: Annotated[
        float,
        Key("Time between two samples of the mid; shorter ones understate sigma.", "s", least=0.1, most=60),
    ] = 1.0
    sigma_half_life_s: Annotated[
        float, Key("After this long a sample counts half in sigma.", "s", least=10, most=1e6)
    ] = 300.0
    sigma_prior_bp: Annotated[
        float, Key("What sigma is taken to be before there is data.", "basis points/sqrt(s)", above=0, most=1000)
    ] = 1.3
    sigma_prior_hours: Annotated[
        float, Key("So many hours of data the prior of sigma counts for.", "hours", least=0, most=10_000)
    ] = 0.02
    sigma_least_bp: Annotated[float, Key("Least sigma that is used.", "basis points/sqrt(s)", above=0, most=1000)] = 0.1
    sigma_most_bp: Annotated[float, Key("Largest sigma that is used.", "basis points/sqrt(s)", above=0, most=1000)] = (
        20.0
    )
    least_samples: Annotated[
        int, Key("With fewer samples, weighted by age, the estimate of sigma is warming up.", "samples", least=2)
    ] = 30
    requote_s: Annotated[
        float,
        Key(
            "Interval of which A and k are estimated: how long a quote rests between two looks at it. "
            "A is smaller for longer ones.",
            "s",
            least=0.001,
            most=60,
        ),
    ] = 0.1
    intensity_half_life_hours: Annotated[
        float, Key("After this long an interval counts half in A and k.", "hours", least=0.01, most=10_000)
    ] = 1.0
    A_prior_per_s: Annotated[
        float, Key("What A of either side is taken to be before there is data.", "1/s", above=0, most=10_000)
    ] = 0.55
    k_prior_per_bp: Annotated[
        float, Key("What k of either side is taken to be before there is data.", "1/basis point", above=0, most=10_000)
    ] = 1.5
    intensity_prior_hours: Annotated[
        float, Key("So many hours of data the prior of A and k counts for.", "hours", least=0, most=10_000)
    ] = 0.1
    A_least_per_s: Annotated[float, Key("Least A that is used.", "1/s", above=0, most=10_000)] = 0.001
    A_most_per_s: Annotated[float, Key("Largest A that is used.", "1/s", above=0, most=10_000)] = 100.0
    k_least_per_bp: Annotated[float, Key("Least k that is used.", "1/basis point", above=0, most=10_000)] = 0.02
    k_most_per_bp: Annotated[float, Key("Largest k that is used.", "1/basis point", above=0, most=10_000)] = 50.0
    least_reached: Annotated[
        int,
        Key(
            "With fewer intervals whose trades reached the range, weighted by age, A and k are warming up.",
            "intervals",
            least=2,
        ),
    ] = 30
    range_from_bp: Annotated[
        float,
        Key("A and k are fitted to trades from this distance to the mid on.", "basis points", least=0, most=1000),
    ] = 0.15
    range_to_bp: Annotated[
        float, Key("Trades that reach this distance or more are left out.", "basis points", above=0, most=1000)
    ] = 3.0
    touch_ticks: Annotated[
        float, Key("Trades nearer to the mid than this are left out in any case.", "ticks", least=0, most=1000)
    ] = 2.0
    most_relative_error: Annotated[
        float,
        Key("With a larger standard error, as a part of the estimate, the data is not believed.", above=0, most=10),
    ] = 0.35
    gap_s: Annotated[
        float, Key("A longer silence than this counts neither as time nor as a move.", "s", least=0.1, most=3600)
    ] = 5.0
    stale_s: Annotated[
        float, Key("An estimate without new data for this long is stale.", "s", least=1, most=86_400)
    ] = 60.0


MOST_K_TIMES_RANGE: Final = 190.0
"""With more, not one trade in all the world would end inside the range."""


def contradiction(settings: Estimation) -> str:
    """Return one sentence about settings that contradict each other, with their names in [estimation]; empty for none.

    Bounds that hold nothing, priors outside of them, and a k that no trade could tell.
    """
    for lower, higher in (
        ("sigma_least_bp", "sigma_prior_bp"),
        ("sigma_prior_bp", "sigma_most_bp"),
        ("A_least_per_s", "A_prior_per_s"),
        ("A_prior_per_s", "A_most_per_s"),
        ("k_least_per_bp", "k_prior_per_bp"),
        ("k_prior_per_bp", "k_most_per_bp"),
        ("range_from_bp", "range_to_bp"),
    ):
        low, high = getattr(settings, lower), getattr(settings, higher)
        if low > high or (lower == "range_from_bp" and low == high):
            return f"{lower} ({low:g}) must be less than {higher} ({high:g})"
    if settings.k_most_per_bp * settings.range_to_bp > MOST_K_TIMES_RANGE:
        return (
            f"k_most_per_bp ({settings.k_most_per_bp:g}) times range_to_bp ({settings.range_to_bp:g}) must be at most "
            f"{MOST_K_TIMES_RANGE:g}"
        )
    return ""


@dataclass(frozen=True)
class Quoting:
    """From the model's prices to what should rest."""

    clip_coins: Annotated[float, Key("Size of one quote.", "coins", above=0)] = 0.01
    max_position_clips: Annotated[
        int, Key("Largest position, long or short. At it only the side that would grow it stops.", "clips", least=1)
    ] = 10
    requote_threshold_ticks: Annotated[
        int,
        Key("A resting order is moved when its price differs from the wanted one by at least this.", "ticks", least=1),
    ] = 2
    min_distance_ticks: Annotated[
        int, Key("Least distance of either quote from the fair price, whatever the position.", "ticks", least=0)
    ] = 0
    max_distance_ticks: Annotated[
        int | Literal["none"],
        Key("Largest distance of a side's first quote from the fair price, whatever the position.", "ticks", least=1),
    ] = "none"
    levels: Annotated[int, Key("Quotes a side.", "quotes", least=1, most=8)] = 1
    level_step_ticks: Annotated[int, Key("Least distance between two quotes of a side.", "ticks", least=1)] = 1
    size_shrink: Annotated[
        float,
        Key(
            "How much smaller a quote of the side that would grow the position is per clip held; 0.1: 10 %.",
            most=100,
            least=0,
        ),
    ] = 0.0
    fair_price: Annotated[
        Literal["mid", "micro", "index"],
        Key(
            "What the fair price is taken from, our own orders not counted: the middle of the best prices, the middle "
            "weighted by the sizes there, or the index plus how far the middle has lain from it."
        ),
    ] = "mid"
    fair_price_fallback: Annotated[
        Literal["index", "none"],
        Key(
            "With a side that is thin or missing, or a spread that is too wide: the index plus how far the middle lay "
            "from it, or no quote."
        ),
    ] = "index"
    basis_half_life_s: Annotated[
        float, Key("After this long a distance of the middle from the index counts half.", "s", least=1, most=1e6)
    ] = 60.0
    min_interval_ms: Annotated[
        float,
        Key(
            "Least time between two changes of the quotes; what only takes away or shrinks is never held back.",
            "ms",
            least=0,
            most=60_000,
        ),
    ] = 0.0
    max_lifetime_s: Annotated[
        float | Literal["none"],
        Key(
            "Quotes that have stood this long are moved to what the model says now, though it is less than the "
            "threshold.",
            "s",
            least=0.1,
            most=86_400,
        ),
    ] = "none"
    possibly_filled_ms: Annotated[
        float,
        Key(
            "After a trade at or through our price that side's quotes are left as they are until the order feed tells "
            "of it, for this long at most.",
            "ms",
            least=0,
            most=250,
        ),
    ] = 250.0
    thin_side_coins: Annotated[
        float,
        Key(
            "With less than this on either side of the book, our own orders not counted, it is not believed, and "
            "fair_price_fallback says what then.",
            "coins",
            above=0,
        ),
    ] = 0.01
    thin_spread_bps: Annotated[
        float,
        Key(
            "With a wider spread than this, our own orders not counted, the book is not believed, and "
            "fair_price_fallback says what then.",
            "basis points",
            above=0,
            most=5000,
        ),
    ] = 100.0
