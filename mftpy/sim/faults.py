"""What the exchange may do wrong on purpose: the kinds of fault, their fields, and the file they are read from.

Data and nothing else; `mftpy.sim.faults_injector` does it. See ``docs/exchange-faults.md``.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from mftpy.errors import ConfigError

MOST_FILE_BYTES: Final = 1 << 20
MOST_S: Final = 1e7

Seconds = Annotated[float, Meta(ge=0, le=MOST_S)]
Length = Annotated[float, Meta(gt=0, le=MOST_S)]
Period = Annotated[float, Meta(ge=1e-3, le=MOST_S)]


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry: what happens, when, and to whom.

    Attributes
    ----------
    kind : str
        A key of `KINDS`, which says which of the other fields it takes.
    at_s : float or None
        Seconds from the exchange's start (or from the command, at run time) to the first occasion; None: at once, or
        after the first `every_s`.
    every_s : float or None
        Seconds from one occasion to the next; None for one occasion alone.
    duration_s : float or None
        How long an occasion lasts; None: until `count` messages were hit, or without end.
    count : int or None
        Most messages that are hit on one occasion; of what happens once each time, the number of occasions.
    probability : float
        Of each message, or each occasion, being hit; drawn from random numbers of the entry's own.
    sessions : "all", "logged in" or tuple of int
        Which connections, by the order in which they were opened.
    channels, methods : tuple of str
        Globs for notices and for requests (or their answers). Neither: every message.
    direction : "out" or "in"
        What the exchange sends, or what it receives.
    """

    kind: str
    at_s: Seconds | None = None
    every_s: Period | None = None
    duration_s: Length | None = None
    count: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    probability: Annotated[float, Meta(gt=0, le=1)] = 1.0
    sessions: Literal["all", "logged in"] | tuple[Annotated[int, Meta(ge=1)], ...] = "all"
    channels: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    direction: Literal["out", "in"] = "out"
    delay_ms: Annotated[float, Meta(gt=0, le=600_000)] = 0.0
    form: Literal["bytes", "text"] = "bytes"
    code: Annotated[int, Meta(ge=1, le=10_000)] = 0
    message: str = ""
    offset_s: Annotated[float, Meta(ge=-MOST_S, le=MOST_S)] = 0.0
    notice_s: Annotated[float, Meta(ge=10, le=MOST_S)] = 10.0
    pause_s: Seconds = 2.0


@dataclass(frozen=True)
class Kind:
    """What a kind of fault does, and which fields an entry of it may have besides the times.

    Attributes
    ----------
    doc : str
    hits : str
        ``messages``: each one that matches, while an occasion lasts. ``span``: something begins and ends. ``moment``:
        something happens once on each occasion.
    fields : tuple of str
    required : tuple of str
    methods, channels : tuple of str
        Where an entry names none.
    """

    doc: str
    hits: Literal["messages", "span", "moment"]
    fields: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    @property
    def all_fields(self) -> tuple[str, ...]:
        """Every field of an entry, in the order in which they are documented."""
        times = {
            "messages": ("at_s", "every_s", "duration_s", "count"),
            "span": ("at_s", "every_s", "duration_s", "count"),
            "moment": ("at_s", "every_s", "count"),
        }[self.hits]
        return ("kind", *times, "probability", *self.fields)


INSERTS: Final = ("private/insert", "private/buy", "private/sell")
MATCHING: Final = (*INSERTS, "private/amend")
_WHICH: Final = ("sessions", "channels", "methods")

KINDS: Final[dict[str, Kind]] = {
    "drop": Kind("The message is lost.", "messages", (*_WHICH, "direction")),
    "delay": Kind(
        "The message comes `delay_ms` late; what is not delayed overtakes it.",
        "messages",
        (*_WHICH, "direction", "delay_ms"),
        required=("delay_ms",),
    ),
    "duplicate": Kind("The message comes twice.", "messages", (*_WHICH, "direction")),
    "reorder": Kind(
        "An answer and the notices of the same turn come in the other order.",
        "messages",
        ("sessions", "methods"),
        methods=("private/*",),
    ),
    "truncated_frame": Kind("Half of the message's frame, and the end of the connection.", "messages", _WHICH),
    "garbage_frame": Kind(
        'Before the message comes one that is none: bytes that are no frame (`form = "bytes"`), or a good frame with '
        'text that is no JSON (`form = "text"`; `message` says which).',
        "messages",
        (*_WHICH, "form", "message"),
    ),
    "stuck_feed": Kind(
        "Notices are lost; answers and pings go on.", "messages", ("sessions", "channels"), channels=("*",)
    ),
    "half_open": Kind(
        "Nothing is read from the connections that are there, or sent to them; their sockets stay. When it ends they "
        "are reset.",
        "span",
        ("sessions",),
    ),
    "throttle_storm": Kind(
        "Requests are refused with code 4, throttle exceeded.", "messages", ("sessions", "methods"), methods=MATCHING
    ),
    "session_kill": Kind("Connections are reset (RST).", "moment", ("sessions",)),
    "planned_restart": Kind(
        "`system` says `reconnect`; `notice_s` later (at least 10) every connection is closed with 1012, and new ones "
        "are refused for `pause_s`. What rests persists; non-persistent orders go.",
        "moment",
        ("notice_s", "pause_s"),
    ),
    "crossed_book": Kind(
        "A bid at or above the asks appears in the book; the first notice after the occasion takes it away.",
        "messages",
        ("sessions", "channels"),
        channels=("book.*",),
    ),
    "frozen_book": Kind(
        "Book notices are held back and come together at the end of the occasion; without an end they are lost.",
        "span",
        ("sessions", "channels"),
        channels=("book.*",),
    ),
    "missing_change": Kind(
        "One changed level is left out of a book notice.", "messages", ("sessions", "channels"), channels=("book.*",)
    ),
    "clock_offset": Kind(
        "The exchange's clock is `offset_s` ahead (behind, if negative): in its stamps and for logins.",
        "span",
        ("offset_s",),
        required=("offset_s",),
    ),
    "reject_storm": Kind(
        "Requests are refused with `code`, and `message` as its text.",
        "messages",
        ("sessions", "methods", "code", "message"),
        required=("code",),
        methods=INSERTS,
    ),
    "maintenance": Kind(
        "Requests are refused with code 20, temporary failure; `public/system_info` shows `message` as a banner.",
        "messages",
        ("sessions", "methods", "message"),
        methods=MATCHING,
    ),
    "existing_replay": Kind(
        "Orders are sent again as on subscribing: `change_reason` `existing`, with all their fills.",
        "moment",
        ("sessions",),
    ),
}


class Plan(msgspec.Struct, frozen=True):
    """A file of faults.

    Attributes
    ----------
    faults : tuple of Fault
    seed : int
        Of all that is drawn.
    """

    faults: tuple[Fault, ...] = ()
    seed: int = 1


def read_plan(path: str | Path) -> Plan:
    """Read a file of faults.

    Raises
    ------
    ConfigError
        It cannot be read, is no TOML, or has an entry that is none. One sentence, naming file, entry and key.
    """
    name = str(path) if str(path).isprintable() else repr(str(path))
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_FILE_BYTES + 1)
        if len(content) > MOST_FILE_BYTES:
            raise ConfigError(f"{name}: is larger than {MOST_FILE_BYTES} bytes, which no file of faults needs")
        tables = tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}; name a file of faults") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested too deeply to be a file of faults") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: is not UTF-8 text") from error
    except ValueError as error:  # TOMLDecodeError, an impossible name, integers of thousands of digits
        raise ConfigError(f"{name}: is not valid TOML: {error}") from error
    for key in tables:
        if key not in ("seed", "fault"):
            raise ConfigError(f"{name}: unknown key {_plain(key)}; known are seed and [[fault]]")
    seed, entries = tables.get("seed", 1), tables.get("fault", [])
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise ConfigError(f"{name}: seed must be a whole number from 0 up, not {_shown(seed)}")
    if not isinstance(entries, list):
        raise ConfigError(f"{name}: fault must be a list of tables, [[fault]]")
    faults = tuple(make_fault(entry, f"{name}: fault {number}") for number, entry in enumerate(entries, 1))
    return Plan(faults, seed)


def make_fault(entry: Any, where: str) -> Fault:
    """Check one entry.

    Raises
    ------
    ConfigError
        With one sentence that begins with `where` and names the key.
    """
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: must be a table with a kind, not {_shown(entry)}")
    name = entry.get("kind")
    if not isinstance(name, str) or name not in KINDS:
        raise ConfigError(f"{where}: kind must be one of {', '.join(KINDS)}, not {_shown(name)}")
    kind, where = KINDS[name], f"{where} ({name})"
    for key in entry:
        if key not in kind.all_fields:
            close = difflib.get_close_matches(key, kind.all_fields, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(kind.all_fields)}"
            raise ConfigError(f"{where}: unknown key {_plain(key)}; {hint}")
    for key in kind.required:
        if key not in entry:
            raise ConfigError(f"{where}: {key} is missing")
    try:
        fault = msgspec.convert(entry, Fault)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_in_words(str(error))}") from error
    _check_times(fault, kind, where)
    return fault


def _check_times(fault: Fault, kind: Kind, where: str) -> None:
    if fault.every_s is None:
        return
    if fault.duration_s is not None and fault.duration_s > fault.every_s:
        raise ConfigError(f"{where}: duration_s ({fault.duration_s:g}) is more than every_s ({fault.every_s:g})")
    if kind.hits == "span" and fault.duration_s is None:
        raise ConfigError(f"{where}: every_s needs a duration_s: else it would not end before it begins again")
    if kind.hits == "messages" and fault.duration_s is None and fault.count is None:
        raise ConfigError(f"{where}: every_s needs a duration_s or a count: else it would never end")


def parse_command(line: str) -> tuple[str, Any]:
    """Read one line of the control channel.

    Returns
    -------
    tuple
        ``("add", Fault)``, ``("clear", number or None)`` or ``("list", None)``.

    Raises
    ------
    ConfigError
        It is none of these.
    """
    words = line.split()
    if words in (["list"], ["clear"]):
        return words[0], None
    if len(words) == 2 and words[0] == "clear" and re.fullmatch(r"\d{1,9}", words[1], re.ASCII):
        return "clear", int(words[1])
    try:
        is_json = line.lstrip().startswith("{")
        entry = msgspec.json.decode(line) if is_json else tomllib.loads(f"fault = {{{line}}}")["fault"]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{_shown(line)} is no command; write list, clear, clear NUMBER, or a fault such as "
            'kind = "drop", count = 1'
        ) from error
    return "add", make_fault(entry, "the fault")


def _in_words(fault: str) -> str:
    """Turn msgspec's words about a value into ours."""
    text, _, place = fault.partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    text = text.replace("`", "").replace("Expected ", "expected ").replace(" | null", "")
    return f"{key}: {text}" if key else text


def _plain(name: str) -> str:
    return name if name.isprintable() and len(name) <= 40 else _shown(name)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
