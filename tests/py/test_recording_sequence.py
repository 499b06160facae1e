"""Several recorded files, one after another: continued, begun anew or refused, and never with a hole in between."""

import gzip
from pathlib import Path

import pytest

from mftpy.errors import InputFileError
from mftpy.sim.recording import Depth, Join, Print, Recording
from mftpy.sim.recording_format import Kind
from mftpy.sim.recording_sync import MOST_SILENCE_NS
from mftpy.sim.recording_writer import write_recording
from mftpy.sim.settings import ExchangeSettings
from tests.py.test_recording import SNAPSHOT, depth, made, spot_depth, trade

S = 10**9


@pytest.mark.parametrize("kind", list(Kind))
def test_a_recording_cut_in_two_plays_as_the_whole(tmp_path, kind):
    """The collector begins a new file at midnight, without a snapshot; the first line of it may be of any stream."""
    whole = tmp_path / "whole.gz"
    write_recording(str(whole), 6, ExchangeSettings(seed=5), kind)
    lines = gzip.decompress(whole.read_bytes()).splitlines(keepends=True)
    streams = {b"@depth", b"@bookTicker", b"@trade"}
    for stream in streams:
        cut = next(number for number, line in enumerate(lines) if number > 40 and stream in line)
        parts = [made(tmp_path / "1.gz", *lines[:cut]), made(tmp_path / "2.gz", *lines[cut:])]
        recording = Recording(parts)
        played = [event._replace(line=0) for event in recording.synchronised()]
        assert played == [event._replace(line=0) for event in Recording(str(whole)).synchronised()]
        assert [(join.path, join.resynchronised) for join in recording.joins] == [(parts[1], False)]
        with pytest.raises(InputFileError, match=r"2\.gz: begins earlier|2\.gz: no depth snapshot"):
            list(Recording(parts[::-1]).synchronised())


def first_file(tmp_path, **options):
    return made(tmp_path / "1.gz", SNAPSHOT, depth(11, 12, 10, bids=[["99.5", "1"]]), **options)


LATER = {"lastUpdateId": 50, "bids": [["90.0", "1.000"]], "asks": [["90.5", "2.001"]]}


def test_a_file_with_a_snapshot_of_its_own_begins_anew_from_it(tmp_path):
    second = made(
        tmp_path / "2.gz",
        depth(48, 49, 40),
        trade("90.0", "1.000", sold=True),  # before the book is known: passed over
        depth(50, 52, 49, bids=[["89.0", "1"]]),
        LATER,
        depth(53, 54, 52),
        trade("90.0", "1.000", sold=True),
        begin_ns=2 * S,
    )
    recording = Recording([first_file(tmp_path), second])
    events = list(recording.synchronised())
    assert [event.final_id for event in events if isinstance(event, Depth)] == [10, 12, 50, 52, 54]
    assert [event.snapshot for event in events if isinstance(event, Depth)] == [True, False, True, False, False]
    assert len([event for event in events if isinstance(event, Print)]) == 1
    assert recording.joins == [Join(second, 2 * S - 1, 2 * S - 1, resynchronised=True)]


def test_of_the_silence_between_files_a_few_seconds_are_played(tmp_path):
    second = made(tmp_path / "2.gz", depth(13, 14, 12), depth(15, 16, 14), begin_ns=3600 * S)
    third = made(tmp_path / "3.gz", depth(17, 18, 16), begin_ns=3601 * S)
    recording = Recording([first_file(tmp_path), second, third])
    stamps = [event.local_ns for event in recording.synchronised()]
    assert stamps == [0, 1, 1 + MOST_SILENCE_NS, 2 + MOST_SILENCE_NS, 1 + MOST_SILENCE_NS + S]
    assert [(join.silence_ns, join.played_ns) for join in recording.joins] == [
        (3600 * S - 1, MOST_SILENCE_NS),
        (S - 1, S - 1),
    ]


def refusal(paths):
    with pytest.raises(InputFileError) as caught:
        list(Recording(paths).synchronised())
    sentence = str(caught.value)
    assert sentence.removeprefix("cannot read ").startswith(paths[-1])
    assert "\n" not in sentence
    return sentence


def test_files_that_overlap_or_go_back_are_refused(tmp_path):
    first = first_file(tmp_path, begin_ns=S)
    assert "begins earlier than" in refusal([first, made(tmp_path / "a.gz", depth(13, 14, 12))])
    overlap = made(tmp_path / "c.gz", depth(11, 12, 10), begin_ns=2 * S)
    assert "line 1: goes on from the update 10" in refusal([first, overlap])
    old = made(tmp_path / "d.gz", {**SNAPSHOT, "lastUpdateId": 11}, depth(12, 13, 11), begin_ns=2 * S)
    assert "line 1: goes on from the update 11" in refusal([first, old])
    assert "line 1: begins" in refusal([first, made(tmp_path / "e.gz", depth(13, 14, 12), begin_ns=S)])


def test_files_with_a_hole_between_them_are_refused(tmp_path):
    missing = made(tmp_path / "2.gz", depth(15, 16, 14), depth(17, 18, 16), begin_ns=S)
    assert "line 1: goes on from the update 14" in refusal([first_file(tmp_path), missing])
    hole = made(tmp_path / "3.gz", depth(15, 16, 14), LATER, depth(60, 61, 55), begin_ns=S)
    assert "line 3: depth updates are missing" in refusal([first_file(tmp_path), hole])


def test_files_of_different_markets_are_refused(tmp_path):
    first = first_file(tmp_path)
    spot = made(tmp_path / "2.gz", {**SNAPSHOT, "lastUpdateId": 20}, spot_depth(21, 22), begin_ns=S)
    assert "holds spot streams of x, but" in refusal([first, spot])
    other = made(tmp_path / "3.gz", depth(13, 14, 12, stream="y"), begin_ns=S)
    assert "holds USD-M streams of y" in refusal([first, other])


def test_a_later_file_that_is_missing_or_damaged_is_named(tmp_path):
    first = first_file(tmp_path)
    assert "cannot read" in refusal([first, str(tmp_path / "none.gz")])
    second = Path(made(tmp_path / "2.gz", depth(13, 14, 12), begin_ns=S))
    second.write_bytes(second.read_bytes()[:-9])
    assert "line 1: cut off" in refusal([first, str(second)])


def test_the_steps_are_those_of_all_files(tmp_path):
    second = made(tmp_path / "2.gz", depth(13, 14, 12, bids=[["99.51", "0.0005"]]), begin_ns=S)
    recording = Recording([first_file(tmp_path), second])
    assert (float(recording.tick_size), float(recording.lot_size)) == (0.01, 0.0005)
