"""The broker of a gateway, observed: the truth learns of everything that it has accepted, in its order."""

from __future__ import annotations

from typing import Final

from msgspec import json
from posthouse.adapters.invariants import must
from posthouse.core.service.topics.position import Position
from posthouse.core.topics.broker import LocalBroker
from posthouse.core.topics.requests import (
    Accepted,
    Attach,
    Attached,
    Detach,
    Full,
    KeyTaken,
    OtherEpoch,
    Page,
    Publish,
    Read,
)

from .truth import Truth


class Observed:
    """A broker in front of the real one. With `strict`, topics are forgotten only if nobody uses them."""

    def __init__(self, broker: LocalBroker, truth: Truth, *, strict: bool) -> None:
        self._broker: Final = broker
        self._truth: Final = truth
        self._strict: Final = strict

    def _used(self, topic: str, position: Position, now: float) -> None:
        self._truth.used(topic, position.epoch, now, strict=self._strict)

    def publish(self, request: Publish, now: float) -> Accepted | KeyTaken | Full:
        """Publish something."""
        outcome = self._broker.publish(request, now)
        if isinstance(outcome, Accepted) and outcome.body is not None:
            position = outcome.position
            self._used(request.topic, position, now)
            self._truth.published(request.topic, position.epoch, position.offset, json.decode(request.data), now)
        return outcome

    def attach(self, request: Attach, now: float) -> Attached | Full:
        """Somebody subscribes."""
        outcome = self._broker.attach(request, now)
        if isinstance(outcome, Attached):
            self._used(request.topic, outcome.position, now)
        return outcome

    def read(self, request: Read, now: float) -> Page | OtherEpoch:
        """Somebody reads a history."""
        before = len(self._broker.records)
        outcome = self._broker.read(request, now)
        must(len(self._broker.records) == before, "delivery: a reader makes no topic", request.topic)
        if isinstance(outcome, Page) and request.topic in self._broker.records:
            self._used(request.topic, outcome.position, now)
        return outcome

    def detach(self, request: Detach, now: float) -> None:
        """Nobody is subscribed any more."""
        self._broker.detach(request, now)
