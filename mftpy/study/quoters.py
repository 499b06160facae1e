"""The strategies that the study compares: each turns the best prices of others and a position into what should rest."""

from __future__ import annotations

import functools
import math
from typing import Protocol

import numpy as np

from mftcore import LEVEL
from mftpy.model.by_address import ByAddress
from mftpy.model.own import compile_named
from mftpy.settings import Config
from mftpy.sim.matching import BUY, SELL
from mftpy.strategy.decide import Quoter
from mftpy.strategy.parameters import parameters

Wishes = dict[int, int]
"""Price in ticks by side; 0 for no quote."""


class Strategy(Protocol):
    """What should rest."""

    def decide(self, bid_ticks: int, ask_ticks: int, position_lots: int) -> Wishes:
        """Return the prices that are wanted, given the best prices of others and the position."""


class Naive:
    """A constant distance from the mid on both sides, whatever the position, up to the same limit as the model's.

    Parameters
    ----------
    distance_usd : float
    config : Config
        Clip and limit.
    tick_size, lot_size : float
    """

    def __init__(self, distance_usd: float, config: Config, tick_size: float, lot_size: float) -> None:
        self._distance = distance_usd / tick_size
        self._clip = round(config.quoting.clip_coins / lot_size)
        self._limit = self._clip * config.quoting.max_position_clips

    def decide(self, bid_ticks: int, ask_ticks: int, position_lots: int) -> Wishes:
        """Return the prices."""
        mid = 0.5 * (bid_ticks + ask_ticks)
        return {
            BUY: math.floor(mid - self._distance) if position_lots <= self._limit - self._clip else 0,
            SELL: math.ceil(mid + self._distance) if position_lots >= self._clip - self._limit else 0,
        }


class Shipped:
    """The quoter that the strategy process runs, with the same settings and the same model.

    It is given the others' best prices alone: what it would take from a whole book with our own orders in it. Its feeds
    never fall silent, and its clock is a count of decisions: with the settings as shipped no quote depends on the time.
    """

    def __init__(self, config: Config, tick_size: float, lot_size: float) -> None:
        model = _compiled(config.model.name)
        self._quoter = Quoter(parameters(config, tick_size, lot_size), model.address, model)
        self._bids, self._asks = np.zeros(1, LEVEL), np.zeros(1, LEVEL)
        self._bids["size_lots"] = self._asks["size_lots"] = 10**6
        self._quoter.account["ready"] = 1
        self._bid_ticks, self._ask_ticks = self._bids["price_ticks"], self._asks["price_ticks"]  # views
        self._position_lots = self._quoter.account["position_lots"]
        target = self._quoter.target
        self._bid, self._ask = target["bid_ticks"][0], target["ask_ticks"][0]
        self._n_bids, self._n_asks = target["n_bids"], target["n_asks"]
        self._turns = 0

    def decide(self, bid_ticks: int, ask_ticks: int, position_lots: int) -> Wishes:
        """Return the prices."""
        self._bid_ticks[0], self._ask_ticks[0], self._position_lots[0] = bid_ticks, ask_ticks, position_lots
        self._turns += 1
        self._quoter.transport_ns = self._turns
        self._quoter.observe_book(self._bids, self._asks, 1, 1, self._turns)
        self._quoter.decide(self._turns)
        return {
            BUY: int(self._bid[0]) if self._n_bids[0] else 0,
            SELL: int(self._ask[0]) if self._n_asks[0] else 0,
        }


@functools.cache
def _compiled(name: str) -> ByAddress:
    """Compile a model, or load it from disk, once in this process."""
    return compile_named(name)
