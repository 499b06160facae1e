"""The embedded exchange: how many matches a second its core makes, with accounts, fees, fills and notices.

A regression means that an hour of simulated market takes longer, and that a busy one no longer keeps up with the clock.
The feeds are not in the rows of the core: what was noted is dropped between the runs. "JSON" is the whole way from the
bytes of a request to the bytes of its answer and of the notices that two listeners get.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jwt
import numpy as np
import pytest
from _harness import Figures, contest, pinned, scaled, two_cores
from _targets import MATCHES

from mftpy.sim.accounts import Account
from mftpy.sim.clearing import Clearing, FeeRates
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.exchange import Exchange
from mftpy.sim.instrument import Listed
from mftpy.sim.keys import Keys
from mftpy.sim.marking import Underlying
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.money import MONEY, UNIT
from mftpy.sim.requests import IOC, Insert
from mftpy.sim.sessions import Session
from mftpy.sim.settings import ExchangeSettings
from mftpy.sim.trading import Rules, Trading

UNIX_NS = 1_776_715_497_250_000_000
MIDDLE = 61_700
SWEPT = 100
PAIRS = 64


@pytest.mark.benchmark(group="exchange")
def bench_matches(benchmark: Any) -> None:
    """A taker of 100 lots against 100 orders of one lot at ten prices; or one order, and one that takes it."""
    contestants = {
        "mftpy core, a client sweeps 100 orders": partial(run, partial(sweep, by_client=True), 200),
        "mftpy core, the background sweeps 100 orders": partial(run, partial(sweep, by_client=False), 200),
        "mftpy core, an insert and a taking insert": partial(run, pairs, 200),
        "mftpy exchange, the same as JSON, two listeners": as_json,
    }
    contest(benchmark, MATCHES, contestants, key="thousand_per_s")


class Core:
    """Two clients with an order book between them, and nothing else."""

    def __init__(self) -> None:
        clock = Clock(0, UNIX_NS)
        listed = Listed("BTC-PERPETUAL", "perpetual", "BTCUSD", UNIT, UNIT // 1000)
        self.contract = Contract(listed, Underlying("BTCUSD", MIDDLE * UNIT))
        accounts = [Account(f"A00000000{i}", f"customer {i}", 10**6 * MONEY) for i in (1, 2)]
        self.trading = Trading(Clearing(clock, accounts, FeeRates(10_000, 50_000)), [self.contract], Rules())
        self.maker, self.taker = (Session(i, 0) for i in (1, 2))
        for session, account in zip((self.maker, self.taker), accounts, strict=True):
            session.account = account
            session.arm(6, 0)

    def drop_news(self) -> None:
        trading = self.trading
        for news in (trading.told, trading.clearing.records, trading.clearing.moved, self.contract.prints):
            news.clear()
        self.contract.book.changed.clear()


Way = Callable[[Core, int], tuple[int, int]]


def run(way: Way, count: int) -> Figures:
    """Median over runs of matches per second; every second run has the sides exchanged, so that positions end flat."""
    core, count = Core(), scaled(count, 20)
    rates = np.empty(count)
    with pinned(two_cores()[0]):
        for i in range(-count // 10 - count // 10 % 2, count):
            matches, taken_ns = way(core, BUY if i % 2 else SELL)
            rates[max(i, 0)] = matches / taken_ns * 1e6
            core.drop_news()
    assert not core.trading.orders
    return {"thousand_per_s": float(np.median(rates)), "runs": count}


def sweep(core: Core, side: int, *, by_client: bool) -> tuple[int, int]:
    contract, trading, clock = core.contract, core.trading, time.perf_counter_ns
    for i in range(SWEPT):
        price = MIDDLE - side * (1 + i % 10)
        trading.insert(core.maker, Insert(contract, side, price, 1, client_order_id=i))
    core.drop_news()
    asked = Insert(contract, -side, MIDDLE - side * 20, SWEPT, IOC)
    start = clock()
    if by_client:
        trading.insert(core.taker, asked)
    else:
        trading.take(contract, -side, None, SWEPT)
    taken = clock() - start
    assert len(trading.clearing.records) == (2 if by_client else 1) * SWEPT
    return SWEPT, taken


def pairs(core: Core, side: int) -> tuple[int, int]:
    contract, insert, clock = core.contract, core.trading.insert, time.perf_counter_ns
    maker, taker = core.maker, core.taker
    start = clock()
    for i in range(PAIRS):
        insert(maker, Insert(contract, side, MIDDLE, 1, client_order_id=i))
        insert(taker, Insert(contract, -side, MIDDLE, 1, IOC, client_order_id=i))
    taken = clock() - start
    assert len(core.trading.clearing.records) == 2 * PAIRS
    return PAIRS, taken


def as_json() -> Figures:
    """Two requests in each 20 ms of exchange time, as the rate limit has it; the flows are held, the clock is not."""
    settings = ExchangeSettings(sigma_usd_sqrt_s=0.0, A_per_s=1e-9, flow="model", initial_cash=1e6)
    keys, now_ns, count = Keys(), 0, scaled(60, 20)
    exchange = Exchange(settings, keys, now_ns, UNIX_NS)
    exchange.hold(until_login=False)
    (contract,) = (one for one in exchange.trading.contracts.values() if one.listed.expiry_s is not None)
    name, book = contract.listed.name, contract.book
    for side in (BUY, SELL):  # a held flow has made its first book, and only these two clients are to be in it
        for price_ticks in list(book.prices(side)):
            book.set_background(side, price_ticks, 0)
    for number, account in ((1, "A000000001"), (2, "A000000002")):
        key = f"K00000000{number}"
        private = keys.make(key, account)
        token = jwt.encode({"iat": UNIX_NS / 1e9}, private, algorithm="RS512", headers={"kid": key})
        exchange.connect(number, now_ns)
        for method, params in (
            ("public/login", {"token": token}),
            ("private/set_cancel_on_disconnect", {"timeout_secs": 3_600}),
            ("private/subscribe", {"channels": ["session.orders", "account.trade_history"]}),
        ):
            request = json.dumps({"method": method, "params": params, "id": 1})
            assert b'"result"' in exchange.handle(number, request, now_ns)[0][1]
    price = round(contract.mark_units / UNIT)
    rates, clock = np.empty(count), time.perf_counter_ns
    with pinned(two_cores()[0]):
        for i in range(-count // 10 - count // 10 % 2, count):
            sides = ("buy", "sell") if i % 2 else ("sell", "buy")
            params = [{"instrument_name": name, "price": price, "amount": 0.001, "client_order_id": 1}] * 2
            params[1] = params[1] | {"time_in_force": "immediate_or_cancel"}
            requests = [
                json.dumps({"method": f"private/{side}", "params": one, "id": 1}).encode()
                for side, one in zip(sides, params, strict=True)
            ]
            frames = 0
            start = clock()
            for _ in range(PAIRS):
                now_ns += 20_000_000
                for number, request in enumerate(requests, 1):
                    frames += len(exchange.handle(number, request, now_ns))
            rates[max(i, 0)] = PAIRS / (clock() - start) * 1e6
            assert frames >= 5 * PAIRS, "answers and notices"
    assert len(exchange.clearing.accounts["A000000001"].trades) >= count * PAIRS
    return {"thousand_per_s": float(np.median(rates)), "runs": count}
