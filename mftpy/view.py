"""What a run looks like: a snapshot of the shared structures, and its pictures in text."""

from __future__ import annotations

import time
from itertools import islice
from typing import Any, Final

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from mftpy.execution.position import Waterfall, waterfall
from mftpy.records import Reason, State
from mftpy.settings import Config
from mftpy.snapshot import Snapshot, Watcher
from mftpy.strategy.shown import as_words
from mftpy.supervisor import Supervisor

MOST_LEVELS: Final = 8
MOST_FILLS: Final = 12
FIXED_LINES: Final = 19
"""Lines of the screen beside the best levels: banner, frame, headings, our quotes further out, facts."""

WIDE: Final = 100
"""Columns from which on the equation fits one line."""


def money(value: float) -> str:
    """Format an amount with its sign, to the cent."""
    return f"{value:+,.2f}"


def ago(seconds: float) -> str:
    """Format an age in at most six characters."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} m" if seconds < 6000 else f"{seconds / 3600:.0f} h"


def pnl_words(split: Waterfall) -> str:
    """Write a waterfall so that the printed figures add up to the cent; inventory takes the rounding."""
    edge, fees, funding, net = (round(value, 2) + 0.0 for value in (split.edge, split.fees, split.funding, split.net))
    inventory = round(net - edge + fees - funding, 2) + 0.0
    return (
        f"edge {money(edge)}  inventory {money(inventory)}  fees {money(-fees)}  funding {money(funding)}  "
        f"= net {money(net)}"
    )


def waterfall_of(snapshot: Snapshot, lot_size: float) -> Waterfall:
    """Split the profit so far, the position valued at the newest mark (at fair price until there is one)."""
    account = snapshot.account[0]
    mark = float(snapshot.ticker["mark_price"][0])
    if not mark > 0:
        mark = float(snapshot.target["fair"][0])
    return waterfall(
        traded_cash=float(account["traded_cash"]),
        coins=float(account["position_lots"]) * lot_size,
        start_value=float(account["start_value"]),
        edge=float(account["edge"]),
        fees=float(account["fees"]),
        funding=float(account["funding"]),
        mark=mark,
    )


def decimals_of(step: float) -> int:
    """Digits after the point that a price or size on this step needs."""
    text = f"{step:.10f}".rstrip("0")
    return len(text.partition(".")[2])


class View:
    """Pictures of one run.

    Parameters
    ----------
    supervisor : Supervisor
    config : Config
    flow : str
        One phrase for the banner: where the market comes from.
    simulated : bool
    """

    def __init__(self, supervisor: Supervisor, config: Config, flow: str, *, simulated: bool) -> None:
        self._supervisor = supervisor
        self._config = config
        self._flow = flow
        self._simulated = simulated
        self._watcher: Watcher | None = None
        self.last: Snapshot | None = None

    def read(self) -> Snapshot | None:
        """Read the newest snapshot, keeping the last one when there is none."""
        links = self._supervisor.links
        if links is None:
            return None
        if self._watcher is None:
            self._watcher = Watcher(links)
        self.last = self._watcher.read() or self.last
        return self.last

    def close(self) -> None:
        """Release what reading holds."""
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    @property
    def banner(self) -> str:
        """What this is, in one line."""
        fees = self._config.fees
        kind = "SIMULATED" if self._simulated else "LIVE " + self._config.venue.network.upper()
        return (
            f"{kind}  {self._config.venue.instrument}  {self._flow}  "
            f"fees maker {fees.maker_bps:g} bp taker {fees.taker_bps:g} bp"
        )

    # one line, for logs and pipes

    def line(self) -> str:
        """Return the state in one plain line."""
        elapsed_s = (time.monotonic_ns() - self._supervisor.started_ns) / 1e9
        snapshot = self.read()
        if snapshot is None or not self._supervisor.ready_ns:
            return f"{elapsed_s:7.1f} s  {self._supervisor.phase}"
        assert self._supervisor.links is not None
        instrument = self._supervisor.links.instrument
        target, account = snapshot.target[0], snapshot.account[0]
        split = waterfall_of(snapshot, instrument.lot_size)
        return (
            f"{elapsed_s:7.1f} s  {self._quotes(target, instrument.tick_size)}  "
            f"position {float(account['position_lots']) * instrument.lot_size:+.{decimals_of(instrument.lot_size)}f}  "
            f"fills {int(account['fills'])}  {pnl_words(split)}  {self._latency(snapshot)}  {self._state(snapshot)}"
        )

    # the screen

    def screen(self, width: int, height: int) -> RenderableType:
        """Return the live picture for a terminal of so many columns and lines."""
        snapshot = self.read()
        banner = Text(self.banner, style="bold black on yellow" if self._simulated else "bold white on red")
        if snapshot is None or self._supervisor.links is None:
            return Group(banner, Text(f"\n  {self._supervisor.phase} ..."))
        instrument = self._supervisor.links.instrument
        split = waterfall_of(snapshot, instrument.lot_size)
        facts = Table.grid(padding=(0, 1))
        facts.add_column(style="dim", no_wrap=True)
        facts.add_column()
        terms, quotes = self.equation(snapshot)
        if width >= WIDE or not quotes:
            facts.add_row("quote", f"{terms} {quotes}".rstrip())
        else:
            facts.add_row("quote", terms)
            facts.add_row("", quotes)
        facts.add_row("on ticks", self._quotes(snapshot.target[0], instrument.tick_size))
        facts.add_row("estimates", as_words(snapshot.estimates[0]))
        facts.add_row("position", self._position(snapshot))
        facts.add_row("P&L", pnl_words(split))
        facts.add_row("latency", self._latency(snapshot))
        facts.add_row("messages", self._messages(snapshot))
        facts.add_row("state", self._state(snapshot))
        levels = max(1, min(MOST_LEVELS, (height - FIXED_LINES - (width < WIDE)) // 2))
        body = Table.grid(padding=(0, 1))
        body.add_row(
            Panel(self._ladder(snapshot, levels), title="book", box=box.ROUNDED),
            Panel(self._fill_table(2 * levels + 5), title="last fills", box=box.ROUNDED),
        )
        end = Text("Ctrl-C stops quoting, cancels every order and prints the report", style="dim")
        return Group(banner, body, facts, end)

    def equation(self, snapshot: Snapshot) -> tuple[str, str]:
        """Return the line that adds up, in two parts: ``fair - skew +- (model + fee)`` and ``-> bid / ask``.

        The terms are rounded first and the prices computed from what is printed, so that a reader can check it. Terms
        that a model of the user's own leaves at 0, or that do not make its prices, are not shown: its prices are.
        """
        assert self._supervisor.links is not None
        tick = self._supervisor.links.instrument.tick_size
        target = snapshot.target[0]
        if not float(target["fair"]) > 0:
            return f"no quote: {reason_words(int(target['reasons']))}", ""
        digits = decimals_of(tick) + 2
        fair, skew, model, fee = (round(float(target[name]), digits) for name in ("fair", "skew", "model_half", "fee"))
        bid, ask = fair - skew - (model + fee), fair - skew + (model + fee)
        wanted = [(float(target["bid_unrounded"]), bid, "no bid"), (float(target["ask_unrounded"]), ask, "no ask")]
        off = 2.5 * 10.0**-digits  # four roundings
        if skew == model == fee == 0 or any(price > 0 and abs(price - summed) > off for price, summed, _ in wanted):
            prices = (f"{price:,.{digits}f}" if price > 0 else none for price, _, none in wanted)
            return f"fair {fair:,.{digits}f}, the model wants", f"→ {' / '.join(prices)}"
        sign = "-" if skew >= 0 else "+"
        return (
            f"fair {fair:,.{digits}f} {sign} skew {abs(skew):,.{digits}f} "
            f"± (model {model:,.{digits}f} + fee {fee:,.{digits}f})",
            f"→ {bid:,.{digits}f} / {ask:,.{digits}f}",
        )

    def _quotes(self, target: Any, tick: float) -> str:
        digits = decimals_of(tick)
        bid = f"{int(target['bid_ticks'][0]) * tick:,.{digits}f}" if target["n_bids"] else "no bid"
        ask = f"{int(target['ask_ticks'][0]) * tick:,.{digits}f}" if target["n_asks"] else "no ask"
        return f"{bid} / {ask}"

    def _ladder(self, snapshot: Snapshot, levels: int) -> Table:
        assert self._supervisor.links is not None
        instrument = self._supervisor.links.instrument
        price_digits, size_digits = decimals_of(instrument.tick_size), decimals_of(instrument.lot_size)
        own = own_lots(snapshot.account[0])
        table = _table("", "price", "size", "ours")

        def row(name: str, style: str, ticks: int, lots: int | None, side: int) -> None:
            mine = own.get((side, ticks))
            table.add_row(
                name,
                f"{ticks * instrument.tick_size:,.{price_digits}f}",
                "" if lots is None else f"{lots * instrument.lot_size:,.{size_digits}f}",
                f"◀ {mine * instrument.lot_size:.{size_digits}f}" if mine else "",
                style=f"bold {style}" if mine else style,
            )

        for name, style, side, book in (("ask", "red", -1, snapshot.asks), ("bid", "green", 1, snapshot.bids)):
            ours = [ticks for owner, ticks in own if owner == side]
            for most in range(levels, 0, -1):  # with several quotes outside the best levels, fewer of those
                rows = ladder_rows(book, ours, most, best_high=side == 1)
                if len(rows) <= levels + 2:
                    break
            rows = rows[: levels + 2]
            for ticks, lots in rows if side == 1 else reversed(rows):
                if ticks is None:
                    table.add_row("", "⋮", "", "", style="dim")
                else:
                    row(name, style, ticks, lots, side)
            if side == -1:
                table.add_row("", "─" * 8, "", "", style="dim")
        return table

    def _fill_table(self, most: int) -> Table:
        table = _table("ago", "side", "size", "price", "edge", "held")
        if self._watcher is None or self._supervisor.links is None:
            return table
        instrument = self._supervisor.links.instrument
        size_digits = decimals_of(instrument.lot_size)
        now_ns = time.monotonic_ns()
        for fill in islice(reversed(self._watcher.fills), min(most, MOST_FILLS)):
            side, price = int(fill["side"]), int(fill["price_ticks"]) * instrument.tick_size
            size = int(fill["size_lots"]) * instrument.lot_size
            edge = side * (float(fill["fair"]) - price) * size
            table.add_row(
                ago((now_ns - int(fill["receive_ns"])) / 1e9),
                "buy" if side > 0 else "sell",
                f"{size:.{size_digits}f}",
                f"{price:,.{decimals_of(instrument.tick_size)}f}",
                money(edge),
                f"{int(fill['position_lots']) * instrument.lot_size:+.{size_digits}f}",
                style="green" if side > 0 else "red",
            )
        return table

    def _position(self, snapshot: Snapshot) -> str:
        assert self._supervisor.links is not None
        lot = self._supervisor.links.instrument.lot_size
        digits = decimals_of(lot)
        coins = int(snapshot.account["position_lots"][0]) * lot
        limit = self._config.quoting.clip_coins * self._config.quoting.max_position_clips
        cells = 20
        at = round((max(-limit, min(limit, coins)) / limit + 1) / 2 * cells) if limit else cells // 2
        bar = "".join("●" if cell == at else ("│" if cell == cells // 2 else "·") for cell in range(cells + 1))
        average = float(snapshot.account["average_price"][0])
        at_price = f" at {average:,.2f}" if coins else ""
        return f"{coins:+.{digits}f}{at_price} of ±{limit:.{digits}f}  {bar}"

    @staticmethod
    def _latency(snapshot: Snapshot) -> str:
        latency = snapshot.latency
        if not latency["count"]:
            return "recv-to-send: nothing sent yet"
        return f"recv-to-send p50 {latency['p50'] / 1e3:,.0f} us  p99 {latency['p99'] / 1e3:,.0f} us"

    @staticmethod
    def _messages(snapshot: Snapshot) -> str:
        status = snapshot.statuses["execution"][0]
        return (
            f"{float(status['messages_per_s']):.0f} of {float(status['message_limit_per_s']):.0f} per s, "
            f"throttled {int(status['throttled'])}"
        )

    def _state(self, snapshot: Snapshot) -> str:
        reasons = int(snapshot.target["reasons"][0])
        if self._supervisor.phase != "quoting":
            return self._supervisor.phase
        slow = [name for name, status in snapshot.statuses.items() if status["state"][0] != State.READY]
        if slow:
            return "waiting for " + ", ".join(name.replace("_", " ") for name in slow)
        return f"quoting ({reason_words(reasons)})" if reasons else "quoting"


def own_lots(account: Any) -> dict[tuple[int, int], int]:
    """Return our lots by (side, price in ticks) from an `records.ACCOUNT` record."""
    own: dict[tuple[int, int], int] = {}
    for index in range(int(account["n_own"])):
        key = (int(account["own_side"][index]), int(account["own_ticks"][index]))
        own[key] = own.get(key, 0) + int(account["own_lots"][index])
    return own


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def ladder_rows(book: Any, own: list[int], most: int, *, best_high: bool) -> list[tuple[int | None, int | None]]:
    """Choose one side's rows, best first: the best levels, then our quotes beyond them after a gap (None, None)."""
    best = [(int(level["price_ticks"]), int(level["size_lots"])) for level in book[:most]]
    sizes = {int(level["price_ticks"]): int(level["size_lots"]) for level in book}
    shown = {ticks for ticks, _ in best}
    beyond = sorted({ticks for ticks in own if ticks not in shown}, reverse=best_high)
    rows: list[tuple[int | None, int | None]] = [*best]
    if beyond:
        rows += [(None, None), *((ticks, sizes.get(ticks)) for ticks in beyond)]
    return rows


def reason_words(reasons: int) -> str:
    """Spell out the bits of a target's `reasons`."""
    words = [reason.name.lower().replace("_", " ") for reason in Reason if reason & reasons and reason.name]
    return ", ".join(words) or "nothing was decided yet"
