"""``mftpy model``: the model by itself, without an exchange.

Numba is imported by the command, not with this module, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any, Final

from mftpy.console import Parser, number, positive, say, whole
from mftpy.errors import ConfigError

if TYPE_CHECKING:
    from mftpy.model.paper import Result, Row

MOST_PATHS: Final = 10_000_000
DEFAULT_CLIPS: Final = 30
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
