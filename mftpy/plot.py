"""Pictures, as PNG files; Matplotlib is an extra and imported when one is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from mftpy.errors import ConfigError, ResourceError
from mftpy.model.solve import inventory_law

if TYPE_CHECKING:
    from mftpy.model.solve import Market, Solution

SIZE_INCHES: Final = (9.0, 6.5)
DOTS_PER_INCH: Final = 110
_BID: Final = "#1f77b4"
_ASK: Final = "#d62728"


def quotes_against_inventory(solution: Solution, market: Market, path: str) -> None:
    """Draw both quotes against the position, and below it how much of the time is spent at each.

    Parameters
    ----------
    solution : Solution
    market : Market
    path : str
        File to write, which ends in ``.png``; overwritten.

    Raises
    ------
    ConfigError
        It is no PNG's name, or cannot be written.
    ResourceError
        Matplotlib is not installed.
    """
    if Path(path).suffix.lower() != ".png":
        raise ConfigError(f"--plot writes PNG: name a file that ends in .png, not {path!r}")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ModuleNotFoundError as error:
        raise ResourceError("pictures need Matplotlib, which is not installed: pip install 'mftpy[plot]'") from error

    s, m = solution, market
    n = np.arange(-m.max_clips, m.max_clips + 1)
    shift = s.skew_per_clip * n
    bid, ask = -s.half_spread - shift, s.half_spread - shift
    figure = Figure(figsize=SIZE_INCHES, dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    quotes, time = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    mark = "o" if m.max_clips <= 50 else None
    # at a limit the side that would grow the position is not quoted
    quotes.plot(n[1:], ask[1:], color=_ASK, marker=mark, markersize=4, label="ask")
    quotes.plot(n, -shift, color="0.5", linestyle="--", linewidth=1, label="middle of the quotes")
    quotes.plot(n[:-1], bid[:-1], color=_BID, marker=mark, markersize=4, label="bid")
    quotes.axhline(0.0, color="black", linewidth=0.8)
    if m.fee:
        quotes.axhspan(
            -abs(m.fee), abs(m.fee), color="0.93", label=f"nearer than the {'fee' if m.fee > 0 else 'rebate'}"
        )
    quotes.set_ylabel("USD from the fair price, before rounding and clamps")
    ticks = quotes.secondary_yaxis("right", functions=(lambda usd: usd / m.tick, lambda count: count * m.tick))
    ticks.set_ylabel(f"ticks of {m.tick:g} USD")
    quotes.legend(loc="upper right")
    quotes.grid(alpha=0.3)
    quotes.set_title(
        f"gamma {s.gamma:.4g} /USD: half spread {s.half_spread:.4g} USD, skew {s.skew_per_clip:.3g} USD per clip of "
        f"{m.clip:g}\n{60 * s.fills_per_s:.3g} fills per minute; inventory {s.std_clips:.3g} clips (std deviation)",
        fontsize=11,
    )
    time.bar(n, 100 * inventory_law(s.skew_per_clip, m.k, m.max_clips), color="0.6", width=0.9)
    time.set_ylabel("% of the time")
    time.set_xlabel("position, clips")
    time.xaxis.set_major_locator(MaxNLocator(integer=True))
    time.grid(alpha=0.3)
    try:
        figure.savefig(path, format="png")
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot write {path!r}: {getattr(error, 'strerror', None) or error}") from error
