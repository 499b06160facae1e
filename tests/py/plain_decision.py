"""The decision once more, slow and obvious: dictionaries, fractions and one rule after the other."""

import math
from fractions import Fraction

from mftpy.decisions import Clamp, FairSource
from mftpy.records import Mode, Reason

BUY, SELL = 1, -1


def net(levels, side, own, thin_lots):
    """Return ([(ticks, lots)] of the others, best first, whether that is thin)."""
    left = {}
    for ticks, lots in levels:
        lots -= sum(mine for whose, at, mine in own if (whose, at) == (side, ticks))
        if lots > 0:
            left[ticks] = lots
    return sorted(left.items(), reverse=side == BUY), sum(left.values()) < thin_lots


def fair_price(bids, asks, thin, index, p):
    """Return (FairSource, ticks, basis); the basis is that of a first look."""
    if bids and asks and bids[0][0] >= asks[0][0]:
        return FairSource.NONE, 0.0, 0.0
    mid = 0.0
    if not thin:
        middle = (bids[0][0] + asks[0][0]) / 2
        if asks[0][0] - bids[0][0] <= float(p["thin_spread"]) * middle:
            mid = middle
    basis = mid * float(p["tick_size"]) - index if mid and index else None
    source = FairSource(int(p["fair_source"]))
    if mid and source == FairSource.MID:
        return source, mid, basis or 0.0
    if mid and source == FairSource.MICRO:
        (bid, bid_lots), (ask, ask_lots) = bids[0], asks[0]
        return source, (bid * ask_lots + ask * bid_lots) / (bid_lots + ask_lots), basis or 0.0
    if index and basis is not None:
        return FairSource.INDEX, (index + basis) / float(p["tick_size"]), basis
    return FairSource.NONE, 0.0, basis or 0.0


def usable(out, p):
    """Whether the answer of a model can be used."""
    if not all(math.isfinite(out[name]) for name in ("skew", "model_half", "fee", "horizon_s")):
        return False
    for side in ("bid", "ask"):
        if not 0 <= out[f"n_{side}s"] <= 8:
            return False
        for i in range(out[f"n_{side}s"]):
            ticks, size = out[f"{side}_price"][i] / p["tick_size"], out[f"{side}_size"][i]
            if not (0 < ticks < 2**53 and 0 <= size < math.inf and size / p["lot_size"] < 2**53):
                return False
    both = out["n_bids"] and out["n_asks"]
    return not (both and out["bid_price"][0] >= out["ask_price"][0])


def bid_levels(out, fair, net_ask, p):
    """Return [(ticks, {clamp: by how much})] of the bids, as exact numbers."""
    found, nearer = [], 0
    for i in range(min(int(out["n_bids"]), int(p["levels"]))):
        raw = Fraction(float(out["bid_price"][i] / p["tick_size"]))
        steps = {Clamp.ROUNDING: math.floor(raw) - raw}
        at = math.floor(raw)
        # a float less a whole number, as the decision has it, and as exact as prices of books are
        steps[Clamp.MIN_DISTANCE] = min(0, math.floor(fair - int(p["min_distance_ticks"])) - at)
        at += steps[Clamp.MIN_DISTANCE]
        if i == 0 and p["max_distance_ticks"]:
            nearer = max(0, math.floor(fair - int(p["max_distance_ticks"])) - at)
        steps[Clamp.MAX_DISTANCE] = nearer
        at += nearer
        if net_ask:
            steps[Clamp.OPPOSITE_BEST] = min(0, net_ask - 1 - at)
            at += steps[Clamp.OPPOSITE_BEST]
        if i:
            steps[Clamp.LEVEL_STEP] = min(0, found[-1][0] - int(p["level_step_ticks"]) - at)
            at += steps[Clamp.LEVEL_STEP]
        found.append((at, steps))
    return found


def mirrored(out):
    """Return an answer with its sides exchanged and prices negative, for the asks by the rules of the bids."""
    return {"n_bids": out["n_asks"], "bid_price": [-price for price in out["ask_price"]]}


def sizes(n, side, position, room, reducing, out_sizes, p):
    """Return the lots of the levels that are quoted."""
    least, clip, shrink = max(int(p["min_order_lots"]), 1), int(p["clip_lots"]), float(p["size_shrink"])
    found = []
    for i in range(n):
        if out_sizes[i] > 0:
            lots = math.floor(out_sizes[i] / p["lot_size"] + 1e-6)
        elif shrink > 0 and position * side > 0:
            lots = math.floor(clip * math.exp(-shrink * abs(position) / clip) + 1e-9)
        else:
            lots = clip
        if lots > room:
            cut = reducing or shrink > 0 or out_sizes[i] > 0
            lots = room if cut else 0
        if lots < least:
            break
        found.append(lots)
        room -= lots
    return found


def decide(bids, asks, own, account, index, p, mode, ask_model):
    """Return what a first decision is made of and what comes of it.

    `bids` and `asks` are lists of (ticks, lots), `account` a mapping of position_lots, outside_long_lots and
    outside_short_lots, `p` a row of PARAMETERS, `ask_model` gives the answer and whether it raised.
    """
    others = {BUY: net(bids, BUY, own, int(p["thin_lots"])), SELL: net(asks, SELL, own, int(p["thin_lots"]))}
    net_bids, net_asks = others[BUY][0], others[SELL][0]
    source, fair, basis = fair_price(net_bids, net_asks, others[BUY][1] or others[SELL][1], index, p)
    crossed = bool(net_bids and net_asks and net_bids[0][0] >= net_asks[0][0])
    nothing = {"bids": [], "asks": [], "source": source, "fair": fair, "basis": basis, "room": (0, 0)}
    nothing |= {"net_bid": (0, 0), "net_ask": (0, 0)} if crossed else {
        "net_bid": net_bids[0] if net_bids else (0, 0), "net_ask": net_asks[0] if net_asks else (0, 0),
    }  # fmt: skip
    if source == FairSource.NONE:
        return nothing | {"reasons": Reason.NO_FAIR_PRICE}
    out, raised = ask_model()
    if not raised and out["refusal"]:
        return nothing | {"reasons": Reason.MODEL_REFUSED}
    if raised or not usable(out, p):
        return nothing | {"reasons": Reason.MODEL_FAILED}
    clamped_bids = bid_levels(out, fair, nothing["net_ask"][0], p)
    clamped_asks = [
        (-at, {clamp: -by for clamp, by in steps.items()})
        for at, steps in bid_levels(mirrored(out), -fair, -nothing["net_bid"][0], p)
    ]
    for side in (clamped_bids, clamped_asks):
        for i, (at, _) in enumerate(side):
            if not 1 <= at <= 2**53:
                del side[i:]
                break
    position, limit = int(account["position_lots"]), int(p["max_position_lots"])
    room_bid = limit - position - max(int(account["outside_long_lots"]), 0)
    room_ask = limit + position - max(int(account["outside_short_lots"]), 0)
    reasons = Reason.NONE
    odd = p["size_shrink"] > 0
    least = max(int(p["min_order_lots"]), 1)
    if room_bid < (least if odd or (out["n_bids"] and out["bid_size"][0] > 0) else p["clip_lots"]):
        reasons |= Reason.AT_LONG_LIMIT
    if room_ask < (least if odd or (out["n_asks"] and out["ask_size"][0] > 0) else p["clip_lots"]):
        reasons |= Reason.AT_SHORT_LIMIT
    reducing = mode == Mode.REDUCING
    if reducing:
        reasons |= Reason.REDUCING
        room_bid = min(room_bid, -position - max(int(account["outside_long_lots"]), 0))
        room_ask = min(room_ask, position - max(int(account["outside_short_lots"]), 0))
    nothing["room"] = (room_bid, room_ask)
    if clamped_bids and clamped_asks and clamped_bids[0][0] >= clamped_asks[0][0]:
        return nothing | {"reasons": reasons | Reason.CROSSED_AFTER_CLAMP}
    bid_lots = sizes(len(clamped_bids), BUY, position, room_bid, reducing, out["bid_size"], p)
    ask_lots = sizes(len(clamped_asks), SELL, position, room_ask, reducing, out["ask_size"], p)
    return nothing | {
        "reasons": reasons,
        "bids": [(*level, lots) for level, lots in zip(clamped_bids, bid_lots, strict=False)],
        "asks": [(*level, lots) for level, lots in zip(clamped_asks, ask_lots, strict=False)],
    }
