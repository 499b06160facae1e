"""Arguments and exit codes of the commands; ``mftpy.console`` prints.

What is heavy (Numba, the exchange, the view) is imported by the command that needs it, so that ``--help`` is quick.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import shlex
import stat
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mftcore.version import __version__
from mftpy import cli_explain, cli_model
from mftpy.console import Parser, complain, give_up_stdout, latency, port, positive, progress, say, whole
from mftpy.errors import ConfigError, MftpyError, not_installed

if TYPE_CHECKING:
    from mftpy.processes.jobs import Credentials
    from mftpy.settings import Config

EXIT_CODES: Final = """\
exit codes:
  0  done                     4  venue, login or connection
  2  usage or configuration   5  machine resources
  3  input file               6  halted by risk or by failures
  70 a defect of ours         130 Ctrl-C before anything was started"""

COMMANDS: Final = ("run", "exchange", "config", "model", "explain")
PLAIN_LINE_S: Final = 2.0
SCREEN_S: Final = 0.25


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="TOML file; see mftpy config init")
    parser.add_argument("--instrument", metavar="NAME", help="instrument to quote (default BTC-PERPETUAL)")
    parser.add_argument(
        "--recording",
        metavar="FILE",
        action="append",
        help="drive the embedded exchange from a recorded feed; again for the file that follows it",
    )
    parser.add_argument(
        "--flow", choices=("realistic", "model", "recording"), help="source of the embedded exchange's market"
    )
    parser.add_argument("--seed", type=whole, metavar="N", help="seed of the embedded exchange's flow")
    parser.add_argument("--speed", type=positive, metavar="X", help="play a recording so many times faster")
    parser.add_argument("--tick", type=positive, metavar="SIZE", help="price step of a recording, if not its own")
    parser.add_argument("--lot", type=positive, metavar="SIZE", help="size step of a recording, if not its own")
    parser.add_argument("--latency", type=latency, metavar="MS,JITTER", help="added to the embedded exchange, each way")
    parser.add_argument("--faults", metavar="FILE", help="what the embedded exchange does wrong on purpose")


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(
        prog="mftpy",
        description="A market maker in three processes over shared memory. Without a command it runs.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"mftpy {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)

    run = commands.add_parser("run", help="quote (the default)", allow_abbrev=False, description="Quote.")
    _common(run)
    run.add_argument("--network", choices=("sim", "testnet", "prod"), help="which exchange (default sim: embedded)")
    run.add_argument("--url", metavar="WS_URL", help="address of the exchange, in place of the network's own")
    run.add_argument("--live", action="store_true", help="real money: needed for --network prod")
    run.add_argument("--instance", metavar="NAME", help="name of this instance; one of a name runs at a time")
    run.add_argument("--mode", choices=("processes", "single"), help="three processes (the default), or one")
    run.add_argument("--duration", type=positive, metavar="SECONDS", help="stop after so long")
    run.add_argument("--out", metavar="DIR", help="where summary.json goes")
    run.add_argument("--json", action="store_true", default=None, help="print summary.json in place of the report")
    run.add_argument("-v", "--verbose", action="store_true", help="show log messages")
    run.set_defaults(action=_run)

    exchange = commands.add_parser("exchange", help="run the embedded exchange alone", allow_abbrev=False)
    _common(exchange)
    exchange.add_argument("--port", type=port, default=None, metavar="N", help="loopback port (default: any free one)")
    exchange.add_argument("--keys", metavar="DIR", help="where the clients' private keys are written")
    exchange.add_argument("--accounts", type=whole, metavar="N", help="accounts, with a key each (default 2)")
    exchange.add_argument("--fault", metavar="TEXT", help="send a command about faults to the exchange at --control")
    exchange.add_argument("--control", metavar="SOCKET", help="control.sock in the keys directory of that exchange")
    exchange.add_argument("--write-recording", metavar="FILE", help="write a recording of the model flow and end")
    exchange.add_argument(
        "--format",
        choices=("usd-m", "coin-m", "spot"),
        default="usd-m",
        help="exchange whose streams it is in (default usd-m)",
    )
    exchange.add_argument("--seconds", type=positive, default=30.0, metavar="S", help="length of it (default 30)")
    exchange.add_argument("--study", action="store_true", help="measure what quoting earns on it, print the table, end")
    exchange.add_argument("--seeds", type=whole, default=200, metavar="N", help="markets of the study (default 200)")
    exchange.add_argument("--hours", type=positive, default=1.0, metavar="H", help="length of each (default 1)")
    exchange.add_argument("--json", action="store_true", help="the study as JSON, every run in it")
    exchange.set_defaults(action=_exchange)

    config = commands.add_parser("config", help="show, check or begin a configuration", allow_abbrev=False)
    actions = config.add_subparsers(dest="config_command", metavar="ACTION", required=True, parser_class=Parser)
    show = actions.add_parser("show", help="every setting: unit, default, value, meaning", allow_abbrev=False)
    show.add_argument("--config", metavar="FILE")
    check = actions.add_parser("check", help="say what is wrong with a file, if anything", allow_abbrev=False)
    check.add_argument("file", nargs="?", metavar="FILE")
    init = actions.add_parser("init", help="write a commented file to start from", allow_abbrev=False)
    init.add_argument("file", nargs="?", default="mftpy.toml", metavar="FILE")
    config.set_defaults(action=_config)

    cli_model.add(commands)
    cli_explain.add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    _open_standard_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or (words[0] not in COMMANDS and words[0] not in ("-h", "--help", "--version")):
        if words and not words[0].startswith("-"):
            complain(f"there is no command {words[0]!r}; the commands are {', '.join(COMMANDS)}; see mftpy --help")
            return 2
        words.insert(0, "run")
    options = build_parser().parse_args(words)
    action: Callable[[argparse.Namespace], int] = options.action
    try:
        return action(options)
    except MftpyError as error:
        complain(str(error))
        return error.exit_code
    except ModuleNotFoundError as missing:
        complain(str(not_installed(missing)))
        return not_installed(missing).exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0  # whoever read our output is gone: nobody is left to tell; what ran was stopped in order before this
    except Exception as error:
        if vars(options).get("verbose"):
            traceback.print_exception(error)
        complain(f"a defect of ours: {type(error).__name__}: {error}; please report it with what -v shows")
        raise SystemExit(70) from error


def _open_standard_streams() -> None:
    """Put the null device where a standard stream was closed: else the next file or socket would take its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _overrides(options: argparse.Namespace) -> dict[str, Any]:
    given = vars(options)
    return {
        "venue.network": given.get("network"),
        "venue.url": given.get("url"),
        "venue.instrument": given.get("instrument"),
        "venue.instance": given.get("instance"),
        "exchange.flow": given.get("flow"),
        "exchange.seed": given.get("seed"),
        "exchange.recording": _absolute(given.get("recording")),
        "exchange.speed": given.get("speed"),
        "exchange.tick_size": given.get("tick"),
        "exchange.lot_size": given.get("lot"),
        "exchange.port": given.get("port"),
        "exchange.accounts": given.get("accounts"),
        "exchange.latency_ms": (given.get("latency") or (None, None))[0],
        "exchange.jitter_ms": (given.get("latency") or (None, None))[1],
        "exchange.faults": None if given.get("faults") is None else str(Path(given["faults"]).absolute()),
        "system.mode": given.get("mode"),
        "output.dir": given.get("out"),
        "output.json": given.get("json"),
    }


def _absolute(paths: list[str] | None) -> list[str] | None:
    return None if paths is None else [str(Path(path).absolute()) for path in paths]


def _config(options: argparse.Namespace) -> int:
    from mftpy import config

    if options.config_command == "show":
        say(config.show(config.load(options.config)), end="")
    elif options.config_command == "check":
        sentence = config.check(options.file) if options.file else "the default settings are consistent"
        if options.file and ":" in (name := config.load(options.file, live=True).model.name):
            from mftpy.model import own

            own.find(name)
        say(sentence)
    else:
        path = Path(options.file)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(config.to_toml(as_comments=True))
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}; name another file") from error
        say(f"wrote {path}: every setting with its default, commented out")
    return 0


def _exchange(options: argparse.Namespace) -> int:
    from mftpy.config import load
    from mftpy.sim.settings import ExchangeSettings

    if options.fault is not None:
        return _command_fault(options.fault, options.control)
    if options.study:
        return _study(options)
    config = load(options.config, _overrides(options))
    settings = ExchangeSettings(**config.exchange_arguments())
    if options.write_recording is not None:
        from mftpy.sim.recording_format import Kind
        from mftpy.sim.recording_writer import write_recording

        write_recording(options.write_recording, options.seconds, settings, Kind(options.format))
        say(
            f"wrote {options.write_recording}: {options.seconds:g} s of the model flow in {options.format} streams, "
            f"seed {settings.seed}"
        )
        return 0
    from mftpy.sim.server import ReadyInfo, ServerSettings, serve_alone

    if options.keys is None:
        raise ConfigError("mftpy exchange needs --keys DIR, where it writes the keys that clients log in with")

    def ready(info: ReadyInfo, key_paths: list[Path], control: Path) -> None:
        say(
            f"SIMULATED exchange at {info.url}; in another shell:\n"
            f"export THALEX_KEY_ID={info.clients[0].key_id}\n"
            f"export THALEX_KEY_FILE={shlex.quote(str(key_paths[0]))}\n"
            f"python -m mftpy --url {info.url}"
        )
        for client, path in zip(info.clients[1:], key_paths[1:], strict=True):
            say(f"another account, {client.account}: key {client.key_id} in {shlex.quote(str(path))}")
        say(f"faults by command: python -m mftpy exchange --control {shlex.quote(str(control))} --fault list")

    how = serve_alone(settings, ServerSettings.of(config), Path(options.keys), ready)
    if how:
        say(f"ended by {how}")
    return 0


def _command_fault(line: str, control: str | None) -> int:
    """Send one line to the control channel of a running exchange, and print its answer."""
    import json

    from mftpy.sim.faults_control import send_command

    if control is None:
        raise ConfigError("--fault needs --control SOCKET: control.sock in the --keys directory of a running exchange")
    answer = send_command(control, line)
    for fault in answer.get("faults", [answer]):
        say(json.dumps(fault))
    return 0


def _study(options: argparse.Namespace) -> int:
    import json

    from mftpy.study import running
    from mftpy.study.table import Table

    if options.seeds < 1:
        raise ConfigError("a study needs at least one market: --seeds 1")
    if options.hours < 1 / 3600:
        raise ConfigError("a study needs at least a second of each market: --hours 0.001")

    rows = running.run(options.seeds, options.hours, lambda done, of: progress(f"{done} of {of} runs", last=done == of))
    table = Table(rows)
    say(json.dumps({**table.summary(), "runs": running.as_json(rows)}, indent=1) if options.json else table.text())
    return 0


def _credentials(config: Config) -> Credentials | None:
    """Return the key for an exchange elsewhere; None when the embedded one makes its own.

    Raises
    ------
    ConfigError
        Key id or file are not set, the file is not there, or others may read it. Execution alone reads its content.
    """
    from mftpy.processes.jobs import Credentials

    if config.websocket_url is None:
        return None
    key_id, key_file = os.environ.get("THALEX_KEY_ID", ""), os.environ.get("THALEX_KEY_FILE", "")
    if not key_id or not key_file:
        raise ConfigError(
            f"{config.websocket_url} needs a login: set THALEX_KEY_ID to the key's name and THALEX_KEY_FILE to its file"
        )
    try:
        mode = Path(key_file).stat().st_mode
    except OSError as error:
        raise ConfigError(f"cannot read the key file {key_file}: {error.strerror}; set THALEX_KEY_FILE") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"the key file {key_file} is not a file; set THALEX_KEY_FILE")
    if mode & 0o077:
        raise ConfigError(f"the key file {key_file} can be read by others; run: chmod 600 {key_file}")
    return Credentials(key_id, key_file=str(Path(key_file).absolute()))


def _run(options: argparse.Namespace) -> int:
    from mftpy.config import load

    config = load(options.config, _overrides(options), live=options.live)
    credentials = _credentials(config)
    from mftpy.running import run

    return run(config, credentials, duration_s=options.duration, verbose=options.verbose, show=_Display)


class _Display:
    """Where a run is shown: live on a terminal, a plain line now and then elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._last_s = -math.inf
        self._live: Any = None

    def start(self, banner: str) -> None:
        """Begin; the banner says what this is."""
        if self._quiet:
            return
        if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
            from rich.live import Live

            self._live = Live(screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
            self._live.start()
        else:
            say(banner)

    def update(self, now_s: float, screen: Callable[[int, int], Any], line: Callable[[], str]) -> None:
        """Show the state, if it is time to."""
        if self._quiet:
            return
        if self._live is not None:
            if now_s - self._last_s >= SCREEN_S:
                self._last_s = now_s
                if not sys.stdout.isatty():  # hung up: rich would then write nothing and not say so
                    raise OSError(errno.EIO, "the terminal was closed")
                self._live.update(screen(*self._live.console.size), refresh=True)
        elif now_s - self._last_s >= PLAIN_LINE_S:
            self._last_s = now_s
            say(line())

    def stop(self) -> None:
        """End; the terminal, if it is still there, is as it was."""
        live, self._live = self._live, None
        if live is not None:
            try:
                live.stop()
            except OSError:
                give_up_stdout()  # the terminal was closed: there is nothing to restore

    @staticmethod
    def say(text: str) -> None:
        """Print the result."""
        say(text)

    @staticmethod
    def complain(sentence: str) -> None:
        """Print what went wrong."""
        complain(sentence)
