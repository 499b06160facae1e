"""What a run says when it has ended, also when nothing can be written any more."""

import contextlib
import json
import shutil
from types import SimpleNamespace

import pytest

from mftpy import config, running
from mftpy.errors import VenueError
from mftpy.supervisor import Outcome


class Shown:
    """A display that keeps what is said."""

    def __init__(self):
        self.said, self.complaints = [], []
        self.say, self.complain = self.said.append, self.complaints.append

    def start(self, banner):
        pass

    def update(self, *_):
        pass

    def stop(self):
        pass


@pytest.fixture
def ended(monkeypatch, tmp_path):
    """Returns a function that runs a supervisor which loses its directory, and ends with that outcome."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def end(outcome, *, json_asked=False):
        def made(*_):
            def run(_duration_s, _observe):
                shutil.rmtree(tmp_path / "out")
                return outcome

            return SimpleNamespace(
                outcome=outcome, links=None, run=run, heeding_signals=contextlib.nullcontext, ready_ns=1, stopped_ns=2
            )

        monkeypatch.setattr(running, "Supervisor", made)
        monkeypatch.setattr(running, "View", lambda *_, **__: SimpleNamespace(banner="", close=lambda: None))
        settings = config.load(None, {"output.dir": str(tmp_path / "out"), "output.json": json_asked})
        shown = Shown()
        code = running.run(settings, None, duration_s=None, verbose=False, show=lambda **_: shown)
        return code, shown

    return end


def test_a_summary_that_cannot_be_written_hides_no_order_that_may_rest(ended):
    in_doubt = "could not make sure that no order is left at ws://x: look there yourself, now"
    code, shown = ended(Outcome(failure=VenueError("lost"), errors=["lost"], in_doubt=in_doubt, warnings=["a warning"]))
    assert code == 4  # what ended the run, not what came after
    assert shown.complaints == [f"lost; {in_doubt}"]
    (report,) = shown.said
    for words in ("P&L", "a warning", "cannot write", "summary.json"):
        assert words in report
    assert "files" not in report


@pytest.mark.parametrize("json_asked", [False, True])
def test_a_run_whose_only_failure_is_the_summary_still_reports(ended, json_asked):
    code, shown = ended(Outcome(ended_by="Ctrl-C"), json_asked=json_asked)
    assert code == 5
    (report,) = shown.said
    (complaint,) = shown.complaints
    assert "cannot write" in complaint
    if json_asked:
        assert json.loads(report)["errors"] == [complaint]
    else:
        assert "ended by Ctrl-C" in report
