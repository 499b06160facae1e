"""What a journal of a run says of that run, in its first page: enough to explain its records by themselves."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from mftcore import Journal
from mftpy.decisions import ACTION, DECISION
from mftpy.errors import InputFileError
from mftpy.links import Instrument
from mftpy.settings import Config

DECISIONS: Final = "decisions"
ACTIONS: Final = "actions"
NAMES: Final = (DECISIONS, ACTIONS)
RECORDS: Final = {DECISIONS: DECISION, ACTIONS: ACTION}
LONGEST_NAME: Final = 200


def record_text(dtype: np.dtype[Any]) -> str:
    """Return names, types and shapes of a record's members, in order: two versions of a record differ in it."""
    parts = []
    for name in dtype.names or ():
        base, shape = dtype[name].subdtype or (dtype[name], ())
        kind = f"({record_text(base)})" if base.names else base.str[1:]
        parts.append(f"{name}:{kind}" + "".join(f"[{length}]" for length in shape))
    return " ".join(parts)


@dataclass(frozen=True)
class Meta:
    """What a journal says of its run, in its first page.

    Attributes
    ----------
    run_id, instance, instrument, model : str
    tick_size, lot_size : float
    wall_minus_monotonic_ns : int
        Added to a time of CLOCK_MONOTONIC it gives nanoseconds since 1970, by the clocks at the start of the run.
    settings : dict
        What the sentences about a refusal compare with: the settings of quoting, and some of the limits.
    record : str
        `record_text` of the journal's records.
    """

    run_id: str
    instance: str
    instrument: str
    model: str
    tick_size: float
    lot_size: float
    wall_minus_monotonic_ns: int
    settings: dict[str, Any]
    record: str

    @classmethod
    def of(cls, config: Config, instrument: Instrument, run_id: str, name: str) -> Meta:
        """Describe a run that begins now."""
        settings = asdict(config.quoting) | {
            "stale_feed_s": config.limits.stale_feed_s,
            "frozen_book_s": config.limits.frozen_book_s,
            "frozen_book_bps": config.limits.frozen_book_bps,
            "failures_to_reducing": config.model.failures_to_reducing,
        }
        return cls(
            run_id=run_id,
            instance=config.venue.instance,
            instrument=instrument.name,
            model=config.model.name[:LONGEST_NAME],
            tick_size=instrument.tick_size,
            lot_size=instrument.lot_size,
            wall_minus_monotonic_ns=time.time_ns() - time.monotonic_ns(),
            settings=settings,
            record=record_text(RECORDS[name]),
        )

    @property
    def text(self) -> str:
        """As it stands in a journal."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, journal: Journal, name: str) -> Meta:
        """Return what a journal says of its run.

        Raises
        ------
        InputFileError
            It is no journal of a run of ours, or one of another version.
        """
        try:
            found = cls(**json.loads(journal.meta))
            numbers = float(found.tick_size), float(found.lot_size), int(found.wall_minus_monotonic_ns)
        except (ValueError, TypeError) as error:
            raise InputFileError(f"{journal.path} is a journal, but none of a run of mftpy") from error
        if (
            found.record != record_text(RECORDS[name])
            or not min(numbers[:2]) > 0
            or not isinstance(found.settings, dict)
        ):
            raise InputFileError(
                f"the records of {journal.path} are those of another version of mftpy: read them with the version that "
                f"wrote them (run {found.run_id})"
            )
        return found
