"""``mftpy model``: the model by itself, without an exchange.

Numba is imported by the command, not with this module, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from mftpy.console import Parser, number, positive, say, whole
from mftpy.errors import ConfigError

if TYPE_CHECKING:
    from mftpy.model.paper import Result, Row
    from mftpy.model.solve import Market, Solution
    from mftpy.settings import Config

MOST_PATHS: Final = 10_000_000
DEFAULT_CLIPS: Final = 30
DEFAULT_INTERVAL_MS: Final = 100.0
VENUE_MESSAGES_PER_S: Final = 50.0
"""Thalex, order messages of a session whose orders end with it; ten otherwise. Cancels have their own budget."""

HOUR_S: Final = 3600.0
_NAMES: Final = ("spread", "profit", "std profit", "final q", "std q")
_WIDTH: Final = 16


def add(commands: Any) -> None:
    """Add the command ``model`` to the subparsers of the command line."""
    model = commands.add_parser("model", help="check the model, or ask it for quotes", allow_abbrev=False)
    actions = model.add_subparsers(dest="model_command", metavar="ACTION", required=True, parser_class=Parser)

    check = actions.add_parser(
        "check",
        help="repeat the experiment of Avellaneda and Stoikov (2008) beside the printed figures",
        allow_abbrev=False,
    )
    check.add_argument(
        "--gamma", type=positive, required=True, metavar="G", help="risk aversion; printed: 0.1 and 0.01"
    )
    check.add_argument("--paths", type=whole, default=20_000, metavar="N", help="simulated paths (default 20000)")
    check.add_argument("--seed", type=whole, default=1, metavar="S", help="seed of the random numbers (default 1)")
    check.add_argument("--json", action="store_true", help="print JSON")
    check.set_defaults(action=_check)

    quotes = actions.add_parser(
        "quotes",
        help="the unrounded quotes of every model in one state",
        allow_abbrev=False,
        description="Prices, sigma and fee in quote currency; position and clip in coins.",
    )
    quotes.add_argument("--mid", type=positive, required=True, metavar="PRICE", help="fair price")
    quotes.add_argument("--position", type=number, required=True, metavar="COINS", help="signed: long is positive")
    quotes.add_argument(
        "--sigma", type=positive, required=True, metavar="S", help="price units per square-root second, not of returns"
    )
    quotes.add_argument("--gamma", type=positive, required=True, metavar="G", help="risk aversion per unit of money")
    quotes.add_argument("--k", type=positive, required=True, metavar="K", help="decay of fills per unit of price")
    quotes.add_argument("--A", type=positive, required=True, metavar="A", help="fills per second and side at the mid")
    quotes.add_argument("--clip", type=positive, required=True, metavar="COINS", help="size of one fill")
    quotes.add_argument("--horizon-s", type=number, required=True, metavar="S", help="seconds left; not for glft")
    quotes.add_argument(
        "--max-clips",
        type=whole,
        default=DEFAULT_CLIPS,
        metavar="N",
        help=f"bound of the position for glft_exact (default {DEFAULT_CLIPS})",
    )
    quotes.add_argument("--fee", type=number, default=0.0, metavar="F", help="cost of a fill per coin (default 0)")
    quotes.add_argument(
        "--drift", type=number, default=0.0, metavar="D", help="expected price movement per second (default 0)"
    )
    quotes.add_argument("--json", action="store_true", help="print JSON")
    quotes.set_defaults(action=_quotes)
    _add_solve(actions)


def _add_solve(actions: Any) -> None:
    solve = actions.add_parser(
        "solve",
        help="gamma from a wish in words, and what it means: spread, skew, inventory, fills, messages",
        allow_abbrev=False,
        description="Solve gamma from what is wanted. What no flag gives is taken from the configuration.",
    )
    wish = solve.add_mutually_exclusive_group(required=True)
    wish.add_argument(
        "--inventory-std", type=number, metavar="CLIPS", help="let the position have this standard deviation"
    )
    wish.add_argument(
        "--shift-at-limit", type=number, metavar="TICKS", help="shift both quotes by so much at the limit"
    )
    wish.add_argument("--gamma", type=positive, metavar="G", help="risk aversion per unit of money: say what it means")
    solve.add_argument("--config", metavar="FILE", help="TOML file; see mftpy config init")
    solve.add_argument("--sigma", type=positive, metavar="S", help="price units per square-root second")
    solve.add_argument("--k", type=positive, metavar="K", help="decay of fills per unit of price")
    solve.add_argument("--A", type=positive, metavar="A", help="fills per second and side at the fair price")
    solve.add_argument("--clip", type=positive, metavar="COINS", help="size of one fill")
    solve.add_argument("--fee-bps", type=number, metavar="BP", help="maker fee; negative for a rebate")
    solve.add_argument("--max-clips", type=whole, metavar="N", help="limit of the position")
    solve.add_argument("--requote-threshold-ticks", type=whole, metavar="N", help="an order off by this much is moved")
    solve.add_argument("--mid", type=positive, metavar="PRICE", help="fair price (default: the embedded exchange's)")
    solve.add_argument("--tick", type=positive, metavar="SIZE", help="price step (default: what is listed)")
    solve.add_argument(
        "--interval-ms",
        type=number,
        default=DEFAULT_INTERVAL_MS,
        metavar="MS",
        help=f"time between moves of the fair price; 0: it never rests (default {DEFAULT_INTERVAL_MS:g}, as A and k)",
    )
    solve.add_argument("--plot", metavar="FILE.png", help="draw the quotes against the inventory; needs mftpy[plot]")
    solve.add_argument("--json", action="store_true", help="print JSON")
    solve.set_defaults(action=_solve)


def _check(options: argparse.Namespace) -> int:
    if not 2 <= options.paths <= MOST_PATHS:
        raise ConfigError(f"--paths {options.paths}: give between 2 and {MOST_PATHS}")
    from mftpy.model import paper
    from mftpy.model.avellaneda_stoikov import Refusal

    found = paper.experiment(options.gamma, options.paths, options.seed)
    if isinstance(found, Refusal):
        raise ConfigError(f"--gamma {options.gamma:g} gives no quote: {found.sentence}")
    if options.json:
        rows = {name: result.row._asdict() for name, result in found._asdict().items()}
        say(json.dumps({"gamma": options.gamma, "paths": options.paths, **rows}, indent=2))
        return 0
    lines = [
        f"Avellaneda and Stoikov (2008), section 3.3; gamma {options.gamma:g}, {options.paths} paths, "
        f"seed {options.seed}",
        f"{'':<22}" + "".join(f"{name:>{_WIDTH}}" for name in _NAMES),
    ]
    for name, result in found._asdict().items():
        lines += _lines(name, result, options.gamma)
    lines += [
        "",
        "here: +- one standard error; reference: an independent simulation, +- half its 95 % confidence interval.",
        "The paper's figures are of 1000 paths. Its deviation of the symmetric profit is too low: judge by the exact.",
    ]
    say("\n".join(lines))
    return 0


def _lines(strategy: str, result: Result, gamma: float) -> list[str]:
    from mftpy.model import paper

    lines = [_line(strategy, "here", result.row, result.error, (3, 3, 3, 3, 3))]
    if strategy == "symmetric":
        lines.append(_line("", "exact", paper.symmetric_moments(gamma), None, (3, 3, 3, 3, 3)))
    if gamma in paper.PRINTED:
        lines.append(_line("", "paper", paper.PRINTED[gamma][strategy], None, (2, 1, 1, 2, 1)))
        lines.append(_line("", "reference", *paper.REFERENCE[gamma][strategy], (3, 2, 2, 2, 2)))
    return lines


def _line(strategy: str, source: str, row: Row, error: Row | None, digits: tuple[int, ...]) -> str:
    cells = [f"{value:.{n}f}" for value, n in zip(row, digits, strict=True)]
    if error is not None:
        cells = [f"{cell} +-{e:.{n}f}" if e else cell for cell, e, n in zip(cells, error, digits, strict=True)]
    return f"{strategy:<12}{source:<10}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells)


def _quotes(options: argparse.Namespace) -> int:
    from mftpy.model import avellaneda_stoikov, glft, glft_exact
    from mftpy.model.avellaneda_stoikov import Refusal

    o = options
    if o.horizon_s < 0:
        raise ConfigError(f"--horizon-s {o.horizon_s:g} is negative; give the seconds that are left")
    if not 1 <= o.max_clips <= glft_exact.MAX_CLIPS:
        raise ConfigError(f"--max-clips {o.max_clips}: give between 1 and {glft_exact.MAX_CLIPS}")
    clips = o.position / o.clip
    if abs(clips) > o.max_clips + 1e-9:
        raise ConfigError(
            f"the position is {abs(clips):g} clips, beyond the bound of {o.max_clips} for glft_exact; raise --max-clips"
        )
    state = (o.mid, o.position, o.gamma, o.clip, o.sigma)
    finite = avellaneda_stoikov.quote(*state, o.k, o.fee, o.horizon_s, o.drift)
    closed = glft.quote(*state, o.A, o.k, o.fee, o.gamma, o.drift)
    exact = glft_exact.quote(*state, o.A, o.k, o.fee, o.horizon_s, o.max_clips, o.drift)
    answers: dict[str, dict[str, float | str | None]] = {}
    for name, answer in (("avellaneda_stoikov", finite), ("glft", closed), ("glft_exact", exact)):
        if answer.refusal:
            answers[name] = {"bid": None, "ask": None, "reason": Refusal(answer.refusal).sentence}
        else:
            answers[name] = {"bid": answer.bid, "ask": answer.ask}
    if o.json:
        say(json.dumps(answers, indent=2))
        return 0
    lines = [f"{'':<20}{'bid':>24}{'ask':>24}"]
    for name, sides in answers.items():
        if "reason" in sides:
            lines.append(f"{name:<20}  no quote: {sides['reason']}")
        else:
            lines.append(f"{name:<20}{_price(sides['bid']):>24}{_price(sides['ask']):>24}")
    say("\n".join(lines))
    return 0


def _price(price: float | str | None) -> str:
    return "at the bound" if price is None else repr(price)


def _solve(options: argparse.Namespace) -> int:
    from mftpy import config
    from mftpy.model import solve

    o = options
    settings = config.load(
        o.config,
        {
            "model.gamma_per_usd": o.gamma,
            "model.sigma_usd_sqrt_s": o.sigma,
            "model.A_per_s": o.A,
            "model.k_per_usd": o.k,
            "quoting.clip_coins": o.clip,
            "quoting.max_position_clips": o.max_clips,
            "quoting.requote_threshold_ticks": o.requote_threshold_ticks,
            "fees.maker_bps": o.fee_bps,
            "exchange.initial_price": o.mid,
            "exchange.tick_size": o.tick,
        },
        live=True,  # nothing is traded
    )
    market = _market(settings, o)
    if o.inventory_std is not None:
        gamma = solve.gamma_for_std(o.inventory_std, market)
        wish = {"inventory_std_clips": o.inventory_std}
    elif o.shift_at_limit is not None:
        gamma = solve.gamma_for_shift(o.shift_at_limit, market)
        wish = {"shift_at_limit_ticks": o.shift_at_limit}
    else:
        gamma, wish = o.gamma, {"gamma_per_usd": o.gamma}
    solution = solve.solve(gamma, market)
    own = settings.limits.message_rate_per_s
    warnings = solve.warnings(solution, market, own, VENUE_MESSAGES_PER_S)
    if o.plot is not None:
        from mftpy import plot

        plot.quotes_against_inventory(solution, market, o.plot)
    if o.json:
        say(json.dumps(_solution(wish, solution, market, own, warnings), indent=2, allow_nan=False))
    else:
        say("\n".join(_solution_lines(solution, market, own, warnings)))
    return 0


def _market(settings: Config, options: argparse.Namespace) -> Market:
    from mftpy.model.solve import Market
    from mftpy.sim.money import UNIT
    from mftpy.sim.world import BTC

    model, quoting, exchange = settings.model, settings.quoting, settings.exchange
    if not isinstance(model.horizon, str):
        raise ConfigError(
            f"model.horizon is {model.horizon:g} s, but gamma is solved for the one that follows from it; set it to "
            '"stationary"'
        )
    sigma, A, k = (
        _number(f"model.{name}", getattr(model, name)) for name in ("sigma_usd_sqrt_s", "A_per_s", "k_per_usd")
    )
    listed = settings.venue.instrument == f"{BTC.name}-PERPETUAL" and exchange.flow != "recording"
    tick = BTC.tick_units / UNIT if isinstance(exchange.tick_size, str) else exchange.tick_size
    if isinstance(exchange.tick_size, str) and not listed:
        raise ConfigError(f"the price step of this {settings.venue.instrument} is not known here; give --tick SIZE")
    if options.mid is None and not listed:
        raise ConfigError(f"the price of this {settings.venue.instrument} is not known here; give --mid PRICE")
    if options.interval_ms < 0:
        raise ConfigError(f"--interval-ms {options.interval_ms:g} is negative; give milliseconds, or 0")
    return Market(
        fair=exchange.initial_price,
        sigma=sigma,
        A=A,
        k=k,
        fee=settings.fees.maker_bps * 1e-4 * exchange.initial_price,
        clip=quoting.clip_coins,
        max_clips=quoting.max_position_clips,
        tick=tick,
        threshold_ticks=quoting.requote_threshold_ticks,
        min_distance_ticks=quoting.min_distance_ticks,
        interval_s=options.interval_ms * 1e-3,
    )


def _number(name: str, value: float | str) -> float:
    if isinstance(value, str):
        raise ConfigError(f'{name} is "{value}", which is known in a run only; give a number to solve with')
    return value


def _distance(usd: float, market: Market) -> dict[str, float]:
    return {"usd": usd, "ticks": usd / market.tick, "bp": usd / market.fair * 1e4}


def _solution(
    wish: dict[str, float], solution: Solution, market: Market, own_per_s: float, warnings: list[str]
) -> dict[str, Any]:
    s = solution
    at_most = s.requotes_at_most_per_s + s.fill_messages_per_s
    return {
        "wish": wish,
        "market": asdict(market),
        "gamma_per_usd": s.gamma,
        "half_spread": _distance(s.half_spread, market),
        "skew_per_clip": _distance(s.skew_per_clip, market),
        "shift_at_limit": _distance(s.shift_at_limit, market),
        "horizon_s": s.horizon_s,
        "inventory_std": {
            "clips": s.std_clips,
            "coins": s.std_clips * market.clip,
            "clips_without_limit": s.std_unlimited_clips,
        },
        "share_at_limit": s.share_at_limit,
        "fills_per_min": {"expected": 60 * s.fills_per_s, "error_of_one_hour": 60 * s.fills_error_per_s(HOUR_S)},
        "messages_per_s": {
            "planned": s.messages_per_s,
            "for_price_moves": s.requotes_per_s,
            "for_fills": s.fill_messages_per_s,
            "at_most": at_most if math.isfinite(at_most) else None,
            "venue_allows": VENUE_MESSAGES_PER_S,
            "own_limit": own_per_s,
        },
        "warnings": warnings,
    }


def _solution_lines(solution: Solution, market: Market, own_per_s: float, warnings: list[str]) -> list[str]:
    s, m = solution, market

    def distance(usd: float) -> str:
        return f"{usd:.4g} USD, {usd / m.tick:.4g} ticks, {usd / m.fair * 1e4:.3g} bp"

    at_most = s.requotes_at_most_per_s + s.fill_messages_per_s
    rows = [
        ("gamma", f"{s.gamma:.6g} /USD"),
        ("half spread", f"{distance(s.half_spread)}; {m.fee:.4g} USD of it the fee"),
        ("skew per clip", distance(s.skew_per_clip)),
        ("shift at the limit", f"{distance(s.shift_at_limit)}, at {m.max_clips} clips"),
        ("horizon tau*", f"{s.horizon_s:.4g} s"),
        ("inventory", f"standard deviation {s.std_clips:.4g} clips, {s.std_clips * m.clip:.4g} coins"),
        ("at the limit", f"{s.share_at_limit:.2%} of the time"),
        (
            "fills",
            f"{60 * s.fills_per_s:.4g} +-{60 * s.fills_error_per_s(HOUR_S):.2g} per minute, both sides; the error is "
            "that of an hour",
        ),
        (
            "messages",
            f"{s.messages_per_s:.3g} per second planned (price moves {s.requotes_per_s:.3g}, fills "
            f"{s.fill_messages_per_s:.2g}); the exchange allows {VENUE_MESSAGES_PER_S:g}, our own limit {own_per_s:g}",
        ),
        ("", f"{at_most:.3g} if the fair price moved at every moment, not every {m.interval_s * 1e3:g} ms"),
    ]
    lines = [
        f"fair price {m.fair:g}, tick {m.tick:g}, sigma {m.sigma:g}, A {m.A:g}, k {m.k:g}, fee {m.fee:.4g}, "
        f"clip {m.clip:g}, limit {m.max_clips} clips, requote threshold {m.threshold_ticks} ticks"
    ]
    lines += [f"  {name:<20}{text}" for name, text in rows]
    lines += [f"warning: {sentence}" for sentence in warnings]
    return [*lines, "In the model's world, where fills know nothing of what the price does next."]
