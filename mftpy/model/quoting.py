"""From the book, our own orders and the model to what should rest: integers, limits, reasons.

One compiled call per decision, `Quoter.decide`; nothing is allocated in it. Inside, prices are in ticks and sizes in
lots; a level of the book and the account are the records that the shared structures hold.
"""

from __future__ import annotations

import math
import time
from pickle import UnpicklingError
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mftpy import records
from mftpy.errors import ConfigError, ResourceError
from mftpy.model import avellaneda_stoikov, net_book
from mftpy.model.avellaneda_stoikov import Refusal, quote, stationary_horizon_s
from mftpy.model.compiled import DISPATCHERS, cache_note, compilations, compiled, note_uncached, sources_key
from mftpy.model.net_book import LEVEL, fair_ticks, net_best, own_lots_at
from mftpy.records import ACCOUNT, TARGET, Reason
from mftpy.settings import Config

__all__ = ["LEVEL", "PARAMETERS", "Quoter", "WarmUp", "cache_note", "compilations", "parameters", "warm_up"]

PARAMETERS: Final = np.dtype(
    [
        ("gamma", "<f8"),
        ("sigma", "<f8"),
        ("A", "<f8"),
        ("k", "<f8"),
        ("horizon_s", "<f8"),
        ("maker_fee_rate", "<f8"),
        ("tick_size", "<f8"),
        ("lot_size", "<f8"),
        ("thin_spread", "<f8"),
        ("clip_lots", "<i8"),
        ("max_position_lots", "<i8"),
        ("min_distance_ticks", "<i8"),
        ("thin_lots", "<i8"),
    ]
)
"""What a decision depends on beside book and account; from `parameters`.

Model units as in `avellaneda_stoikov`. ``horizon_s`` -1 means the stationary one, solved at every decision.
``maker_fee_rate`` and ``thin_spread`` are fractions of the fair price.
"""

STATIONARY: Final = -1.0
_MAX_TICKS: Final = 2.0**53  # up to here a float holds every whole number
_REASONS: Final = [reason for reason in Reason if reason]
_REFUSALS: Final = [refusal for refusal in Refusal if refusal]
_COUNTS: Final = 64 + len(Refusal)

_NO_FAIR_PRICE: Final = int(Reason.NO_FAIR_PRICE)
_MODEL_REFUSED: Final = int(Reason.MODEL_REFUSED)
_CROSSED: Final = int(Reason.CROSSED_AFTER_CLAMP)
_AT_LONG_LIMIT: Final = int(Reason.AT_LONG_LIMIT)
_AT_SHORT_LIMIT: Final = int(Reason.AT_SHORT_LIMIT)
_ACCOUNT_NOT_READY: Final = int(Reason.ACCOUNT_NOT_READY)
_A_REFUSED: Final = int(Refusal.A)
_RESULT_REFUSED: Final = int(Refusal.RESULT)


@compiled
def quote_ticks(
    bid: float, ask: float, fair: float, net_bid_ticks: int, net_ask_ticks: int, min_distance_ticks: int
) -> tuple[int, int]:
    """Round and clamp a pair of prices, all in ticks.

    The bid floors and the ask ceils, neither comes nearer to the fair price than the least distance, and neither
    reaches the best price of the others' opposite side. Whether they still make a quote is the caller's last check.
    """
    bid_ticks = math.floor(min(bid, fair - min_distance_ticks))
    ask_ticks = math.ceil(max(ask, fair + min_distance_ticks))
    return min(bid_ticks, net_ask_ticks - 1), max(ask_ticks, net_bid_ticks + 1)


@compiled
def clear(target: NDArray[np.void], position_lots: int) -> None:
    """Make a target say: no quote, and no terms."""
    row = target[0]
    row.reasons = 0
    row.n_bids = 0
    row.n_asks = 0
    row.net_bid_ticks = 0
    row.net_ask_ticks = 0
    row.position_lots = position_lots
    row.fair = 0.0
    row.skew = 0.0
    row.model_half = 0.0
    row.fee = 0.0
    row.bid_unrounded = 0.0
    row.ask_unrounded = 0.0
    row.horizon_s = 0.0
    row.bid_ticks[:] = 0
    row.bid_lots[:] = 0
    row.ask_ticks[:] = 0
    row.ask_lots[:] = 0


@compiled
def count(reasons: int, refusal: int, counts: NDArray[np.int64]) -> None:
    """Count one decision under each of its reasons; `Quoter.counts` names them."""
    for bit in range(63):
        if reasons >> bit == 0:
            break
        counts[bit] += (reasons >> bit) & 1
    counts[63] += 1
    counts[64 + refusal] += 1


def _make_decide(sources: int) -> Any:
    """Return the compiled decision; `sources` is part of the key of its cached code (see `sources_key`)."""

    def decide(
        bids: NDArray[np.void],
        asks: NDArray[np.void],
        n_bids: int,
        n_asks: int,
        account: NDArray[np.void],
        parameters: NDArray[np.void],
        target: NDArray[np.void],
        counts: NDArray[np.int64],
    ) -> int:
        _ = sources
        p = parameters[0]
        mine = account[0]
        row = target[0]
        position_lots = mine.position_lots
        clear(target, position_lots)
        reasons = 0
        refusal = 0
        net_bid = net_best(bids, n_bids, 1, mine.own_side, mine.own_ticks, mine.own_lots, mine.n_own, p.thin_lots)
        net_ask = net_best(asks, n_asks, -1, mine.own_side, mine.own_ticks, mine.own_lots, mine.n_own, p.thin_lots)
        mid = fair_ticks(net_bid, net_ask, p.thin_spread)
        if mine.ready == 0:
            reasons |= _ACCOUNT_NOT_READY
        if mid == 0.0:
            reasons |= _NO_FAIR_PRICE
        if reasons == 0:
            fair = mid * p.tick_size
            fee = p.maker_fee_rate * fair
            clip = p.clip_lots * p.lot_size
            horizon_s = p.horizon_s
            if horizon_s == STATIONARY:
                horizon_s = stationary_horizon_s(p.gamma, clip, p.sigma, p.A, p.k, fee)
            terms = quote(fair, position_lots * p.lot_size, p.gamma, clip, p.sigma, p.k, fee, horizon_s)
            refusal = terms.refusal
            bid = terms.bid / p.tick_size
            ask = terms.ask / p.tick_size
            if p.horizon_s == STATIONARY and not (math.isfinite(p.A) and p.A > 0.0):
                refusal = _A_REFUSED
            elif refusal == 0 and not (bid > 0.0 and ask > 0.0 and bid < _MAX_TICKS and ask < _MAX_TICKS):
                refusal = _RESULT_REFUSED
            if refusal != 0:
                reasons |= _MODEL_REFUSED
            else:
                row.net_bid_ticks = net_bid
                row.net_ask_ticks = net_ask
                row.fair = fair
                row.skew = terms.skew
                row.model_half = terms.model_half
                row.fee = terms.fee
                row.bid_unrounded = terms.bid
                row.ask_unrounded = terms.ask
                row.horizon_s = horizon_s
                bid_ticks, ask_ticks = quote_ticks(bid, ask, mid, net_bid, net_ask, p.min_distance_ticks)
                if position_lots > p.max_position_lots - p.clip_lots:
                    reasons |= _AT_LONG_LIMIT
                if position_lots < p.clip_lots - p.max_position_lots:
                    reasons |= _AT_SHORT_LIMIT
                if bid_ticks < 1 or bid_ticks >= ask_ticks:
                    reasons |= _CROSSED
                else:
                    if reasons & _AT_LONG_LIMIT == 0:
                        row.n_bids = 1
                        row.bid_ticks[0] = bid_ticks
                        row.bid_lots[0] = p.clip_lots
                    if reasons & _AT_SHORT_LIMIT == 0:
                        row.n_asks = 1
                        row.ask_ticks[0] = ask_ticks
                        row.ask_lots[0] = p.clip_lots
        row.reasons = reasons
        count(reasons, refusal, counts)
        return reasons

    return compiled(decide)


decide: Final = _make_decide(sources_key(avellaneda_stoikov, net_book, records))


@compiled
def side_differs(
    n_before: int,
    ticks_before: NDArray[np.int64],
    lots_before: NDArray[np.int64],
    n_now: int,
    ticks_now: NDArray[np.int64],
    lots_now: NDArray[np.int64],
    threshold_ticks: int,
) -> bool:
    """Whether one side of a target differs: another number of levels, another size, or a price by the threshold."""
    if n_before != n_now:
        return True
    for i in range(min(n_now, len(ticks_now))):
        if lots_before[i] != lots_now[i] or abs(ticks_before[i] - ticks_now[i]) >= threshold_ticks:
            return True
    return False


@compiled
def differs(before: NDArray[np.void], now: NDArray[np.void], threshold_ticks: int) -> bool:
    """Whether what should rest differs enough from what was last asked for to ask again."""
    a = before[0]
    b = now[0]
    return side_differs(
        a.n_bids, a.bid_ticks, a.bid_lots, b.n_bids, b.bid_ticks, b.bid_lots, threshold_ticks
    ) or side_differs(a.n_asks, a.ask_ticks, a.ask_lots, b.n_asks, b.ask_ticks, b.ask_lots, threshold_ticks)


def parameters(config: Config, tick_size: float, lot_size: float) -> NDArray[np.void]:
    """Return one `PARAMETERS` record from the settings and what the exchange says of the instrument.

    Raises
    ------
    ConfigError
        The clip is not a whole number of lots.
    """
    model, quoting = config.model, config.quoting
    clip_lots = round(quoting.clip_coins / lot_size)
    if clip_lots < 1 or abs(clip_lots * lot_size - quoting.clip_coins) > 1e-6 * lot_size:
        raise ConfigError(
            f"quoting.clip_coins ({quoting.clip_coins:g}) must be a whole number of the instrument's lots "
            f"of {lot_size:g}"
        )
    row = np.zeros(1, PARAMETERS)
    row["gamma"] = model.gamma_per_usd
    row["sigma"] = model.sigma_usd_sqrt_s
    row["A"] = model.A_per_s
    row["k"] = model.k_per_usd
    row["horizon_s"] = STATIONARY if isinstance(model.horizon, str) else model.horizon
    row["maker_fee_rate"] = config.fees.maker_bps * 1e-4
    row["tick_size"] = tick_size
    row["lot_size"] = lot_size
    row["thin_spread"] = quoting.thin_spread_bps * 1e-4
    row["clip_lots"] = clip_lots
    row["max_position_lots"] = clip_lots * quoting.max_position_clips
    row["min_distance_ticks"] = quoting.min_distance_ticks
    row["thin_lots"] = max(1, math.ceil(quoting.thin_side_coins / lot_size - 1e-6))
    return row


class Quoter:
    """Decides what should rest, and whether it differs enough from what was last asked for.

    Parameters
    ----------
    parameters : ndarray of PARAMETERS, shape (1,)
        From `parameters`; may be changed in place between decisions.
    threshold_ticks : int

    Attributes
    ----------
    target : ndarray of records.TARGET, shape (1,)
        The newest decision: reasons, terms, prices and sizes. Stamps, ids and versions are the caller's to fill.
    """

    def __init__(self, parameters: NDArray[np.void], threshold_ticks: int) -> None:
        self.parameters = parameters
        self.threshold_ticks = threshold_ticks
        self.target = records.blank(TARGET)
        self._published = records.blank(TARGET)
        self._counts = np.zeros(_COUNTS, np.int64)

    def decide(
        self, bids: NDArray[np.void], asks: NDArray[np.void], n_bids: int, n_asks: int, account: NDArray[np.void]
    ) -> int:
        """Decide anew.

        Parameters
        ----------
        bids, asks : ndarray of LEVEL
            Best first; the first `n_bids` and `n_asks` count.
        account : ndarray of records.ACCOUNT, shape (1,)

        Returns
        -------
        int
            `Reason` bits; 0 when both sides are quoted. They are in ``target`` too.
        """
        return int(decide(bids, asks, n_bids, n_asks, account, self.parameters, self.target, self._counts))

    def refuse(self, reason: Reason, position_lots: int) -> None:
        """Make ``target`` say that there is no quote, for a reason that the caller knows; counted like all others."""
        clear(self.target, position_lots)
        self.target["reasons"] = int(reason)
        count(int(reason), 0, self._counts)

    @property
    def changed(self) -> bool:
        """Whether ``target`` differs enough from the one last passed on to be passed on."""
        return bool(differs(self._published, self.target, self.threshold_ticks))

    def passed_on(self) -> None:
        """Remember ``target`` as the one that later ones are compared with."""
        self._published[:] = self.target

    @property
    def counts(self) -> dict[str, int]:
        """Decisions made, and how many of them under each reason and each refusal of the model; only what occurred."""
        found = {"decisions": int(self._counts[63])}
        found |= {reason.name or "": int(self._counts[int(reason).bit_length() - 1]) for reason in _REASONS}
        found |= {f"MODEL_REFUSED_{refusal.name}": int(self._counts[64 + refusal]) for refusal in _REFUSALS}
        return {name: number for name, number in found.items() if number or name == "decisions"}


class WarmUp(NamedTuple):
    """What `warm_up` did.

    Attributes
    ----------
    seconds : float
    from_cache : bool
        Everything was loaded from disk, nothing compiled.
    note : str
        One sentence when compiled code cannot be kept on disk, else empty.
    """

    seconds: float
    from_cache: bool
    note: str


def warm_up() -> WarmUp:
    """Compile, or load from disk, every function with the very types of the loop.

    After it `compilations` does not rise.

    Raises
    ------
    ResourceError
        What is on disk is damaged; the sentence says which directory to delete.
    """
    started_s = time.monotonic()
    compiled_before = -1
    while compiled_before < (compiled_now := sum(len(d.signatures) for d in DISPATCHERS)):
        compiled_before = compiled_now
        try:
            _call_all()
            break
        except OSError as error:
            # the disk is full, or the directory has become unwritable: what was compiled is kept in memory, so each
            # further try gets further
            note_uncached(str(error))
        except (UnpicklingError, EOFError) as error:
            raise ResourceError(
                f"the cache of compiled code in {decide.stats.cache_path} is damaged; delete that directory"
            ) from error
    else:
        raise ResourceError(f"the model cannot be compiled: {cache_note()}")
    from_cache = not any(sum(d.stats.cache_misses.values()) or not d.stats.cache_path for d in DISPATCHERS)
    return WarmUp(time.monotonic() - started_s, from_cache, cache_note())


def _call_all() -> None:
    """Call every compiled function once with the types of the loop, also those that are called within others."""
    numbers = (61_700.0, 0.0, 0.04, 0.01, 8.0, 0.25, 6.17, 20.0)
    quote(*numbers)
    avellaneda_stoikov.refused(1)
    avellaneda_stoikov.usable(1.0)
    avellaneda_stoikov.log_ratio(1.0)
    avellaneda_stoikov.reservation_price(61_700.0, 0.0, 0.04, 8.0, 20.0)
    avellaneda_stoikov.total_spread(0.04, 0.01, 8.0, 0.25, 20.0)
    avellaneda_stoikov.stationary_skew(0.04, 0.01, 8.0, 0.55, 0.25, 6.17)
    stationary_horizon_s(0.04, 0.01, 8.0, 0.55, 0.25, 6.17)
    quoter = Quoter(parameters(Config(), 0.1, 0.001), 10)
    account = records.blank(ACCOUNT)
    account["ready"] = 1
    bids, asks = np.zeros(2, LEVEL), np.zeros(2, LEVEL)
    bids["price_ticks"], asks["price_ticks"] = [616_999, 616_998], [617_001, 617_002]
    bids["size_lots"] = asks["size_lots"] = 1000
    quoter.decide(bids, asks, 2, 2, account)
    quoter.refuse(Reason.STOPPING, 0)
    _ = quoter.changed
    own = account["own_side"][0], account["own_ticks"][0], account["own_lots"][0]
    own_lots_at(616_999, 1, *own, 0)
    net_best(bids, 2, 1, *own, 0, 10)
    fair_ticks(616_999, 617_001, 0.01)
    quote_ticks(616_900.0, 617_100.0, 617_000.0, 616_999, 617_001, 0)
    side_differs(0, own[1], own[2], 0, own[1], own[2], 10)
