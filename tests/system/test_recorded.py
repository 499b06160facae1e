"""Runs on recordings that the package wrote: whole ones to their end, damaged ones to one sentence."""

import gzip

import pytest

from mftpy.sim.recording_writer import write_recording
from mftpy.sim.settings import ExchangeSettings


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "written.gz"
    write_recording(str(path), 4.0, ExchangeSettings())
    return path


def lines_of(path):
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def test_a_recording_of_two_files_begins_when_all_are_ready_and_the_run_ends_with_it(start, written, tmp_path):
    lines = lines_of(written)
    paths = [tmp_path / "first.gz", tmp_path / "second.gz"]
    for path, part in zip(paths, (lines[: len(lines) // 2], lines[len(lines) // 2 :]), strict=True):
        path.write_bytes(gzip.compress(b"".join(part)))
    run = start("--recording", str(paths[0]), "--recording", str(paths[1]), "--speed", "2")
    code, summary = run.end()
    assert code == 0, run.error
    run.settled(summary)
    assert "recording first.gz second.gz" in run.output
    assert "the end of the recording" in run.output
    assert summary["flow"] == "recording"
    assert summary["seed"] is None
    assert summary["duration_s"] > 1.5  # of 4 s at twice the speed: nothing was played while processes started
    assert summary["orders_inserted"] >= 2
    assert summary["orders_amended"] > 0


DAMAGE = {
    "cut off": lambda raw, _: raw[: len(raw) // 2],
    "empty": lambda _raw, _lines: b"",
    "not gzip": lambda _, lines: b"".join(lines),
    "another kind": lambda _raw, _lines: gzip.compress(b'{"price": 1}\n'),
    "no snapshot": lambda _, lines: gzip.compress(b"".join(line for line in lines if b"lastUpdateId" not in line)),
    "broken JSON": lambda _, lines: gzip.compress(b"".join([*lines[:20], b"1700000000000000000 {\n", *lines[20:]])),
}


@pytest.mark.parametrize(
    "damage",
    [pytest.param(name, marks=() if number % 2 == 0 else pytest.mark.long) for number, name in enumerate(DAMAGE)],
)
def test_a_damaged_file_is_one_sentence_that_names_it(start, written, tmp_path, damage):
    path = tmp_path / "damaged.gz"
    path.write_bytes(DAMAGE[damage](written.read_bytes(), lines_of(written)))
    run = start("--recording", str(path))
    code, _ = run.end()
    assert code == 3
    assert run.error.startswith(f"mftpy: {path}")
    assert run.error.count("\n") == 1
    assert "P&L" not in run.output


def test_a_file_that_turns_out_damaged_while_it_plays_ends_the_run_with_nothing_resting(start, written, tmp_path):
    lines = lines_of(written)
    depths = [index for index, line in enumerate(lines) if b"depthUpdate" in line]
    missing = depths[len(depths) // 2]
    path = tmp_path / "gap.gz"
    path.write_bytes(gzip.compress(b"".join(lines[:missing] + lines[missing + 1 :])))
    run = start("--recording", str(path))
    code, summary = run.end()
    assert code == 3
    assert f"{path}, line" in run.error
    assert run.error.count("\n") == 1
    assert summary["orders_inserted"] >= 2
    assert summary["orders_left_open"] == 0
    assert summary["position_lots"] == summary["position_exchange_lots"]
