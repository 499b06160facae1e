"""One run from settings to report: lock, directory, supervisor, view, summary."""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from mftcore import MftError
from mftpy import config as configuration
from mftpy import journals
from mftpy.errors import HaltedError, MftpyError, ResourceError
from mftpy.execution.position import Waterfall
from mftpy.instance import InstanceLock, NotedRun, make_run_directory, new_run_id, state_directory
from mftpy.processes.jobs import Credentials, choose_placement
from mftpy.report import disagreements, report_text, summarise, to_json, write_whole
from mftpy.settings import Config
from mftpy.supervisor import Supervisor
from mftpy.view import View

CASH_TOLERANCE = 0.005
NO_LATENCY = {"p50": 0, "p90": 0, "p99": 0, "p999": 0, "max": 0, "count": 0}


class Display(Protocol):
    """Where a run is shown."""

    def start(self, banner: str) -> None:
        """Begin."""

    def update(self, now_s: float, screen: Callable[[int, int], Any], line: Callable[[], str]) -> None:
        """Show the state, if it is time to."""

    def stop(self) -> None:
        """End."""

    def say(self, text: str) -> None:
        """Print the result."""

    def complain(self, sentence: str) -> None:
        """Print what went wrong."""


def flow_words(config: Config) -> str:
    """Say in one phrase where the market comes from."""
    if config.websocket_url is not None:
        return f"exchange at {config.websocket_url}"
    if config.exchange.flow == "recording":
        names = " ".join(Path(path).name for path in config.exchange.recording)
        return f"recording {names}  speed {config.exchange.speed:g}"
    return f"flow {config.exchange.flow}  seed {config.exchange.seed}"


def _finish(previous: NotedRun | None) -> list[str]:
    """Bring to disk what the run before this one left in memory, if all its processes were killed."""
    try:
        if previous is not None:
            journals.finish(previous.directory)
    except MftError as error:
        return [f"the decisions of run {previous.run_id if previous else ''} could not all be kept: {error}"]
    return []


def _make_room(config: Config) -> list[str]:
    """Remove what the oldest runs in the state directory have kept beyond what may be kept."""
    if config.output.dir:
        return []
    runs = state_directory() / "runs"
    try:
        journals.remove_oldest(runs, config.output.decisions_mb)
    except (MftError, OSError) as error:
        return [f"the decisions of earlier runs in {runs} cannot be removed: {error}"]
    return []


def run(
    config: Config,
    credentials: Credentials | None,
    *,
    duration_s: float | None,
    verbose: bool,
    show: Callable[..., Display],
) -> int:
    """Run until the end and report; returns the exit code.

    Raises
    ------
    MftpyError
        It could not begin: cores, instance name, output directory, a model of the user's own that is not there.
    """
    if ":" in config.model.name:  # it takes a second; the built-in ones are there
        from mftpy.model import own

        own.find(config.model.name)
    logging.basicConfig(
        level=logging.INFO if verbose else logging.CRITICAL,
        format="%(asctime)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    run_id = new_run_id()
    placement = choose_placement(config)
    embedded = config.websocket_url is None
    with InstanceLock(config.venue.instance) as lock:
        directory = make_run_directory(config.output.dir, run_id)
        write_whole(directory, "config.toml", configuration.to_toml(config))
        supervisor = Supervisor(config, run_id, placement, credentials, config.websocket_url, directory)
        supervisor.outcome.warnings += [*_finish(lock.previous), *_make_room(config)]
        lock.note(run_id, directory)
        if placement.note:
            supervisor.outcome.warnings.append(placement.note)
        view = View(supervisor, config, flow_words(config), simulated=config.venue.network == "sim")
        display = show(quiet=config.output.json)
        latency = dict(NO_LATENCY)
        gone = False

        def observe(running: Supervisor) -> None:
            nonlocal gone
            if gone:
                return
            try:
                display.update(time.monotonic(), view.screen, view.line)
            except OSError as error:
                gone = True  # the terminal or pipe is gone: end in order, silently
                running.request_stop(f"the output being closed ({error.strerror})")
            except ResourceError as error:
                gone = True
                running.fail(error)

        stopped_ns = 0
        with supervisor.heeding_signals():
            display.start(view.banner)
            try:
                outcome = supervisor.run(duration_s, observe)
            finally:
                stopped_ns = supervisor.stopped_ns or time.monotonic_ns()
                if supervisor.links is not None:
                    with contextlib.suppress(MftpyError):
                        latency = supervisor.links.latency.summary()
                view.close()
                display.stop()
                if supervisor.links is not None:
                    supervisor.links.close()
        summary = summarise(
            run_id=run_id,
            config=config,
            flow=config.exchange.flow if embedded else "exchange",
            seed=config.exchange.seed if embedded and config.exchange.flow != "recording" else None,
            placement=placement,
            outcome=outcome,
            duration_s=(stopped_ns - supervisor.ready_ns) / 1e9 if supervisor.ready_ns else 0.0,
            latency=latency,
        )
        found = disagreements(summary, CASH_TOLERANCE)
        summary["errors"] += [sentence for sentence in found if sentence not in summary["errors"]]
        failure = outcome.failure or (HaltedError("; ".join(found)) if found else None)
        path: Path | None = None
        try:
            path = write_whole(directory, "summary.json", to_json(summary) + "\n")
        except ResourceError as error:  # a full disk must not hide what rests at the exchange
            summary["errors"].append(str(error))
            failure = failure or error
        text = to_json(summary)
        split = outcome.finals.get("execution", {}).get("split")
        try:
            if config.output.json:
                display.say(text)
            elif not gone and (failure is None or supervisor.ready_ns):  # what never quoted has nothing to report
                display.say(report_text(summary, Waterfall(*split) if split else None, outcome.ended_by, path))
        except ResourceError as error:
            failure = failure or error
    if failure is not None:
        in_doubt = outcome.in_doubt if outcome.in_doubt != str(failure) else ""
        display.complain(f"{failure}; {in_doubt}" if in_doubt else str(failure))
        return failure.exit_code
    return 0
