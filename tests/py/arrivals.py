"""Takers that arrive with a known A and k, the estimate that is fed with them, and its slow twin."""

import math

import numpy as np

from mftpy.model.intensity import ASK, BID, BUY, INTENSITY, OBSERVING, SELL, observe_mid, observe_print
from mftpy.model.intensity_fit import estimate_intensity

S = 1_000_000_000
FOREVER_S = 1e12
MID = 61_700.0
A, K = (0.55, 0.8), (0.25, 0.4)  # bid, ask; per second, per USD
FROM_BP, TO_BP = 0.15, 3.0


class Fast:
    """The compiled estimate; distances and k in price units."""

    def __init__(self, requote_s=0.5, tick=0.0, half_life_s=FOREVER_S, touch_ticks=0.0, from_bp=FROM_BP, gap_s=5.0):
        self.state, self.observing = np.zeros(1, INTENSITY), np.zeros(1, OBSERVING)
        rule = self.observing
        rule["requote_ns"], rule["gap_ns"] = round(requote_s * S), round(gap_s * S)
        rule["half_life_s"], rule["from_bp"], rule["to_bp"] = half_life_s, from_bp, TO_BP
        rule["touch_ticks"], rule["tick_size"] = touch_ticks, tick
        self.mid_px = MID

    def mid(self, now_ns, mid, own_bid=0.0, own_ask=0.0):
        self.mid_px = mid
        observe_mid(self.state, self.observing, now_ns, mid, own_bid, own_ask)

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        observe_print(self.state, self.observing, now_ns, price, size, taker, own, snapshot)

    def fit(self, side, now_ns, prior_s=0.0, prior=(0.55, 1.5), given_k=0.0):
        return estimate_intensity(self.state, self.observing, side, now_ns, self.mid_px, *prior, prior_s, given_k)

    def found(self, side, now_ns):
        """Return A, its error, k per price unit, its error."""
        fit = self.fit(side, now_ns)
        scale = 1e4 / self.mid_px
        return fit.A, fit.A_error, fit.k * scale, fit.k_error * scale


class Twin(Fast):
    """The same from a list of all intervals, by the exact likelihood, and by trying out where its maximum is."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.intervals = {BID: [], ASK: []}
        self.open = None

    def mid(self, now_ns, mid, own_bid=0.0, own_ask=0.0):
        rule = self.observing[0]
        while self.open is not None and now_ns >= self.open["at_ns"] + rule["requote_ns"]:
            at_ns = self.open["at_ns"]
            self.close()
            self.begin(at_ns + int(rule["requote_ns"]))
        self.newest = mid, own_bid, own_ask
        self.mid_px = mid
        if self.open is None or self.open["at_ns"] == now_ns:
            self.begin(now_ns)

    def begin(self, at_ns):
        self.open = {"at_ns": at_ns, "mid": self.newest[0], "own": self.newest[1:], "prints": []}

    def trade(self, now_ns, price, taker, own=0, snapshot=0, size=1.0):
        mid, *own_prices = self.newest
        self.mid(now_ns, mid, *own_prices)
        self.open["prints"].append((price, taker, own))

    def first(self, side, distance):
        mid, tick = self.open["mid"], float(self.observing["tick_size"][0])
        if not tick:
            return distance
        if side == ASK:
            return math.ceil(round((mid + distance) / tick, 6)) * tick - mid
        return mid - math.floor(round((mid - distance) / tick, 6)) * tick

    def close(self):
        rule, mid = self.observing[0], self.open["mid"]
        for side, taker in ((BID, SELL), (ASK, BUY)):
            low = self.first(side, max(rule["from_bp"] * mid * 1e-4, rule["touch_ticks"] * rule["tick_size"]))
            high = self.first(side, rule["to_bp"] * mid * 1e-4)
            prints = [(round(taker * (p - mid), 6), own) for p, by, own in self.open["prints"] if by == taker]
            deepest, is_own = max(prints, default=(0.0, 0))
            own_price = self.open["own"][side]
            resting = bool(own_price) and low - 1e-6 <= taker * (own_price - mid) < high - 1e-6
            kind = "quiet"
            if deepest >= low - 1e-6:
                kind = "own" if is_own else "beyond" if deepest >= high - 1e-6 else "exact"
            elif is_own:
                continue
            if kind == "beyond" and not resting:
                continue
            if kind in ("own", "beyond"):
                deepest, kind = min(deepest, high), "own"
            untruncated = resting or kind == "own"
            self.intervals[side].append((self.open["at_ns"], kind, untruncated, low, high, deepest))

    def log_likelihood(self, side, now_ns, log_A, k):
        length_s, tick = float(self.observing["requote_ns"][0]) / S, float(self.observing["tick_size"][0])
        at_ns, kind, untruncated, low, high, x = self.columns(side)
        weight = 0.5 ** ((now_ns - at_ns) / S / self.observing["half_life_s"][0])
        arrivals = math.exp(log_A) * length_s

        def below(distance):
            return arrivals * np.exp(-k * distance)

        beyond = np.where(untruncated, 0.0, below(high))
        quiet = -(below(low) - beyond)
        if tick:
            exact = np.log(np.exp(-below(x + tick)) - np.exp(-below(x))) + beyond
        else:
            exact = np.log(below(np.where(kind == "exact", x, 1.0)) * k) - below(x) + beyond
        own = np.log(-np.expm1(-below(np.where(kind == "own", x, 1.0))))
        return float(np.sum(weight * np.select([kind == "quiet", kind == "exact"], [quiet, exact], own)))

    def columns(self, side):
        at_ns, kind, untruncated, low, high, x = zip(*self.intervals[side], strict=True)
        return (np.array(at_ns), np.array(kind), np.array(untruncated), np.array(low), np.array(high), np.array(x))

    def found(self, side, now_ns):
        """Return A and k at the maximum, which is closed in on by ever smaller steps."""
        log_A, k, step = math.log(0.6), 0.3, 0.1
        best = self.log_likelihood(side, now_ns, log_A, k)
        while step > 1e-5:
            tries = [(log_A + i * step, k * (1 + j * step)) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
            value, there = max((self.log_likelihood(side, now_ns, *there), there) for there in tries)
            if value > best:
                best, (log_A, k) = value, there
            else:
                step /= 2
        return math.exp(log_A), k


def play(estimator, seed, n, requote_s=0.5, own=(0.0, 0.0), tick=0.0, a=A, k=K, touch=0.0, tail=0.0):
    """Let takers arrive at Poisson times, each side by itself, for n intervals; return the time at the end.

    The mid wanders; distances are from the mid at the interval's beginning. `own` holds the distances of our quotes, at
    which all that would go further ends, `touch` the rate of prints at the touch, `tail` of trades that reach far.
    """
    rng = np.random.default_rng(seed)
    length_ns = round(requote_s * S)
    mids = MID + np.cumsum(rng.normal(0.0, 2.0 * math.sqrt(requote_s), n))
    if tick:
        mids = np.round(mids / tick * 2) * tick / 2
    arrivals = []
    for side in (BID, ASK):
        for rate, mean, least in ((a[side], 1 / k[side], 0.0), (touch, 0.05, 0.0), (tail, 20.0, 20.0)):
            count = rng.poisson(rate * n * requote_s)
            times = rng.uniform(0, n, count)
            arrivals += zip(times, np.full(count, side), least + rng.exponential(mean, count), strict=True)
    arrivals = sorted(map(tuple, np.array(arrivals).tolist()))
    at = 0
    for number, mid in enumerate(mids.tolist()):
        quotes = [mid + (2 * side - 1) * own[side] if own[side] else 0.0 for side in (BID, ASK)]
        if tick:
            quotes = [math.floor(quotes[0] / tick) * tick, math.ceil(quotes[1] / tick) * tick]
        estimator.mid(number * length_ns, mid, *quotes)
        while at < len(arrivals) and arrivals[at][0] < number + 1:
            time, side, distance = arrivals[at]
            at += 1
            sign = 1 if side == ASK else -1
            price = mid + sign * distance
            if tick:
                price = sign * math.floor(sign * price / tick + 1e-9) * tick
            ours = bool(quotes[int(side)]) and sign * (price - quotes[int(side)]) >= -1e-9
            now_ns = number * length_ns + int((time - number) * length_ns)
            estimator.trade(now_ns, quotes[int(side)] if ours else price, sign, int(ours))
    estimator.mid(n * length_ns, float(mids[-1]))
    return n * length_ns
