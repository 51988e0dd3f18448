"""The broker in this process: the position and the history of each topic. It answers at once.

A topic that nobody uses is forgotten after a while. One that is used again then begins a new epoch: nobody takes an old
position for one of the new epoch.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from math import inf
from typing import Final

from msgspec import Struct
from posthouse.core.service.topics.position import Position
from posthouse.core.service.topics.rules import Rule
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .history import History, Publication, fitting, unseen
from .keys import PublicationKeys
from .requests import (
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

TOPIC_DUE: Final = "topic"
"""The reason of this table's deadlines: publications are too old, or a topic may be forgotten."""

EPOCH_BYTES: Final = 8


class Topic(Struct, eq=False):
    """One topic. `number` finds it in its deadlines. `history` is None while nothing is kept. `used_at`: when it was
    last published to, or left. `own`: the service has begun it. `attached`: somebody is subscribed."""

    name: str
    number: int
    rule: Rule
    epoch: str
    own: bool
    offset: int = 0
    history: History | None = None
    attached: bool = False
    used_at: float = 0.0
    timer: Timer | None = None

    @property
    def position(self) -> Position:
        """Behind its last publication."""
        return Position(self.epoch, self.offset)


class LocalBroker:
    """The topics of one gateway: `records` by name. `idle`: those to which nobody is subscribed, the one that was used
    last at the end; `blank`: those of them to which nothing was ever published. `with_history`: those that keep
    something, the one that was last published to at the end. `bytes`: those of all publications that are kept."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._config = shared.config
        self._timers = shared.timers
        self._last_number = 0
        self._numbers: dict[int, Topic] = {}
        self.keys = PublicationKeys(shared)
        self.records: dict[str, Topic] = {}
        self.idle: OrderedDict[str, None] = OrderedDict()
        self.blank: OrderedDict[str, None] = OrderedDict()
        self.with_history: OrderedDict[str, Topic] = OrderedDict()
        self.bytes = 0
        self._timers.on(TOPIC_DUE, self._due)

    # What it is asked for

    def publish(self, request: Publish, now: float) -> Accepted | KeyTaken | Full:
        """Give a publication its position, and keep it."""
        if request.key is not None:
            before = self.keys.find(request.topic, request.key, request.data, now)
            if before is not None:
                return before
        topic = self._open(request.topic, request.rule, now, own=request.sender is None)
        if topic is None:
            return Full()
        topic.offset += 1
        self.blank.pop(topic.name, None)
        body = _body(topic.offset, request.data, request.sender)
        position = topic.position
        if request.key is not None:
            self.keys.keep(request.topic, request.key, request.data, position, now)
        if self._size(topic.rule):
            self._keep(topic, Publication(topic.offset, now, body), now)
        self._used(topic, now)
        return Accepted(position, body)

    def attach(self, request: Attach, now: float) -> Attached | Full:
        """Somebody subscribes: from this position on, everything is delivered."""
        topic = self._open(request.topic, request.rule, now)
        if topic is None:
            return Full()
        self._forget_old(topic, now)
        position, publications = topic.position, None
        if request.position is not None:
            most = self._config.max_recovery
            publications = unseen(topic.history, position, request.position, most, request.room)
        topic.attached = True
        self.idle.pop(topic.name, None)
        self.blank.pop(topic.name, None)
        return Attached(position, publications)

    def read(self, request: Read, now: float) -> Page | OtherEpoch:
        """Read some of what is kept. A topic that does not exist is not made for that: it has an epoch that is not used
        again."""
        topic = self.records.get(request.topic)
        if topic is None:
            return Page(Position(self._epoch(), 0), []) if request.since is None else OtherEpoch()
        self._forget_old(topic, now)
        self._used(topic, now)
        since = request.since
        if since is not None and since.epoch != topic.epoch:
            return OtherEpoch()
        limit = min(request.limit, self._config.max_recovery)
        history = topic.history or History(deque())
        if request.reverse:
            wanted = history.before(topic.offset + 1 if since is None else since.offset)
        else:
            wanted = history.after(0 if since is None else since.offset)
        return Page(topic.position, fitting(wanted, limit, request.room))

    def detach(self, request: Detach, now: float) -> None:
        """Nobody is subscribed any more: the topic may be forgotten after a while."""
        topic = self.records[request.topic]
        topic.attached = False
        self._used(topic, now)

    # Topics

    def _open(self, name: str, rule: Rule, now: float, *, own: bool = False) -> Topic | None:
        """The topic of this name, a new one if there is none. None: there are too many, and all are in use. The `own`
        publications of the service find room nevertheless."""
        topic = self.records.get(name)
        if topic is not None:
            return topic
        while len(self.records) >= self._config.max_topics and self.idle:
            self._forget(self.records[next(iter(self.blank or self.idle))])
        if len(self.records) >= self._config.max_topics and not own:
            return None
        self._last_number += 1
        topic = Topic(name, self._last_number, rule, self._epoch(), own)
        self.records[name] = self._numbers[self._last_number] = topic
        self._used(topic, now)
        return topic

    def _epoch(self) -> str:
        return self._shared.entropy(EPOCH_BYTES).hex()

    def _used(self, topic: Topic, now: float) -> None:
        """A topic was used. One without subscribers is kept for a while from now on."""
        topic.used_at = now
        if not topic.attached:
            for table in (self.idle,) if topic.offset else (self.idle, self.blank):
                table[topic.name] = None
                table.move_to_end(topic.name)
        self._arm(topic, now)

    def _arm(self, topic: Topic, now: float) -> None:
        if topic.timer is None:
            due = self._next_due(topic)
            if due != inf:
                topic.timer = self._timers.arm(max(due, now), TOPIC_DUE, topic.number)

    def _next_due(self, topic: Topic) -> float:
        """When the oldest publication is too old, or the topic has been unused for long enough. Never, if neither can
        be."""
        ttl = self._ttl(topic.rule)
        if topic.history is not None:
            return topic.history.kept[0].at + ttl
        return inf if topic.attached else topic.used_at + ttl

    def _due(self, number: int, now: float) -> None:
        topic = self._numbers[number]
        topic.timer = None
        self._forget_old(topic, now)
        if not topic.attached and topic.history is None and now >= topic.used_at + self._ttl(topic.rule):
            self._forget(topic)
        else:
            self._arm(topic, now)

    def _forget(self, topic: Topic) -> None:
        while topic.history is not None:
            self._drop_oldest(topic)
        self._timers.disarm(topic.timer)
        del self.records[topic.name], self._numbers[topic.number], self.idle[topic.name]
        self.blank.pop(topic.name, None)

    # Histories

    def _size(self, rule: Rule) -> int:
        return self._config.history_size if rule.history is None else rule.history

    def _ttl(self, rule: Rule) -> float:
        return self._config.history_ttl if rule.ttl is None else rule.ttl

    def _keep(self, topic: Topic, publication: Publication, now: float) -> None:
        if topic.history is None:
            topic.history = History(deque())
        topic.history.append(publication)
        self.with_history[topic.name] = topic
        self.with_history.move_to_end(topic.name)
        self._hold(publication.size)
        self._forget_old(topic, now)
        if topic.history is not None and len(topic.history.kept) > self._size(topic.rule):
            self._drop_oldest(topic)
        while topic.history is not None and topic.history.bytes > self._config.max_history_bytes:
            self._drop_oldest(topic)  # others need not make room for what does not fit alone
        self.shed(self.bytes - self._config.max_history_bytes)

    def shed(self, excess: int) -> None:
        """Forget so many bytes of history: those of the topics that were published to least recently."""
        before = self.bytes
        while self.with_history and before - self.bytes < excess:
            self._drop_oldest(next(iter(self.with_history.values())))

    def _forget_old(self, topic: Topic, now: float) -> None:
        """Forget the publications that are too old."""
        ttl = self._ttl(topic.rule)
        while topic.history is not None and now >= topic.history.kept[0].at + ttl:
            self._drop_oldest(topic)

    def _drop_oldest(self, topic: Topic) -> None:
        assert topic.history is not None
        self._hold(-topic.history.drop())
        if not topic.history.kept:
            topic.history = None
            del self.with_history[topic.name]

    def _hold(self, size: int) -> None:
        self.bytes += size
        self._shared.hold(size)


def _body(offset: int, data: bytes, sender: bytes | None) -> bytes:
    """The members of a publication that follow `epoch`."""
    if sender is None:
        return b'"offset":%d,"data":%b' % (offset, data)
    return b'"offset":%d,"data":%b,"from":%b' % (offset, data, sender)
