"""The strategies that the study compares: each turns the best prices of others and a position into what should rest."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from mftpy import records
from mftpy.model.quoting import LEVEL, Quoter, parameters
from mftpy.settings import Config
from mftpy.sim.matching import BUY, SELL

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
    """The compiled quoter that the strategy process runs, with the same settings.

    It is given the others' best prices alone: what it would take from a whole book with our own orders in it.
    """

    def __init__(self, config: Config, tick_size: float, lot_size: float) -> None:
        self._quoter = Quoter(parameters(config, tick_size, lot_size), config.quoting.requote_threshold_ticks)
        self._bids, self._asks = np.zeros(1, LEVEL), np.zeros(1, LEVEL)
        self._bids["size_lots"] = self._asks["size_lots"] = 10**6
        self._account = records.blank(records.ACCOUNT)
        self._account["ready"] = 1
        self._bid_ticks, self._ask_ticks = self._bids["price_ticks"], self._asks["price_ticks"]  # views
        self._position_lots = self._account["position_lots"]
        target = self._quoter.target
        self._bid, self._ask = target["bid_ticks"][0], target["ask_ticks"][0]
        self._n_bids, self._n_asks = target["n_bids"], target["n_asks"]

    def decide(self, bid_ticks: int, ask_ticks: int, position_lots: int) -> Wishes:
        """Return the prices."""
        self._bid_ticks[0], self._ask_ticks[0], self._position_lots[0] = bid_ticks, ask_ticks, position_lots
        self._quoter.decide(self._bids, self._asks, 1, 1, self._account)
        return {
            BUY: int(self._bid[0]) if self._n_bids[0] else 0,
            SELL: int(self._ask[0]) if self._n_asks[0] else 0,
        }
