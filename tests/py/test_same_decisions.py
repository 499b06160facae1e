"""The same input gives the same decisions: here and in another process, twice, and with the model in Python."""

import multiprocessing
from contextlib import closing

import numpy as np
import pytest

from mftcore import Journal
from mftpy import config
from mftpy.links import Links
from mftpy.model import builtin
from mftpy.model.plain import PlainRecord, blank_output
from mftpy.records import Reason
from tests.py import played

SEED = 185  # its market begins with a burst


@pytest.fixture(scope="module")
def tape():
    return played.tape(SEED, 12)


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "mftpy.toml"
    path.write_text(
        '[model]\nsigma_usd_sqrt_s = "estimated"\nA_per_s = "estimated"\nk_per_usd = "estimated"\n'
        "[quoting]\nlevels = 2\n"
    )
    return config.load(path)


def in_this_process(tape, settings, directory):
    """Play to a strategy of this thread, as --mode single does."""
    with (
        Journal.create(directory) as journal,
        journal.writer(drain=True) as writer,
        closing(Links.create(played.INSTRUMENT)) as links,
    ):
        loop = played.strategy_of(links, settings, writer)
        played.play(links, tape, loop.turn)
        loop.close()
    return played.decisions(directory)


def in_a_process_of_its_own(tape, settings, directory):
    """Play to a strategy in another process, over the same structures."""
    context = multiprocessing.get_context("spawn")
    with Journal.create(directory), closing(Links.create(played.INSTRUMENT)) as links:
        ours, theirs = context.Pipe()
        child = context.Process(target=played.in_child, args=(links, settings, str(directory), theirs))
        child.start()
        theirs.close()
        assert ours.recv() == "ready"

        def turn(now_ns):
            ours.send(now_ns)
            assert ours.recv()

        played.play(links, tape, turn)
        ours.send(None)
        child.join()
        assert child.exitcode == 0
    return played.decisions(directory)


@pytest.fixture(scope="module")
def decisions(tape, settings, tmp_path_factory):
    return in_this_process(tape, settings, tmp_path_factory.mktemp("first") / "journal")


def test_the_tape_lets_much_happen(decisions):
    assert len(decisions) > 400
    assert decisions["passed_on"].sum() > 50
    assert decisions["account_fills"][-1] > 0
    assert (decisions["reasons"] & (Reason.BID_POSSIBLY_FILLED | Reason.ASK_POSSIBLY_FILLED)).any()
    assert len(np.unique(decisions["x"]["sigma"])) > 10
    assert decisions["n_bids"].max() == decisions["n_asks"].max() == 2


def test_a_second_time_they_are_the_same(decisions, tape, settings, tmp_path):
    assert in_this_process(tape, settings, tmp_path / "journal").tobytes() == decisions.tobytes()


def test_in_a_process_of_its_own_they_are_the_same(decisions, tape, settings, tmp_path):
    assert in_a_process_of_its_own(tape, settings, tmp_path / "journal").tobytes() == decisions.tobytes()


def test_another_input_gives_others(decisions, tape, settings, tmp_path):
    late = [(now_ns + (number > 100), payload) for number, (now_ns, payload) in enumerate(tape)]
    assert in_this_process(late, settings, tmp_path / "journal").tobytes() != decisions.tobytes()


def test_the_model_called_from_python_one_by_one_answers_the_same(decisions):
    asked = decisions[decisions["fair_source"] != 0]
    assert len(asked) > 300
    for decision in asked:
        x, out = PlainRecord(decision["x"].reshape(1).copy()), blank_output()
        builtin.avellaneda_stoikov(x, out)
        assert out.array.tobytes() == decision["out"].tobytes()
