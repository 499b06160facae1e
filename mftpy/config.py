"""Reads and checks the settings of a run: one TOML file, typed, unknown keys refused, flags on top.

The functions return values or text; only the command line prints.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import re
import stat
import textwrap
import tomllib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from mftpy.errors import ConfigError
from mftpy.settings import (
    NETWORK_URLS,
    Config,
    Exchange,
    Fees,
    Key,
    Limits,
    Model,
    Output,
    Quoting,
    System,
    Venue,
)  # fmt: skip
from mftpy.settings_quoting import PARAMETERS_MOST, contradiction

__all__ = [
    "SETTINGS", "Config", "Exchange", "Fees", "Key", "Limits", "Model", "Output", "Quoting", "System", "Venue",
    "check", "load", "show", "to_toml",
]  # fmt: skip

MAX_FILE_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class _Setting:
    """One setting: its place, type, documentation and default."""

    section: str
    name: str
    type: Any
    key: Key
    default: Any

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"


def _read_settings() -> dict[str, dict[str, _Setting]]:
    found: dict[str, dict[str, _Setting]] = {}
    for section, section_type in get_type_hints(Config).items():
        hints = get_type_hints(section_type, include_extras=True)
        found[section] = {}
        for item in dataclasses.fields(section_type):
            value_type, key = get_args(hints[item.name])
            found[section][item.name] = _Setting(section, item.name, value_type, key, item.default)
    return found


SETTINGS: Final = _read_settings()
"""Every setting by section and name, read from the classes above."""


def load(path: str | Path | None = None, overrides: Mapping[str, Any] | None = None, *, live: bool = False) -> Config:
    """Read, merge and check all settings.

    Parameters
    ----------
    path : str, Path or None
        TOML file; None for the defaults alone.
    overrides : mapping of str to object, optional
        Values that outrank the file, by dotted name such as ``"venue.network"``; None means not given.
    live : bool
        Whether the user has said that real money may be used; ``prod`` is refused otherwise.

    Raises
    ------
    ConfigError
        The file cannot be read or is no TOML; a key is unknown, or a value of the wrong type, out of range, or at odds
        with another. One sentence, naming file and key.
    """
    given: dict[str, dict[str, Any]] = {section: {} for section in SETTINGS}
    if path is not None:
        _merge(given, _parse(path), _file(path))
    for dotted, value in (overrides or {}).items():
        if value is not None:
            section, _, name = dotted.partition(".")
            _merge(given, {section: {name: value}}, "command line")
    if given["exchange"].get("recording"):
        given["exchange"].setdefault("flow", "recording")
    hints = get_type_hints(Config)
    config = Config(**{section: hints[section](**values) for section, values in given.items()})
    where = "configuration" if path is None else _file(path)
    if path is not None and any(value is not None for value in (overrides or {}).values()):
        where += " with the flags given"
    _check_together(config, where, live)
    return config


def _parse(path: str | Path) -> dict[str, Any]:
    """Return the tables of a TOML file."""
    name = _file(path)
    try:
        info = Path(path).stat()
        if stat.S_ISDIR(info.st_mode):
            raise ConfigError(f"{name}: is a directory; name the TOML file itself")
        if not stat.S_ISREG(info.st_mode):
            raise ConfigError(f"{name}: is not a regular file")
        if info.st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{name}: has {info.st_size} bytes, which no configuration needs; is it the right file?")
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise ConfigError(f"{name}: there is no such file; `mftpy config init` writes one") from error
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{name} cannot be the name of a file: {error}") from error
    if content.startswith(b"\xef\xbb\xbf"):
        raise ConfigError(f"{name}: begins with a byte order mark, which TOML forbids; save it as UTF-8 without one")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}: line {line} is not UTF-8 text; save the file as UTF-8") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested too deeply to be a configuration") from error
    except ValueError as error:  # TOMLDecodeError, and integers of thousands of digits
        raise ConfigError(f"{name}: {_toml_fault(content.decode('utf-8'), str(error))}") from error


def _toml_fault(text: str, fault: str) -> str:
    """Return what is wrong with a file that is not TOML; a key that is there twice by its name."""
    place = re.search(r"at line (\d+)", fault)
    if place is not None and "overwrite a value" in fault:
        key, equals, _ = text.split("\n")[int(place[1]) - 1].partition("=")
        if equals:
            return f"line {place[1]}: {_plain(key.strip())} has a value already"
    return f"is not valid TOML: {fault}"


def _merge(given: dict[str, dict[str, Any]], tables: Mapping[str, Any], where: str) -> None:
    """Check values one by one and add them to what is given."""
    for section, values in tables.items():
        if section not in SETTINGS:
            raise ConfigError(f"{where}: unknown section [{_plain(section)}]; {_nearest(section, list(SETTINGS))}")
        if not isinstance(values, dict):
            raise ConfigError(f"{where}: {section} must be a section, [{section}], not {_shown(values)}")
        for name, value in values.items():
            setting = SETTINGS[section].get(name)
            if setting is None:
                raise ConfigError(f"{where}: unknown key {section}.{_plain(name)}; {_nearest_key(section, name)}")
            given[section][name] = _checked(setting, value, where)


def _checked(setting: _Setting, value: Any, where: str) -> Any:
    """Return a value in its declared type, or say what it must be."""
    for kind in _alternatives(setting.type):
        match = _as_kind(kind, value, setting.key)
        if match is not None:
            return match
    raise ConfigError(f"{where}: {setting.path} must be {_expected(setting)}, not {_shown(value)}")


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def _as_kind(kind: Any, value: Any, key: Key) -> Any:
    """Return the value when it is of this type and in range, else None."""
    if get_origin(kind) is Literal:
        return value if isinstance(value, str) and value in get_args(kind) else None
    if get_origin(kind) is tuple:
        item_kind = get_args(kind)[0]
        if item_kind is str and isinstance(value, str):
            value = [value] if value else []
        if not isinstance(value, list | tuple):
            return None
        items = tuple(_as_kind(item_kind, item, key) for item in value)
        repeated = item_kind is not float and len(set(items)) < len(items)
        return None if None in items or repeated else items
    if kind is bool:
        return value if isinstance(value, bool) else None
    if kind is str:
        fits = isinstance(value, str) and value.isprintable() and re.fullmatch(key.pattern or ".*", value)
        return value if fits else None
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        return None
    if not math.isfinite(value) if isinstance(value, float) else abs(value) > 2**63:
        return None
    low = (key.above is None or value > key.above) and (key.least is None or value >= key.least)
    return kind(value) if low and (key.most is None or value <= key.most) else None


def _expected(setting: _Setting) -> str:
    """Return what a value must be, in words."""
    key, words = setting.key, []
    for kind in _alternatives(setting.type):
        if get_origin(kind) is Literal:
            words.append(" or ".join(f'"{word}"' for word in get_args(kind)))
        elif get_origin(kind) is tuple:
            if get_args(kind)[0] is str:
                words.append("text without control characters, or a list of different ones")
            elif get_args(kind)[0] is float:
                words.append(f"a list of numbers {_range(key)}")
            else:
                words.append(f"a list of different whole numbers {_range(key)}")
        elif kind is bool:
            words.append("true or false")
        elif kind is str:
            matches = f"text that matches {key.pattern}" if key.pattern else "text without control characters"
            words.append(key.form or matches)
        else:
            words.append(f"{'a whole number' if kind is int else 'a number'} {_range(key)}")
    return " or ".join(words)


def _range(key: Key) -> str:
    words = []
    if key.above is not None:
        words.append(f"above {key.above:,.15g}")
    elif key.least is not None:
        words.append(f"from {key.least:,.15g}")
    if key.most is not None:
        words.append(f"{'and at most' if key.above is not None else 'to'} {key.most:,.15g}")
    return " ".join(words)


def _file(path: str | Path) -> str:
    """Return a file's name fit for one line of a message."""
    return str(path) if str(path).isprintable() else repr(str(path))


def _plain(name: str) -> str:
    """Return a name from a file fit for one line of a message."""
    return name if name.isprintable() and len(name) <= 40 else _shown(name)


def _shown(value: Any) -> str:
    text = ("true" if value else "false") if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def _nearest_key(section: str, name: str) -> str:
    """Name the nearest known key: in this section, else the same one elsewhere."""
    known = list(SETTINGS[section])
    if not difflib.get_close_matches(name, known, n=1, cutoff=0.5):
        elsewhere = [other for other in SETTINGS if name in SETTINGS[other]]
        if elsewhere:
            return f"it belongs in [{elsewhere[0]}]"
    return _nearest(name, known)


def _check_together(config: Config, where: str, live: bool) -> None:
    """Check what no single value can tell."""
    venue, quoting, limits, exchange = config.venue, config.quoting, config.limits, config.exchange
    _check_url(venue, where)
    if venue.network == "prod" and not live:
        raise ConfigError(f'{where}: venue.network = "prod" trades real money; add --live if that is what you want')
    if quoting.clip_coins > limits.max_order_coins:
        raise ConfigError(
            f"{where}: quoting.clip_coins ({quoting.clip_coins:g}) is more than limits.max_order_coins "
            f"({limits.max_order_coins:g})"
        )
    wanted = quoting.clip_coins * quoting.max_position_clips
    if wanted > config.max_position_coins * (1 + 1e-9):
        raise ConfigError(
            f"{where}: quoting.max_position_clips allows {wanted:g} coins, which is more than "
            f"limits.max_position_coins ({config.max_position_coins:g})"
        )
    _check_quoting(config, where)
    if config.system.pull_quotes_after_s > config.system.kill_after_s:
        raise ConfigError(
            f"{where}: system.pull_quotes_after_s ({config.system.pull_quotes_after_s:g}) is more than "
            f"system.kill_after_s ({config.system.kill_after_s:g})"
        )
    if exchange.flow == "recording" and not exchange.recording:
        raise ConfigError(f'{where}: exchange.flow = "recording" needs a file: set exchange.recording, or --recording')
    if exchange.flow != "recording" and exchange.recording:
        raise ConfigError(
            f'{where}: exchange.recording is set, so exchange.flow must be "recording", not "{exchange.flow}"'
        )
    if exchange.jitter_ms > exchange.latency_ms:
        raise ConfigError(
            f"{where}: exchange.jitter_ms ({exchange.jitter_ms:g}) is more than exchange.latency_ms "
            f"({exchange.latency_ms:g})"
        )
    if exchange.faults and config.websocket_url is not None:
        raise ConfigError(
            f"{where}: exchange.faults are made by the embedded exchange, but the run is to use {config.websocket_url}"
        )
    if exchange.recording and config.websocket_url is not None:
        raise ConfigError(
            f"{where}: exchange.recording is played by the embedded exchange, but the run is to use "
            f"{config.websocket_url}"
        )


def _check_quoting(config: Config, where: str) -> None:
    """Refuse settings of model, estimates and quotes that contradict each other."""
    quoting, model, given = config.quoting, config.model, len(config.model.parameters)
    if given > PARAMETERS_MOST:
        raise ConfigError(f"{where}: model.parameters has {given} numbers; there is room for {PARAMETERS_MOST}")
    if given and ":" not in model.name:
        raise ConfigError(f"{where}: model.parameters are for a model of your own; {model.name} takes none")
    if found := contradiction(config.estimation):
        raise ConfigError(f"{where}: estimation.{found}")
    if config.model.name == "glft" and not isinstance(config.model.horizon, str):
        raise ConfigError(
            f'{where}: model.name = "glft" has no horizon, and model.horizon is {config.model.horizon:g}; set it to '
            '"stationary"'
        )
    furthest = quoting.max_distance_ticks
    if not isinstance(furthest, str) and quoting.min_distance_ticks > furthest:
        raise ConfigError(
            f"{where}: quoting.min_distance_ticks ({quoting.min_distance_ticks}) is more than "
            f"quoting.max_distance_ticks ({furthest})"
        )
    if quoting.levels > quoting.max_position_clips:
        raise ConfigError(
            f"{where}: quoting.levels ({quoting.levels}) is more than quoting.max_position_clips "
            f"({quoting.max_position_clips}): the last of them would lead beyond the limit"
        )
    lifetime = quoting.max_lifetime_s
    if not isinstance(lifetime, str) and lifetime * 1000 < quoting.min_interval_ms:
        raise ConfigError(
            f"{where}: quoting.max_lifetime_s ({lifetime:g}) is less than quoting.min_interval_ms "
            f"({quoting.min_interval_ms:g})"
        )


def _check_url(venue: Venue, where: str) -> None:
    """Refuse an address that is none, carries a secret, sends one in the clear, or is another network's."""
    if not venue.url:
        return
    try:
        parts = urlsplit(venue.url)
        host, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError as error:
        raise ConfigError(f"{where}: venue.url is not an address: {error}") from error
    if parts.scheme not in ("ws", "wss") or not host or " " in venue.url:
        raise ConfigError(
            f"{where}: venue.url must look like wss://host/path or ws://host:port/path, not {_shown(venue.url)}"
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{where}: venue.url must not hold a user or password; the key comes from THALEX_KEY_ID and THALEX_KEY_FILE"
        )
    real = {urlsplit(url).hostname: network for network, url in NETWORK_URLS.items()}
    owner = real.get(host) or ("prod" if host.endswith(".thalex.com") else None)
    if owner is not None and owner != venue.network:
        raise ConfigError(f'{where}: venue.url is the address of {owner}, but venue.network is "{venue.network}"')
    loopback = host in {"localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host)
    if parts.scheme == "ws" and venue.network != "sim" and not loopback:
        raise ConfigError(
            f'{where}: venue.url would send the login unencrypted; use wss:// with venue.network = "{venue.network}"'
        )


def show(config: Config) -> str:
    """Return every setting with its effective value, default, unit and documentation, as text for a person."""
    lines = []
    for section, settings in SETTINGS.items():
        lines.append(f"[{section}]  {_section_doc(section)}")
        values = getattr(config, section)
        for setting in settings.values():
            value = getattr(values, setting.name)
            unit = f" {setting.key.unit}" if setting.key.unit and not isinstance(value, str) else ""
            default = "the default" if value == setting.default else f"default {_toml(setting.default)}"
            lines.append(f"  {setting.name} = {_toml(value)}{unit}  ({default})")
            lines += textwrap.wrap(setting.key.doc, 100, initial_indent="      ", subsequent_indent="      ")
        lines.append("")
    return "\n".join(lines)


def to_toml(config: Config | None = None, *, as_comments: bool = False) -> str:
    """Return a configuration (the defaults when None) as a TOML file with documentation.

    With `as_comments` the settings stand as comments, as in the file that ``mftpy config init`` writes: nothing is
    changed by it, and what the user uncomments is what he decides.
    """
    config = config or Config()
    lines = ["# Settings of mftpy. Every key may be left out; flags outrank this file. Secrets do not belong here."]
    for section, settings in SETTINGS.items():
        lines += ["", f"# {_section_doc(section)}", f"[{section}]"]
        values = getattr(config, section)
        for setting in settings.values():
            lines.append("")
            lines += textwrap.wrap(setting.key.doc, 110, initial_indent="# ", subsequent_indent="# ")
            unit = f"in {setting.key.unit}; " if setting.key.unit else ""
            lines += textwrap.wrap(f"{unit}{_expected(setting)}", 110, initial_indent="# (", subsequent_indent="#  ")
            lines[-1] += ")"
            lines.append(f"{'# ' if as_comments else ''}{setting.name} = {_toml(getattr(values, setting.name))}")
    return "\n".join(lines) + "\n"


def check(path: str | Path) -> str:
    """Return one sentence saying that a file can be used and what it changes; `ConfigError` when it cannot."""
    config = load(path, live=True)
    changed = [setting.path for setting, value in _values(config) if value != setting.default]
    what = f"it changes {', '.join(changed)}" if changed else "it changes nothing"
    return f"{_file(path)}: valid for {config.venue.network}, {config.venue.instrument}; {what}"


def _values(config: Config) -> Iterator[tuple[_Setting, Any]]:
    for section, settings in SETTINGS.items():
        for setting in settings.values():
            yield setting, getattr(getattr(config, section), setting.name)


def _section_doc(section: str) -> str:
    return (get_type_hints(Config)[section].__doc__ or "").strip()


def _toml(value: Any) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)
