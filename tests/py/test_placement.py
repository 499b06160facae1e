"""What a run does with the machine that it finds: cores, memory, system."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mftcore import memory
from mftpy import config
from mftpy.errors import ConfigError, ResourceError
from mftpy.links import Instrument, Links
from mftpy.processes.jobs import choose_placement

ROOT = Path(__file__).resolve().parents[2]
INSTRUMENT = Instrument("BTC-PERPETUAL", 0.1, 0.001, 1, "BTCUSD")


@pytest.fixture
def cores(monkeypatch):
    """Return a function that sets which cores this process may use."""
    return lambda *usable: monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(usable))


def test_on_one_core_everything_shares_it_and_one_line_says_so(cores):
    cores(5)
    placement = choose_placement(config.load())
    assert placement.our_cores == [5, 5, 5]
    assert placement.exchange_cores == (5,)
    assert placement.wait_mode == "park"
    assert "only core 5 is usable" in placement.note
    assert "\n" not in placement.note


def test_with_four_cores_each_process_has_its_own_beside_the_exchange(cores):
    cores(0, 1, 2, 3)
    placement = choose_placement(config.load())
    assert placement.exchange_cores == (0,)
    assert placement.our_cores == [1, 2, 3]
    assert placement.note == ""


def test_cores_that_may_not_be_used_are_refused_by_number(cores):
    cores(0, 1)
    settings = config.load(None, {"system.cores": [0, 7]})
    with pytest.raises(ConfigError, match=r"\[7\] may not be used"):
        choose_placement(settings)


def test_memory_that_the_machine_has_not_is_one_sentence_with_needed_and_left(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: memory.Available(10_000, "the memory limit of the control group"))
    with pytest.raises(ResourceError) as refused:
        Links.create(INSTRUMENT)
    assert refused.value.exit_code == 5
    assert re.search(r"needs \d+ bytes.* the control group leaves 10000", str(refused.value))


def test_elsewhere_than_on_linux_the_build_stops_with_one_sentence():
    script = "import sys; sys.platform = 'darwin'; import runpy; runpy.run_path('setup.py', run_name='__main__')"
    result = subprocess.run(
        [sys.executable, "-c", script, "build_ext"], cwd=ROOT, capture_output=True, text=True, timeout=90, check=False
    )
    assert result.returncode == 1
    assert result.stderr.startswith("mftpy needs Linux")
    assert result.stderr.count("\n") == 1
