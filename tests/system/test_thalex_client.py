"""The exchange's own published client, unmodified, against the embedded exchange: a quoter and a taker trade."""

import asyncio
import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.py.exchange_box import channel_kind, check

thalex = pytest.importorskip("thalex", reason="needs the published client: pip install thalex")

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
PERPETUAL = "BTC-PERPETUAL"
QUIET = "[exchange]\nflow = 'model'\nsigma_usd_sqrt_s = 0.0\nA_per_s = 1e-9\ninitial_cash = 1e9\n"
"""A mid that stands and takers that stay away: what happens is what these clients do."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    directory = tmp_path_factory.mktemp("exchange")
    (directory / "quiet.toml").write_text(QUIET, encoding="utf-8")
    words = ["--port", "0", "--keys", str(directory / "keys"), "--config", str(directory / "quiet.toml")]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "mftpy", "exchange", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    for line in process.stdout:
        if "--url" in line:
            url = shlex.split(line)[-1]
            break
    keys = {path.stem: path.read_text(encoding="ascii") for path in (directory / "keys").glob("*.pem")}
    yield SimpleNamespace(url=url, keys=keys)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=PATIENCE_S) == 0
    process.stdout.close()


class Bot:
    """A user's program on the published client: its dispatch rule, and nothing else of ours."""

    def __init__(self, exchange, key_id):
        self.client = thalex.Thalex(SimpleNamespace(value=exchange.url))
        self.key_id, self.pem = key_id, exchange.keys[key_id]
        self.results, self.errors, self.notices = [], [], []

    async def __aenter__(self):
        await self.client.connect()
        return self

    async def __aexit__(self, *_):
        await self.client.disconnect()

    async def read(self):
        message = json.loads(await asyncio.wait_for(self.client.receive(), PATIENCE_S))
        if "channel_name" in message:
            check(f"channel.{channel_kind(message['channel_name'])}.message", message)
            self.notices.append(message)
        elif "result" in message:
            self.results.append(message)
        else:
            self.errors.append(message)
        return message

    async def result(self, request_id):
        """Read until the oldest unread result of this id is there."""
        while True:
            for message in self.results:
                if message["id"] == request_id:
                    self.results.remove(message)
                    return message["result"]
            assert not self.errors, self.errors
            await self.read()

    async def error(self):
        while not self.errors:
            await self.read()
        return self.errors.pop()["error"]

    async def notice(self, channel, fits=lambda content: True):
        """Read until a notice of a channel fits; returns its content."""
        while True:
            for message in self.notices:
                if message["channel_name"] == channel and fits(message["notification"]):
                    self.notices.remove(message)
                    return message["notification"]
            await self.read()

    async def login(self):
        await self.client.login(self.key_id, self.pem, id=0)
        await self.result(0)


def run(coroutine):
    asyncio.run(asyncio.wait_for(coroutine, PATIENCE_S))


def test_a_quoter_and_a_taker_trade_with_each_other(exchange):
    async def scenario():
        async with Bot(exchange, "K000000001") as quoter, Bot(exchange, "K000000002") as taker:
            await quoter.login()
            await quoter.client.set_cancel_on_disconnect(6, id=0)  # ids repeat, and may be 0
            assert await quoter.result(0) == {"message_rate": 50}
            await quoter.client.private_subscribe(["session.orders", "account.portfolio"], id=1)
            await quoter.client.public_subscribe([f"ticker.{PERPETUAL}.raw", f"lwt.{PERPETUAL}.raw"], id=2)
            assert await quoter.notice("account.portfolio") == []  # quoting begins only after this message
            ticker = await quoter.notice(f"ticker.{PERPETUAL}.raw")
            for name in ("mark_price", "index", "mark_timestamp", "funding_rate"):
                assert isinstance(ticker[name], int | float)
            bid = (await quoter.notice(f"lwt.{PERPETUAL}.raw"))["b"][0]

            noisy = bid / 3 * 3 + 1e-10  # a price as floating point leaves it
            quotes = {"instrument_name": PERPETUAL, "amount": 0.1 + 0.2 - 0.2, "post_only": True, "label": "quoter"}
            await quoter.client.insert(thalex.Direction.BUY, price=noisy, client_order_id=1001, id=1001, **quotes)
            await quoter.client.amend(amount=0.2, price=bid, client_order_id=1001, id=1001)  # in flight, same id
            assert (await quoter.result(1001))["price"] == bid
            amended = await quoter.result(1001)
            assert (amended["amount"], amended["status"], amended["client_order_id"]) == (0.2, "open", 1001)

            await taker.login()
            await taker.client.private_subscribe(["session.orders", "account.trade_history"], id=5)
            await taker.client.book(PERPETUAL, id=6)
            resting = (await taker.result(6))["bids"][0]
            await taker.client.sell(
                PERPETUAL, round(resting[1], 3), price=int(bid), time_in_force=thalex.TimeInForce.IOC, id=7
            )
            taken = await taker.result(7)
            assert taken["status"] == "filled"
            assert "client_order_id" not in taken
            filled = await quoter.notice("session.orders", lambda said: said and said[0]["change_reason"] == "fill")
            assert filled[0]["status"] == "filled"
            fill = filled[0]["fills"][0]
            assert fill["maker_taker"] == "maker"
            assert fill["trade_id"] in {one["trade_id"] for one in taken["fills"]}
            line = (await quoter.notice("account.portfolio", lambda lines: lines != []))[0]
            assert line["position"] == 0.2
            history = await taker.notice("account.trade_history")
            assert {one["trade_id"] for one in history} <= {one["trade_id"] for one in taken["fills"]}

            await quoter.client.insert(thalex.Direction.SELL, price=bid + 50, client_order_id=1001, id=1001, **quotes)
            assert (await quoter.result(1001))["status"] == "open"  # the number is free again
            await quoter.client.amend(amount=0, price=bid + 50, client_order_id=1001, id=1001)  # a cancel
            assert (await quoter.result(1001))["status"] == "cancelled"
            await quoter.client.cancel(client_order_id=1001, id=1001)
            assert (await quoter.error())["code"] == 1

    run(scenario())


def test_cancel_session_and_a_lost_connection_take_the_orders(exchange):
    async def scenario():
        async with Bot(exchange, "K000000001") as watcher:
            await watcher.login()
            await watcher.client.private_subscribe(["account.orders"], id=1)
            async with Bot(exchange, "K000000001") as quoter:
                await quoter.login()
                await quoter.client.set_cancel_on_disconnect(6, id=0)
                for number in (1, 2):
                    await quoter.client.buy(PERPETUAL, 0.01, number, 61_500, post_only=True, id=number)
                    assert (await quoter.result(number))["persistent"] is False
                await quoter.client.cancel_session(id=9)
                assert await quoter.result(9) is None
                await quoter.client.open_orders(id=10)
                assert await quoter.result(10) == []
                await quoter.client.buy(PERPETUAL, 0.01, 3, 61_500, post_only=True, id=3)
                await quoter.result(3)
                await watcher.notice("account.orders", lambda orders: orders and orders[0].get("client_order_id") == 3)
            gone = await watcher.notice("account.orders", lambda orders: orders and orders[0]["status"] == "cancelled"
                                        and orders[0]["client_order_id"] == 3)  # fmt: skip
            assert gone[0]["delete_reason"] == "session_end"

    run(scenario())


def test_what_is_not_offered_is_answered_and_not_left_open(exchange):
    async def scenario():
        async with Bot(exchange, "K000000002") as bot:
            await bot.login()
            calls = [
                bot.client.open_rfqs(id=1),
                bot.client.bots(id=2),
                bot.client.conditional_orders(id=3),
                bot.client.btc_deposit_address(id=4),
                bot.client.required_margin_breakdown(id=5),
            ]
            for call in calls:
                await call
                assert (await bot.error())["code"] == 31
            await bot.client.cancel_mass_quote(id=6)
            assert (await bot.error())["code"] == 51
            for call in (
                bot.client.instruments(id=7),
                bot.client.all_instruments(id=7),
                bot.client.index("BTCUSD", id=7),
                bot.client.portfolio(id=7),
                bot.client.account_summary(id=7),
                bot.client.order_history(id=7),
                bot.client.trade_history(sort=thalex.Sort.ASC, id=7),
                bot.client.system_info(id=7),
            ):
                await call
                await bot.result(7)

    run(scenario())


def test_the_example_of_the_documentation_runs(exchange, tmp_path):
    text = (ROOT / "docs" / "embedded-exchange.md").read_text(encoding="utf-8")
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    assert len(program.splitlines()) < 25
    changed = program.replace("ws://127.0.0.1:8080/ws/api/v2", exchange.url)
    assert changed != program
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "K000000001.pem").write_text(exchange.keys["K000000001"], encoding="ascii")
    done = subprocess.run(
        [sys.executable, "-c", changed], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'account_number': 'A000000001'" in done.stdout
    assert "'status': 'open'" in done.stdout
    assert "'status': 'cancelled'" in done.stdout
