"""Before anything else: what the exchange says of the instrument."""

from __future__ import annotations

from mftpy.errors import ConfigError, VenueError
from mftpy.links import Instrument
from mftpy.processes.conversation import Conversation, connect
from mftpy.settings import Config
from mftpy.venue import requests
from mftpy.venue.scale import Scale


def find_instrument(url: str, config: Config) -> Instrument:
    """Ask for the list of instruments and return the configured one.

    Raises
    ------
    ConfigError
        The exchange does not list it.
    VenueError
        The exchange cannot be reached, or lists it without what is needed to trade it.
    """
    name = config.venue.instrument
    with connect(url, config) as session:
        talk = Conversation(session, lambda _note, _ns: None, lambda: None, patience_s=config.system.request_timeout_s)
        listed = talk.ask("public/instruments", requests.instruments)
    found = next((item for item in listed if item.instrument_name == name), None)
    if found is None:
        names = sorted(item.instrument_name for item in listed if item.instrument_name)
        some = ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")
        raise ConfigError(f"the exchange at {url} does not list {name}; it lists {some or 'nothing'}")
    if not found.tick_size or not found.volume_tick_size or not found.underlying:
        raise VenueError(f"the exchange lists {name} without tick size, volume tick size or underlying")
    scale = Scale(found.tick_size, found.volume_tick_size)
    return Instrument(
        name=name,
        tick_size=found.tick_size,
        lot_size=found.volume_tick_size,
        min_order_lots=max(scale.lots(found.min_order_amount or found.volume_tick_size), 1),
        underlying=found.underlying,
    )
