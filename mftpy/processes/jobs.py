"""What a process is told at its start."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import Final

from mftpy.errors import ConfigError
from mftpy.processes.waiting import choose_wait_mode
from mftpy.settings import Config

LOOPS: Final = 3


@dataclass(frozen=True)
class Credentials:
    """Who logs in. Travels through a pipe to execution and the canceller alone; never into logs, argv, shared memory.

    Attributes
    ----------
    key_id : str
    key_file : str
        Path of the private key; empty when `private_key_pem` holds the embedded exchange's key.
    private_key_pem : bytes
    """

    key_id: str
    key_file: str = ""
    private_key_pem: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Placement:
    """Which cores each process may use, and how loops wait.

    Attributes
    ----------
    exchange_cores, market_data_cores, strategy_cores, execution_cores : tuple of int
    wait_mode : str
        ``park``, ``yield`` or ``spin``.
    note : str
        What could not be had, in one sentence; empty when all was.
    """

    exchange_cores: tuple[int, ...]
    market_data_cores: tuple[int, ...]
    strategy_cores: tuple[int, ...]
    execution_cores: tuple[int, ...]
    wait_mode: str
    note: str = ""

    @property
    def our_cores(self) -> list[int]:
        """Cores of the three processes, in the order market data, strategy, execution."""
        return [*self.market_data_cores, *self.strategy_cores, *self.execution_cores]


def choose_placement(config: Config) -> Placement:
    """Place the processes on the cores that this process may use.

    The exchange gets the first core and ours the rest, one each when there are enough; with fewer, ours share.

    Raises
    ------
    ConfigError
        ``cores`` names one that may not be used, or the wait mode needs more of them.
    """
    usable = sorted(os.sched_getaffinity(0))
    asked = list(config.system.cores)
    foreign = [core for core in asked if core not in usable]
    if foreign:
        raise ConfigError(f"cores: {foreign} may not be used by this process; usable are {usable}")
    others = [core for core in usable if core not in asked]
    ours = asked or (usable[1:] if len(usable) > 1 else usable)
    exchange = (others or usable)[:1]
    loops = 1 if config.system.mode == "single" else LOOPS
    wait_mode = choose_wait_mode(config.system.wait_mode, len(ours), loops)
    note = ""
    if len(usable) == 1:
        note = f"only core {usable[0]} is usable: exchange and all three processes share it, so latencies are long"
    spread = ours[:LOOPS] if loops == LOOPS <= len(ours) else [ours[0]] * LOOPS
    return Placement(
        exchange_cores=tuple(exchange),
        market_data_cores=(spread[0],),
        strategy_cores=(spread[1],),
        execution_cores=(spread[2],),
        wait_mode=wait_mode,
        note=note,
    )


@dataclass(frozen=True)
class Job:
    """One run's settings, the same for all three processes.

    ``journals`` is the directory of the journals ``decisions`` and ``actions``; empty when nothing is kept.
    """

    run_id: str
    url: str
    config: Config
    placement: Placement
    journals: str = ""

    @property
    def label_prefix(self) -> str:
        """Start of the label on every order of this instance, in every run."""
        return label_prefix(self.config.venue.instance)

    @property
    def label(self) -> str:
        """Label on the orders of this run; at most 32 characters of those the exchange allows."""
        return self.label_prefix + hashlib.sha256(self.run_id.encode()).hexdigest()[:12]


def label_prefix(instance: str) -> str:
    """Return the start of the label on every order of an instance: a hash, since names may be longer than labels."""
    return f"mft-{hashlib.sha256(instance.encode()).hexdigest()[:8]}-"
