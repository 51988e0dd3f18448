"""The contract of delivery, as one subscriber of one topic sees it.

A `Subscriber` is told what its client sends and receives, in order, and raises Violation at the first breach: a
publication before the reply, twice, or out of order, a gap that was not told, a recovery that is not exactly the unseen
rest. `Ledger` knows what was published. It knows no gateway: clients over links use it, too.
"""

from __future__ import annotations

from typing import Any, Final

from posthouse.adapters.invariants.violation import must


class Ledger:
    """Publications, sent or received, by topic and epoch: the data of each offset."""

    def __init__(self) -> None:
        self._published: Final[dict[tuple[str, str], dict[int, Any]]] = {}

    def acknowledged(self, topic: str, epoch: str, offset: int, data: object) -> None:
        """This was published, or received, with this position. Raises Violation if another publication has it, too."""
        known = self._published.setdefault((topic, epoch), {})
        must(known.setdefault(offset, data) == data, "delivery: an offset was given twice in one epoch", topic, offset)


class Subscriber:
    """One subscription of one connection, from the request on. `position` is the place up to which its client has seen
    everything, or was told of the gap; None before the reply. `asked`: the position that it has sent, or None."""

    def __init__(self, topic: str, ledger: Ledger, asked: tuple[str, int] | None = None) -> None:
        self.topic: Final = topic
        self.asked: Final = asked
        self._ledger: Final = ledger
        self.position: tuple[str, int] | None = None
        self.recovered: bool | None = None

    def replied(self, result: dict[str, Any]) -> None:
        """The reply to the subscription."""
        must(self.position is None, "delivery: a subscription was answered twice", self.topic)
        epoch, offset = result["epoch"], result["offset"]
        self.position = epoch, offset
        self.recovered = result.get("recovered")
        publications = result.get("publications")
        must((self.recovered is None) is (self.asked is None), "delivery: a reply tells of a recovery if it was asked")
        must(
            (publications is not None) is (self.recovered is True), "delivery: a recovery is whole, or nothing", result
        )
        if self.asked is None or publications is None:
            return
        before, seen = self.asked
        must(before == epoch, "delivery: a position of another epoch was recovered", self.asked, result)
        found = [each["offset"] for each in publications]
        rest = list(range(seen + 1, offset + 1))
        must(found == rest, "delivery: a recovery is exactly the unseen rest", self.asked, offset, found)
        for each in publications:
            self._ledger.acknowledged(self.topic, epoch, each["offset"], each["data"])

    def publication(self, params: dict[str, Any]) -> None:
        """A publication of the topic has come."""
        if self.position is None:
            must(False, "delivery: a publication comes before the reply", self.topic, params)
            return
        epoch, offset = self.position
        must(params["epoch"] == epoch, "delivery: the epoch of a subscription stays", self.position, params)
        must(params["offset"] > offset, "delivery: a publication comes once and in order", self.position, params)
        must(params["offset"] == offset + 1, "delivery: no gap is silent", self.position, params)
        self.position = epoch, params["offset"]
        self._ledger.acknowledged(self.topic, epoch, params["offset"], params["data"])

    def gap(self, params: dict[str, Any]) -> None:
        """The client was told what it has lost."""
        if self.position is None:
            must(False, "delivery: a gap comes before the reply", self.topic, params)
            return
        epoch, offset = self.position
        right = offset + 1 == params["from"] <= params["to"]
        must(right, "delivery: a gap begins where the client is", self.position, params)
        self.position = epoch, params["to"]
