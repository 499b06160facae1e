"""Faults of the book's notices: a level left out, a bid above the asks, a book that stands still."""

from __future__ import annotations

import random
from typing import Final

from mftpy.sim import faults_content as content
from mftpy.sim.acts import Act
from mftpy.sim.faults import Fault
from mftpy.sim.faults_working import Message, Said, Stage, Working

MOST_HELD: Final = 20_000


class _OfBooks(Working):
    """A fault of book notices alone, whatever else its globs match."""

    def matches(self, message: Message) -> bool:
        return (message.channel or "").startswith("book.") and super().matches(message)


class MissingChange(_OfBooks):
    """One level is left out."""

    def on_said(self, message: Message) -> list[Said]:
        if self.matches(message) and self.occasions.within(self.stage.now_ns):
            left = content.without_one_level(message.payload, self.rng)
            if left is not None and self.hit(message):
                return [left]
        return [message.payload]


class CrossedBook(_OfBooks):
    """A bid above the asks, until the occasion is over or the market itself says something about that price."""

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        super().__init__(fault, stage, rng)
        self._crossed: dict[tuple[int, str], tuple[float, float]] = {}

    def on_said(self, message: Message) -> list[Said]:
        key = (message.number, message.channel or "")
        bid = self._crossed.get(key)
        if bid is None:
            return super().on_said(message)
        over = not self.occasions.within(self.stage.now_ns)
        if content.is_snapshot(message.payload) or content.has_bid_change(message.payload, bid[0]):
            del self._crossed[key]
            return [message.payload]
        if over:
            del self._crossed[key]
            return [content.with_bid(message.payload, bid[0], 0)]
        return [content.with_more_in_total(message.payload, bid[1])]

    def instead_of_said(self, message: Message) -> list[Said]:
        assert message.channel is not None
        asked = {"instrument_name": content.instrument_of(message.channel)}
        bid = content.crossing_bid(self.stage.ask("public/book", asked))
        if bid is None:
            return [message.payload]
        self._crossed[message.number, message.channel] = bid
        return [content.with_more_in_total(content.with_bid(message.payload, *bid), bid[1])]

    @property
    def lingers(self) -> bool:
        return bool(self._crossed)

    def forget(self, number: int) -> None:
        for key in [key for key in self._crossed if key[0] == number]:
            del self._crossed[key]


class FrozenBook(_OfBooks):
    """Book notices wait for the end of the occasion."""

    def __init__(self, fault: Fault, stage: Stage, rng: random.Random) -> None:
        super().__init__(fault, stage, rng)
        self._frozen = False
        self._held: list[Act] = []

    def begin(self) -> list[Act]:
        self._frozen = True
        return []

    def on_said(self, message: Message) -> list[Said]:
        if not self._frozen or not self.matches(message):
            return [message.payload]
        self.hits += 1
        if self.fault.duration_s is not None:
            self._held.append((message.number, message.payload))
            if len(self._held) > MOST_HELD:  # it thaws early, so that memory stays bounded
                held = self.end()
                self.stage.later(0, lambda: held)
        return []

    def end(self) -> list[Act]:
        self._frozen = False
        held, self._held = self._held, []
        return held

    def forget(self, number: int) -> None:
        self._held = [act for act in self._held if act[0] != number]
