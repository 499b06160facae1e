"""What the exchange lists, and the flow behind each contract, from the settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from mftpy.errors import ConfigError
from mftpy.sim.clock import Clock
from mftpy.sim.contract import Contract
from mftpy.sim.flow import Flow
from mftpy.sim.flow_follower import FollowerFlow
from mftpy.sim.flow_model import ModelFlow
from mftpy.sim.flow_realistic import RealisticFlow
from mftpy.sim.flow_recording import RecordingFlow
from mftpy.sim.instrument import Listed, dated_name, next_quarter
from mftpy.sim.marking import Underlying
from mftpy.sim.money import UNIT, decimal_units
from mftpy.sim.recording import Recording
from mftpy.sim.settings import ExchangeSettings


class Coin(NamedTuple):
    """What is listed of one coin: steps in 1e-8 (thalex.com, contract specifications), and a price to begin with."""

    name: str
    tick_units: int
    lot_units: int
    price: float

    @property
    def underlying(self) -> str:
        """Name of the index."""
        return self.name + "USD"


BTC: Final = Coin("BTC", UNIT, UNIT // 1000, 61_700.0)
ETH: Final = Coin("ETH", UNIT // 10, UNIT // 100, 2_650.0)


class World:
    """See the module's text.

    Attributes
    ----------
    contracts : list of Contract
    flows : list of (Contract, Flow)
    """

    def __init__(self, settings: ExchangeSettings, clock: Clock) -> None:
        self._dampener_units = decimal_units(settings.funding_dampener_bps) // 10_000
        self._clock = clock
        self.contracts: list[Contract] = []
        self.flows: list[tuple[Contract, Flow]] = []
        if settings.flow == "recording":
            self._recorded(settings)
        else:
            self._modelled(settings)

    def _contract(self, listed: Listed, underlying: Underlying) -> Contract:
        contract = Contract(listed, underlying, self._dampener_units)
        self.contracts.append(contract)
        return contract

    def _recorded(self, settings: ExchangeSettings) -> None:
        recording = Recording(settings.recording or "", settings.tick_size, settings.lot_size)
        tick_units, lot_units = int(recording.tick_size * UNIT), int(recording.lot_size * UNIT)
        listed = Listed(
            settings.instrument, "perpetual", settings.underlying, tick_units, lot_units, self._clock.unix_s
        )
        contract = self._contract(listed, Underlying(settings.underlying, decimal_units(settings.initial_price)))
        self.flows.append((contract, RecordingFlow(recording, settings.speed)))

    def _modelled(self, settings: ExchangeSettings) -> None:
        for coin in (BTC, ETH):
            name = f"{coin.name}-PERPETUAL"
            own = settings if coin is BTC else _scaled(settings, coin)
            tick_units, lot_units = coin.tick_units, coin.lot_units
            if name == settings.instrument:
                tick_units = decimal_units(settings.tick_size) if settings.tick_size else tick_units
                lot_units = decimal_units(settings.lot_size) if settings.lot_size else lot_units
            underlying = Underlying(coin.underlying, decimal_units(own.initial_price))
            listed = Listed(name, "perpetual", coin.underlying, tick_units, lot_units, self._clock.unix_s)
            contract = self._contract(listed, underlying)
            self.flows.append((contract, RealisticFlow(own) if own.flow == "realistic" else ModelFlow(own)))
            if coin is BTC:
                expiry_s = next_quarter(self._clock.unix_s)
                dated = Listed(
                    dated_name(coin.name, expiry_s),
                    "future",
                    coin.underlying,
                    coin.tick_units,
                    coin.lot_units,
                    self._clock.unix_s,
                    expiry_s,
                )
                follower = FollowerFlow(settings, self._clock.unix_s)
                self.flows.append((self._contract(dated, underlying), follower))
        names = [contract.listed.name for contract in self.contracts]
        if settings.tick_size is not None and settings.instrument not in names:
            raise ConfigError(f"the embedded exchange lists {', '.join(names)}, and not {settings.instrument}")


def _scaled(settings: ExchangeSettings, coin: Coin) -> ExchangeSettings:
    """Return the same market in basis points at another coin's price."""
    ratio = coin.price / BTC.price
    return replace(
        settings,
        seed=settings.seed + 1,
        instrument=f"{coin.name}-PERPETUAL",
        initial_price=settings.initial_price * ratio,
        sigma_usd_sqrt_s=settings.sigma_usd_sqrt_s * ratio,
        k_per_usd=settings.k_per_usd / ratio,
    )
