"""Requests that are nearly right, by the thousand: every one is answered, and nobody's balance is wrong afterwards.

``python -m tests.py.exchange_fuzz MUTATIONS SEED`` runs as many as asked for; the tests run a few thousand.
"""

import copy
import json
import random
import re
import sys

from tests.py.exchange_box import PERPETUAL, Box, check_invariants, money_in_all
from tests.shared_data import SHARED

CHECK_EVERY = 50

ORDER = {"instrument_name": PERPETUAL, "amount": 0.1, "price": 61_650, "client_order_id": 100, "label": "mm-b0"}
OWN = [
    {"method": "public/system_info", "params": {}},
    {"method": "public/instruments", "params": {"underlying": "BTCUSD", "instrument_type": "futures"}},
    {"method": "public/subscribe", "params": {"channels": [f"book.{PERPETUAL}.none.all.raw", "price_index.BTCUSD"]}},
    {"method": "public/subscribe", "params": {"channels": [f"book.{PERPETUAL}.5.20.100ms", f"lwt.{PERPETUAL}.raw"]}},
    {"method": "private/subscribe", "params": {"channels": ["session.orders", "account.portfolio"]}},
    {"method": "unsubscribe", "params": {"channels": ["session.orders", "price_index.BTCUSD"]}},
    {"method": "private/insert", "params": {**ORDER, "direction": "buy", "post_only": True, "collar": "reject"}},
    {"method": "private/insert", "params": {**ORDER, "direction": "sell", "price": 61_640, "stp_level": "disabled"}},
    {"method": "private/buy", "params": {**ORDER, "price": 61_760, "time_in_force": "immediate_or_cancel"}},
    {"method": "private/sell", "params": {"instrument_name": PERPETUAL, "amount": 0.1, "order_type": "market"}},
    {"method": "private/sell", "params": {**ORDER, "reduce_only": True}},
    {"method": "private/amend", "params": {"amount": 0.2, "price": 61_651, "client_order_id": 100}},
    {"method": "private/cancel", "params": {"client_order_id": 100}},
    {"method": "private/cancel_all", "params": {}},
    {"method": "private/cancel_session", "params": {}},
    {"method": "private/set_cancel_on_disconnect", "params": {"timeout_secs": 6}},
    {"method": "private/trade_history", "params": {"limit": 10, "sort": "ascending", "bookmark": None}},
    {"method": "private/order_history", "params": {"limit": 10}},
    {"method": "private/portfolio", "params": {}},
    {"method": "private/account_summary", "params": {}},
    {"method": "private/open_orders", "params": {}},
]
"""What the mutations start from, beside the examples of the protocol's description when that is at hand."""

ODD = [
    None, True, False, 0, -1, 1, 1e-9, 0.0005, 3.0999999999999999, -0.0, 61_650.00000001, 1e308, -1e308, 5e-324, 2**31,
    2**53 + 1, 2**63, 2**64, 10**40, "", "a", "0", "NaN", "buy", PERPETUAL, "ETH-PERPETUAL", "\u0000", "\u20ac" * 300,
    "x" * 5000, [], {}, [[]], [1, 2], {"a": {"b": []}}, ["session.orders"] * 1200, "book.BTC-PERPETUAL.none.all.raw",
    "clamp", "ignore", "market", "immediate_or_cancel", "good_till_cancelled", "account", "customer", "disabled",
]  # fmt: skip
NAMES = sorted(
    {name for request in OWN for name in request["params"]} | {"order_id", "legs", "time_low", "x", "direction"}
)
TOKENS = [
    b"NaN",
    b"Infinity",
    b"1e999",
    b"-",
    b"\xff",
    b"\x00",
    b"{",
    b"}",
    b"[" * 2000,
    b'"',
    b"\\",
    b",",
    b":",
    b"1" * 400,
]


def examples():
    """Return the requests to start from."""
    path = SHARED / "thalex-protocol.md"
    found = copy.deepcopy(OWN + 2 * [one for one in OWN if "price" in one["params"]])
    if path.exists():
        text = path.read_text(encoding="utf-8")
        found += [
            json.loads(one) for one in re.findall(r"<!-- schema: rpc\.\S+\.request -->\n```json\n(.*?)\n```", text)
        ]
    return found


def mutated(rng, requests):
    """Return one request, changed in a few places, as bytes."""
    request = copy.deepcopy(rng.choice(requests))
    request["id"] = rng.randrange(1 << 30)
    params = request["params"]
    if "client_order_id" in params:
        params["client_order_id"] = rng.randrange(30)
    if isinstance(params.get("price"), int | float):
        params["price"] = 61_700 + rng.randrange(-60, 60)
    for _ in range(rng.choice([0, 0, 1, 1, 2])):
        what = rng.random()
        if what < 0.6 and params:
            params[rng.choice(sorted(params))] = copy.deepcopy(rng.choice(ODD))
        elif what < 0.7:
            params[rng.choice(NAMES)] = copy.deepcopy(rng.choice(ODD))
        elif what < 0.85 and params:
            del params[rng.choice(sorted(params))]
        elif what < 0.95:
            request["method"] = rng.choice(requests)["method"]
        else:
            request[rng.choice(["id", "method", "params", "jsonrpc"])] = copy.deepcopy(rng.choice(ODD))
            if not isinstance(request.get("params"), dict):
                break
    payload = json.dumps(request, allow_nan=True).encode()
    if rng.random() < 0.15:
        at = rng.randrange(len(payload) + 1)
        token = rng.choice(TOKENS)
        payload = rng.choice(
            [payload[:at], payload[:at] + token + payload[at:], payload[:at] + token + payload[at + 1 :]]
        )
    return payload


def run(mutations, seed):
    """Send so many mutations to one exchange; returns how often each code was answered, None for a result."""
    rng = random.Random(seed)
    box = Box(flow="model", sigma_usd_sqrt_s=8.0, A_per_s=3.0, accounts=3, seed=seed, most_open_orders=50)
    exchange, requests = box.exchange, examples()
    total = money_in_all(exchange)
    codes = {}
    numbers = list(range(1, 7))
    next_number = len(numbers)

    def enter(number):
        exchange.connect(number, box.now_ns)
        if number % 4:  # every fourth stays outside
            token = box.token(number % 3)
            said = exchange.handle(
                number, json.dumps({"method": "public/login", "params": {"token": token}}), box.now_ns
            )
            assert b'"result":{"account_number"' in said[-1][1]

    for number in numbers:
        enter(number)
    for count in range(mutations):
        box.now_ns += int(rng.expovariate(100) * 1e9)
        number = rng.choice(numbers)
        payload = mutated(rng, requests)
        outputs = exchange.handle(number, payload, box.now_ns)
        answers = [json.loads(said) for to, said in outputs if to == number and said.startswith(b'{"id":')]
        assert len(answers) == 1, (payload, answers)
        code = answers[0].get("error", {}).get("code")
        assert ("result" in answers[0]) != ("error" in answers[0])
        assert code is None or 1 <= code <= 58
        codes[code] = codes.get(code, 0) + 1
        for to, said in outputs:
            assert to in numbers
            assert len(said) < 1 << 20
        for dead in {*exchange.to_close, number} if rng.random() < 0.01 else set(exchange.to_close):
            if dead in numbers:
                exchange.disconnect(dead, box.now_ns)
                next_number += 1
                numbers[numbers.index(dead)] = next_number
                enter(next_number)
        exchange.to_close.clear()
        if count % CHECK_EVERY == 0:
            check_invariants(exchange)
            assert money_in_all(exchange) == total
    check_invariants(exchange)
    assert money_in_all(exchange) == total
    assert exchange.clearing.fees > 0
    return codes


if __name__ == "__main__":
    asked, first = int(sys.argv[1]), int(sys.argv[2])
    found = run(asked, first)
    print(
        f"{asked} mutations, seed {first}: " + ", ".join(f"{code}: {n}" for code, n in sorted(found.items(), key=str))
    )
