"""What a broker can be asked for, and what it answers. A broker has the position and the history of each topic.

`Broker` is the protocol of all brokers. Its answers are values: one in this process gives them at once.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Raw, Struct
from posthouse.core.service.topics.position import Position
from posthouse.core.service.topics.rules import Rule

Key = tuple[str, ...]
"""A key of a publication, with its owner."""


class Publish(Struct, frozen=True, gc=False):
    """Accept a publication. `data` is JSON, and so is `sender`, if a peer has published it."""

    topic: str
    rule: Rule
    data: bytes
    sender: bytes | None = None
    key: Key | None = None


class Attach(Struct, frozen=True, gc=False):
    """Somebody subscribes. With a `position`, all that it has not seen is wanted, if it fits into `room` bytes."""

    topic: str
    rule: Rule
    position: Position | None
    room: int


class Read(Struct, frozen=True, gc=False):
    """Read at most `limit` publications that fit into `room` bytes: those behind `since` (None: the oldest), or if it
    is `reverse`, backwards from there (None: from the newest)."""

    topic: str
    rule: Rule
    since: Position | None
    limit: int
    reverse: bool
    room: int


class Detach(Struct, frozen=True, gc=False):
    """Nobody is subscribed any more."""

    topic: str


class Accepted(Struct, frozen=True, gc=False):
    """A publication has this position. `body` has the members of its notification that follow `epoch`. None: it was
    published before, with the same key."""

    position: Position
    body: bytes | None


class Attached(Struct, frozen=True, gc=False):
    """The topic is at this position. `publications`: exactly those after the position that was asked for, or None if
    they are not there any more."""

    position: Position
    publications: list[Raw] | None


class Page(Struct, frozen=True, gc=False):
    """Some publications of a topic that is at this position."""

    position: Position
    publications: list[Raw]


class Full(Struct, frozen=True, gc=False):
    """There are as many topics as may be, and all of them are in use."""


class KeyTaken(Struct, frozen=True, gc=False):
    """The key was used with other data."""


class OtherEpoch(Struct, frozen=True, gc=False):
    """The position is one of another epoch: nothing of it can be read."""


class Broker(Protocol):
    """The broker of a gateway."""

    def publish(self, request: Publish, now: float) -> Accepted | KeyTaken | Full: ...

    def attach(self, request: Attach, now: float) -> Attached | Full: ...

    def read(self, request: Read, now: float) -> Page | OtherEpoch: ...

    def detach(self, request: Detach, now: float) -> None: ...
