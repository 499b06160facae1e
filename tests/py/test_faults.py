"""Faults without sockets: the file and its mistakes, occasions on an injected clock, the control channel."""

import asyncio
import contextlib
import json
import pickle
import random
import re
import stat
import time
from pathlib import Path

import pytest

from mftpy import config
from mftpy.errors import ConfigError, ResourceError
from mftpy.sim.faults import KINDS, Fault, Plan, make_fault, parse_command, read_plan
from mftpy.sim.faults_control import Controlled, send_command, serve_control
from mftpy.sim.faults_kinds import WORKING
from mftpy.sim.faults_when import Occasions
from tests.py.exchange_served import fault, on_loop, served

PAGE = Path(__file__).resolve().parents[2] / "docs" / "exchange-faults.md"
S = 1_000_000_000


def plan_of(tmp_path, text):
    path = tmp_path / "faults.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_plan(path)


def example():
    """Return the page's example file."""
    (found,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return found


def test_every_kind_has_its_behaviour_and_its_row_in_the_page():
    assert list(WORKING) == list(KINDS)
    section = PAGE.read_text(encoding="utf-8").split("## Kinds")[1].split("##")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|", section, re.MULTILINE)
    assert [row[0] for row in rows] == list(KINDS)
    for name, _, fields in rows:
        kind = KINDS[name]
        told = re.findall(r"`(\w+)`", fields)
        assert told == [field for field in kind.all_fields if field not in ("kind", "at_s", "every_s", "probability")]
    fields = {field for kind in KINDS.values() for field in kind.all_fields}
    assert fields == set(Fault.__struct_fields__)


def test_the_pages_example_is_read_and_changes_nothing_on_its_way_to_the_exchange(tmp_path):
    plan = plan_of(tmp_path, example())
    assert plan.seed == 7
    assert len(plan.faults) >= 5
    assert pickle.loads(pickle.dumps(plan)) == plan
    with pytest.raises(ConfigError, match="embedded exchange"):
        config.load(None, {"exchange.faults": "x", "venue.url": "ws://127.0.0.1:1/"})


@on_loop
async def test_the_pages_example_runs():
    plan = read_plan_text(example())
    async with served(*plan.faults, seed=plan.seed) as exchange:
        client = await exchange.client()
        for _ in range(20):
            await client.call("public/system_info")
        assert len(exchange.injector.listed()) == len(plan.faults)


def read_plan_text(text):
    import tomllib

    tables = tomllib.loads(text)
    return Plan(tuple(make_fault(entry, "page") for entry in tables["fault"]), tables["seed"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed = -1", ["seed", "whole number"]),
        ("seed = true", ["seed"]),
        ("sede = 1", ["unknown key sede", "seed and [[fault]]"]),
        ("fault = 1", ["[[fault]]"]),
        ("fault = [1]", ["fault 1", "table"]),
        ("[[fault]]\n", ["fault 1", "kind must be one of drop"]),
        ('[[fault]]\nkind = "dorp"', ["fault 1", "kind must be one of", "'dorp'"]),
        ('[[fault]]\nkind = "drop"\n[[fault]]\nkind = "drop"\ncuont = 1', ["fault 2 (drop)", "cuont", "mean count"]),
        ('[[fault]]\nkind = "drop"\noffset_s = 1', ["fault 1 (drop)", "unknown key offset_s", "known are"]),
        ('[[fault]]\nkind = "delay"', ["fault 1 (delay)", "delay_ms is missing"]),
        ('[[fault]]\nkind = "drop"\ncount = 0', ["fault 1 (drop)", "count", ">= 1"]),
        ('[[fault]]\nkind = "drop"\ncount = "1"', ["count", "expected int, got str"]),
        ('[[fault]]\nkind = "drop"\nprobability = 0', ["probability"]),
        ('[[fault]]\nkind = "drop"\nat_s = nan', ["at_s"]),
        ('[[fault]]\nkind = "drop"\nsessions = "some"', ["sessions"]),
        ('[[fault]]\nkind = "drop"\nsessions = [0]', ["sessions[0]"]),
        ('[[fault]]\nkind = "drop"\ndirection = "up"', ["direction"]),
        ('[[fault]]\nkind = "planned_restart"\nnotice_s = 5', ["notice_s", ">= 10"]),
        ('[[fault]]\nkind = "session_kill"\nevery_s = 1e-9', ["every_s", ">= 0.001"]),
        ('[[fault]]\nkind = "drop"\nevery_s = 1', ["every_s needs a duration_s or a count"]),
        ('[[fault]]\nkind = "half_open"\nevery_s = 1', ["every_s needs a duration_s"]),
        ('[[fault]]\nkind = "drop"\nevery_s = 1\nduration_s = 2', ["duration_s (2) is more than every_s (1)"]),
        ("[[fault]", ["not valid TOML"]),
        (b"\xff", ["not UTF-8"]),
        ("x = " + "[" * 5000, ["nested too deeply"]),
        (b"#" * (1 << 20) + b"##", ["larger than"]),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_that_names_file_entry_and_key(tmp_path, text, words):
    with pytest.raises(ConfigError) as refused:
        plan_of(tmp_path, text)
    sentence = str(refused.value)
    assert "faults.toml: " in sentence
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(ConfigError, match=re.escape(str(path))):
            read_plan(path)


def hits(entry, times_s, seed=1):
    occasions = Occasions(fault(kind="drop", **entry), 100 * S, random.Random(seed))
    return [time_s for time_s in times_s if occasions.hit(round((100 + time_s) * S))]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"at_s": 4}, [4, 5, 6, 7, 8, 9]),
        ({"at_s": 4, "duration_s": 2}, [4, 5]),
        ({"at_s": 4, "count": 1}, [4]),
        ({"count": 3, "duration_s": 2}, [0, 1]),
        ({"every_s": 4, "count": 1}, [4, 8]),
        ({"at_s": 1, "every_s": 4, "duration_s": 2}, [1, 2, 5, 6, 9]),
        ({"at_s": 0.5, "every_s": 3, "duration_s": 3, "count": 2}, [1, 2, 4, 5, 7, 8]),
    ],
)
def test_occasions_begin_last_and_come_again_as_they_say(entry, expected):
    assert hits(entry, range(10)) == expected


def test_a_probability_is_that_share_and_counts_what_it_hits():
    assert 320 < len(hits({"probability": 0.4}, range(1000))) < 480
    assert len(hits({"probability": 0.4, "count": 5}, range(1000))) == 5
    assert hits({"probability": 0.4}, range(50)) == hits({"probability": 0.4}, range(50))
    assert hits({"probability": 0.4}, range(50)) != hits({"probability": 0.4}, range(50), seed=2)


def test_moments_and_spans_end_with_their_count():
    moments = Occasions(fault(kind="session_kill", at_s=1, every_s=2, count=2), 0, random.Random(1))
    assert [moments.begin_ns(number) for number in range(3)] == [S, 3 * S, None]
    span = Occasions(fault(kind="frozen_book", at_s=1, duration_s=2), 0, random.Random(1))
    assert (span.begin_ns(0), span.end_ns(0), span.begin_ns(1)) == (S, 3 * S, None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("list", ("list", None)),
        (" clear ", ("clear", None)),
        ("clear 3", ("clear", 3)),
        ('kind = "drop", count = 2', ("add", fault(kind="drop", count=2))),
        ('{"kind": "half_open", "sessions": [2]}', ("add", fault(kind="half_open", sessions=[2]))),
    ],
)
def test_commands_are_words_toml_or_json(line, expected):
    assert parse_command(line) == expected


HALF = r'{"kind": "garbage_frame", "message": "\ud800"}'  # of a character: no text that can be sent


@pytest.mark.parametrize(
    "line", ["", "lists", "clear x", "clear 1 2", "{", "[1]", '{"kind": 1}', "kind = drop", "{" * 9000, HALF]
)
def test_what_is_no_command_is_refused(line):
    with pytest.raises(ConfigError) as refused:
        parse_command(line)
    assert "\n" not in str(refused.value)


@on_loop
async def test_the_control_channel_adds_lists_and_clears_and_is_for_this_user_alone(tmp_path):
    path = tmp_path / "control.sock"
    async with served() as exchange:

        def clear(number):
            before = len(exchange.injector.listed())
            exchange.clear(number)
            return before - len(exchange.injector.listed())

        controlled = Controlled(exchange.add, clear, exchange.injector.listed)
        stop = await serve_control(path, controlled)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client = await exchange.client()

        async def command(line):
            return await asyncio.to_thread(send_command, path, line)

        assert await command('kind = "reject_storm", code = 3, methods = ["public/index"]') == {"number": 1}
        assert (await client.call("public/index", underlying="BTCUSD"))["error"]["code"] == 3
        (listed,) = (await command("list"))["faults"]
        assert (listed["number"], listed["hits"], listed["fault"]["code"]) == (1, 1, 3)
        with pytest.raises(ConfigError, match="there is no fault 7"):
            await command("clear 7")
        with pytest.raises(ConfigError, match="unknown key cuont; did you mean count"):
            await command('{"kind": "drop", "cuont": 1}')
        with pytest.raises(ResourceError, match="another exchange"):
            await serve_control(path, controlled)
        assert await command("clear") == {"cleared": 1}
        assert "result" in await client.call("public/index", underlying="BTCUSD")
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"list\nlist\n\xff\n")
        answers = [json.loads(await reader.readline()) for _ in range(3)]
        assert answers[0] == answers[1] == {"faults": []}
        assert "no command" in answers[2]["error"]
        writer.write(b"x" * (1 << 18))
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.transport.abort()
        stop()
        assert not path.exists()
        with pytest.raises(ResourceError, match="no exchange answers"):
            await command("list")


@on_loop
async def test_a_socket_that_was_left_behind_is_replaced_and_another_file_is_not(tmp_path):
    import socket

    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    controlled = Controlled(lambda _: 1, lambda _: 0, list)
    (await serve_control(path, controlled))()
    path.write_text("mine")
    with pytest.raises(ResourceError, match="no socket"):
        await serve_control(path, controlled)
    assert path.read_text() == "mine"
    with pytest.raises(ResourceError, match="choose another --keys"):
        await serve_control(tmp_path / ("x" * 200), controlled)


@on_loop
async def test_without_faults_what_the_exchange_says_passes_as_it_is():
    async with served() as exchange:
        now_ns = time.monotonic_ns()
        exchange.injector.connect(5, now_ns)
        outputs = exchange.injector.handle(
            5, b'{"method":"public/index","params":{"underlying":"BTCUSD"},"id":1}', now_ns
        )
        assert type(outputs[0][1]) is bytes
        assert exchange.injector.next_due_ns() is not None
