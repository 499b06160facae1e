"""An exchange on a clock that the test moves, and clients that talk to it as if over a wire; no sockets, no waiting.

Every message of every test is checked against the exchange's schema when that is at hand.
"""

import functools
import itertools
import json

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from mftpy.sim.exchange import Exchange, account_numbers, key_ids
from mftpy.sim.keys import Keys
from mftpy.sim.matching import BUY, SELL
from mftpy.sim.settings import ExchangeSettings
from tests.shared_data import SHARED

UNIX_NS = 1_776_715_497_250_000_000
"""2026-04-20 20:04:57.25 UTC: not on a second, and hours away from a settlement."""

PERPETUAL = "BTC-PERPETUAL"
QUIET = {"sigma_usd_sqrt_s": 0.0, "A_per_s": 1e-9, "flow": "model"}
"""A market in which nothing happens by itself."""


@functools.cache
def private_key():
    """Return one key pair for all tests: making one takes a tenth of a second."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@functools.cache
def validator(name):
    """Return what checks a message against the schema's definition of that name; None without the schema."""
    path = SHARED / "thalex-schema.json"
    if not path.exists():
        return None
    schema = json.loads(path.read_text(encoding="utf-8"))
    registry = Registry().with_resource("urn:thalex", Resource.from_contents(schema, DRAFT202012))
    return Draft202012Validator({"$ref": f"urn:thalex#/$defs/{name}"}, registry=registry)


def channel_kind(channel):
    """Name the schema's definition of a channel."""
    return channel if channel.startswith(("account.", "session.")) else channel.partition(".")[0]


def check(name, message):
    """Validate one message."""
    found = validator(name)
    if found is not None:
        found.validate(message)


class Refused(AssertionError):  # noqa: N818 (an answer, not a failure)
    """The exchange answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error}")
        self.code = error["code"]
        self.message = error["message"]


class Client:
    """One connection."""

    def __init__(self, box, number):
        self.box = box
        self.number = number
        self.ids = itertools.count(1)
        self.notices = []
        self.answers = {}
        self.raw = []
        self.open = True

    def send(self, payload, request_id=None):
        """Send bytes as they are; returns the answer to `request_id`."""
        self.box.deliver(self.box.exchange.handle(self.number, payload, self.box.now_ns))
        return self.answers.pop(request_id)

    def ask(self, method, **params):
        """Send a request; returns the whole answer."""
        number = next(self.ids)
        answer = self.send(json.dumps({"method": method, "params": params, "id": number}), number)
        if "result" in answer:
            check(f"rpc.{method.replace('/', '_')}.response", answer)
        else:
            check("RpcError", answer)
        return answer

    def call(self, method, **params):
        """Send a request; returns its result, or raises `Refused`."""
        answer = self.ask(method, **params)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["result"]

    def code(self, method, **params):
        """Send a request that must be refused; returns the code."""
        answer = self.ask(method, **params)
        assert "error" in answer, answer
        return answer["error"]["code"]

    def login(self, key=0, account=None, **claims):
        """Log in with the key of that index."""
        return self.call("public/login", token=self.box.token(key, **claims), account=account)

    def take(self, channel):
        """Return, and forget, the notifications of a channel so far."""
        mine = [notice for notice in self.notices if notice["channel_name"] == channel]
        self.notices = [notice for notice in self.notices if notice["channel_name"] != channel]
        return mine

    def buy(self, price, amount, **params):
        """Insert a limit order."""
        return self.call("private/buy", instrument_name=PERPETUAL, price=price, amount=amount, **params)

    def sell(self, price, amount, **params):
        """Insert a limit order."""
        return self.call("private/sell", instrument_name=PERPETUAL, price=price, amount=amount, **params)

    def close(self):
        """Disconnect."""
        self.open = False
        self.box.deliver(self.box.exchange.disconnect(self.number, self.box.now_ns))


class Box:
    """The exchange, its clock and its clients."""

    def __init__(self, **settings):
        self.settings = ExchangeSettings(**{**QUIET, **settings})
        self.now_ns = 5_000_000_000
        self.unix_ns = UNIX_NS
        self.keys = Keys()
        accounts = account_numbers(self.settings.accounts)
        for key, account in zip(key_ids(self.settings.accounts), accounts, strict=True):
            self.keys.add(key, account, private_key().public_key())
        self.exchange = Exchange(self.settings, self.keys, self.now_ns, self.unix_ns)
        self.clients = {}
        self.numbers = itertools.count(1)
        self._last_iat = {}

    @property
    def unix_s(self):
        """Exchange time."""
        return (self.unix_ns + self.now_ns - 5_000_000_000) / 1e9

    def token(self, key=0, algorithm="RS512", kid=None, **claims):
        """Return a login token; `iat` is later than that of the key's last one."""
        last = self._last_iat[key] = max(self._last_iat.get(key, 0) + 1e-3, self.unix_s)
        name = key_ids(self.settings.accounts)[key] if kid is None else kid
        return jwt.encode({"iat": last, **claims}, private_key(), algorithm=algorithm, headers={"kid": name})

    def connect(self, key=None, *, timeout_s=None):
        """Return a new client, logged in with a key if one is given."""
        client = Client(self, next(self.numbers))
        self.clients[client.number] = client
        self.exchange.connect(client.number, self.now_ns)
        if key is not None:
            client.login(key)
        if timeout_s is not None:
            client.call("private/set_cancel_on_disconnect", timeout_secs=timeout_s)
        return client

    def deliver(self, outputs):
        """Hand out what the exchange sends."""
        for number, payload in outputs:
            client = self.clients[number]
            assert client.open, payload
            message = json.loads(payload)
            client.raw.append(payload)
            if "channel_name" in message:
                assert payload.startswith(b'{"channel_name":"'), payload
                assert "result" not in message
                check(f"channel.{channel_kind(message['channel_name'])}.message", message)
                client.notices.append(message)
            else:
                assert payload.startswith(b'{"id":'), payload
                assert ("result" in message) != ("error" in message), payload
                client.answers[message["id"]] = message

    def pass_s(self, seconds):
        """Let time go by, all at once."""
        self.now_ns += round(seconds * 1e9)
        self.deliver(self.exchange.advance(self.now_ns))

    def contract(self, name=PERPETUAL):
        """Return a contract of the core."""
        return self.exchange.trading.contracts[name]

    def market(self, name=PERPETUAL):
        """Return what a flow has of a contract."""
        return next(market for market, _ in self.exchange._markets if market.instrument.name == name)

    def best(self, side, name=PERPETUAL):
        """Best price of a side."""
        contract = self.contract(name)
        return contract.listed.price(contract.book.best(side))

    @property
    def bid(self):
        """Best bid of the perpetual."""
        return self.best(BUY)

    @property
    def ask(self):
        """Best ask of the perpetual."""
        return self.best(SELL)


def money_in_all(exchange):
    """Return what must never change: cash less what positions are carried at and owe in funding; and the fees."""
    clearing = exchange.clearing
    total = clearing.fees
    for account in (*clearing.accounts.values(), clearing.house):
        total += account.cash
        for name, position in account.positions.items():
            total -= position.start_value
            total -= account.contracts[name].marking.funding_of(position.lots, position.funding_entry)
    return total


def check_invariants(exchange):
    """Check what holds between any two calls, whatever clients and markets did."""
    clearing, trading = exchange.clearing, exchange.trading
    everybody = (*clearing.accounts.values(), clearing.house)
    for contract in trading.contracts.values():
        book = contract.book
        assert sum(account.position(contract).lots for account in everybody) == 0
        bid, ask = book.best(BUY), book.best(SELL)
        assert bid is None or ask is None or bid < ask
        resting = dict.fromkeys((BUY, SELL), 0)
        for side in (BUY, SELL):
            for price in book.prices(side):
                line = list(book.queue(side, price))
                assert line
                assert sum(item.lots for item in line) == book.size(side, price) > 0
                for item in line:
                    resting[side] += item.lots
                    order = item.owner
                    if order is not None:
                        assert order.resting is item
                        assert (order.price_ticks, order.side, order.open_lots) == (price, side, item.lots)
                        assert trading.orders[order.order_id] is order
            assert resting[side] == book.total(side)
    listed = [order for account in clearing.accounts.values() for order in account.orders.values()]
    assert {order.order_id for order in listed} == set(trading.orders)
    for order in listed:
        assert order.delete_reason is None
        assert order.resting is not None
        assert 0 <= order.filled_lots < order.total_lots
    for account in clearing.accounts.values():
        for name, position in account.positions.items():
            for side in (BUY, SELL):
                mine = [order for order in account.orders.values() if order.side == side]
                open_lots = sum(order.open_lots for order in mine if order.contract.listed.name == name)
                assert position.open_lots[side] == open_lots
