"""What callers may do with topics, and what the server does: subscribe, publish, read, and the end of all that.

Each name is checked, each caller against the rule of the topic. What follows from it happens in the tables beside this
file.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from msgspec import UNSET, Raw, Struct, UnsetType, json
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.idempotency import owner_of
from posthouse.core.calls.outgoing import OutgoingRequests
from posthouse.core.connections.connections import Connection
from posthouse.core.connections.delivery import sender_of
from posthouse.core.identity.authorization import authorize
from posthouse.core.jsonrpc.messages import encode_notification
from posthouse.core.service.topics.names import is_topic
from posthouse.core.service.topics.position import Position
from posthouse.core.service.topics.rulebook import Rulebook
from posthouse.core.service.topics.rules import Access, Rule
from posthouse.core.values.close_reasons import MAX_SUBSCRIPTIONS_PER_USER
from posthouse.core.values.effects import Resolve
from posthouse.core.values.errors import (
    FORBIDDEN,
    INVALID_PARAMS,
    SERVER_BUSY,
    UNKNOWN_TOPIC,
    ErrorObject,
    RpcError,
    refusal,
)
from posthouse.core.values.peers import CallId, ConnectionId, OutgoingId
from posthouse.core.values.shared import Shared

from .delivery import TopicDelivery
from .requests import Attach, Broker, Detach, Full, Key, KeyTaken, OtherEpoch, Publish, Read
from .subscriptions import Subscriptions

BESIDE: Final = 512
"""Bytes of an answer beside its publications, its id and the name of the topic."""

UNSUBSCRIBED: Final = "topic.unsubscribed"
"""The notification that the server has ended a subscription."""

PUBLISHED: Final = "topics.published"
RECOVERED: Final[dict[bool, str]] = {True: "topics.recovered", False: "topics.not_recovered"}


class Subscribed(Struct, frozen=True):
    """The answer to a subscription: from this position on, everything is sent. With a position to resume from,
    `recovered` says whether `publications` are all that was missed since. If not, there are none."""

    epoch: str
    offset: int
    recovered: bool | UnsetType = UNSET
    publications: list[Raw] | UnsetType = UNSET


class TopicHistory(Struct, frozen=True):
    """Some publications of a topic, and the position of the topic."""

    epoch: str
    offset: int
    publications: list[Raw]


class Topics:
    """The topics of one gateway."""

    def __init__(
        self,
        shared: Shared,
        rules: Rulebook,
        calls: Calls,
        requests: OutgoingRequests,
        broker: Broker,
        delivery: TopicDelivery,
    ) -> None:
        self._shared = shared
        self._config = shared.config
        self._rules = rules
        self._calls = calls
        self._requests = requests
        self._broker = broker
        self.delivery = delivery
        self.subscriptions: Subscriptions = delivery.subscriptions

    # What callers do

    def subscribe(
        self, caller: Connection, call: CallId, topic: str, position: Position | None, now: float
    ) -> Subscribed:
        """Subscribe a connection. The reply to this call leaves before the first publication; without it, there is no
        subscription."""
        if not caller.pushable:
            raise _invalid(None, "the server can send nothing on this connection: subscribe over a WebSocket or stdio")
        rule = self._rule(topic)
        _check(rule.subscribe, caller)
        if self.subscriptions.has(caller.id, topic):
            raise _invalid("topic", "this connection is subscribed to it already")
        self.subscriptions.check_room(caller, now)
        attached = self._broker.attach(Attach(topic, rule, position, self._room(topic)), now)
        if isinstance(attached, Full):
            raise _full()
        self.subscriptions.add(caller, topic)
        batch = self._calls.records[call].batch
        begin = partial(self.delivery.begin, caller, topic, rule.slow, batch)
        self._calls.confirm[call] = lambda result, now: begin() if result else self._end(caller.id, topic, now)
        epoch, offset = attached.position.epoch, attached.position.offset
        if position is None:
            return Subscribed(epoch, offset)
        found = attached.publications
        self._shared.stats.count(RECOVERED[found is not None])
        return Subscribed(epoch, offset, found is not None, UNSET if found is None else found)

    def unsubscribe(self, caller: Connection, topic: str, now: float) -> None:
        """End a subscription: nothing of it is sent from now on."""
        if not self.subscriptions.has(caller.id, topic):
            raise RpcError(UNKNOWN_TOPIC, data={"topic": topic[: self._config.max_topic_bytes]})
        self._end(caller.id, topic, now)

    def publish(self, caller: Connection, topic: str, data: Raw, key: str | None, now: float) -> Position:
        """Publish data of a caller."""
        rule = self._rule(topic)
        _check(rule.publish, caller)
        checked, sender = rule.payload.check(data), json.encode(sender_of(caller))
        owned = None if key is None else self._owned(caller, key)
        return self._accept(Publish(topic, rule, checked, sender, owned), now)

    def history(
        self, caller: Connection, topic: str, since: Position | None, limit: int, now: float, *, reverse: bool
    ) -> TopicHistory:
        """Read what is kept of a topic."""
        rule = self._rule(topic)
        _check(rule.subscribe, caller)
        page = self._broker.read(Read(topic, rule, since, limit, reverse, self._room(topic)), now)
        if isinstance(page, OtherEpoch):
            raise _invalid("from", "the topic has begun another epoch since")
        return TopicHistory(page.position.epoch, page.position.offset, page.publications)

    # What the server does

    def publish_own(self, topic: str, data: object, now: float) -> OutgoingId:
        """Publish data of the service. Its outcome is a `Resolve`, with the position. Raises UsageError, before any
        change, for data that is not as declared."""
        outcome: bytes | ErrorObject
        try:
            rule = self._rule(topic)
            outcome = json.encode(self._accept(Publish(topic, rule, rule.payload.encode(data)), now))
        except RpcError as error:
            outcome = error.error_object
        id = self._requests.reserve()
        self._shared.outbox.append(Resolve(id, outcome))
        return id

    # The right to subscribe ends

    def identified(self, connection: Connection, now: float) -> None:
        """A connection was admitted, or has another identity: it loses the subscriptions that it may not have."""
        subscribed = self.subscriptions.of(connection.id)
        if not subscribed:
            return
        for topic in subscribed:
            if not _may(self._rule(topic).subscribe, connection):
                self._take_back(connection, topic, "forbidden", now)
        excess = self.subscriptions.move(connection)
        address, limit = connection.peer.address, MAX_SUBSCRIPTIONS_PER_USER
        if excess and self._shared.enforces(limit, connection.id, address, now):
            for topic in self.subscriptions.of(connection.id)[-excess:]:
                self._take_back(connection, topic, limit.name, now)

    def take_back(self, connections: Iterable[Connection], topic: str | None, now: float) -> int:
        """The service ends the subscriptions of these connections, to one topic or to all. Returns their number."""
        ended = 0
        for connection in connections:
            for subscribed in self.subscriptions.of(connection.id):
                if topic in (None, subscribed):
                    self._take_back(connection, subscribed, "server", now)
                    ended += 1
        return ended

    def _take_back(self, connection: Connection, topic: str, reason: str, now: float) -> None:
        """End a subscription, and tell the peer why."""
        payload = encode_notification(UNSUBSCRIBED, {"topic": topic, "reason": reason})
        self.delivery.tell(connection, topic, payload, now)
        self._end(connection.id, topic, now)

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing: its subscriptions end."""
        for topic in self.subscriptions.of(connection.id):
            self._end(connection.id, topic, now)

    # Steps

    def _accept(self, request: Publish, now: float) -> Position:
        """Give a publication to the broker, and deliver what it has accepted."""
        outcome = self._broker.publish(request, now)
        if isinstance(outcome, Full):
            raise _full()
        if isinstance(outcome, KeyTaken):
            raise _invalid("idempotency_key", "this key was used with other data")
        if outcome.body is not None:
            self._shared.stats.count(PUBLISHED)
            self.delivery.deliver(request.topic, request.rule.slow, outcome.position, outcome.body, now)
        return outcome.position

    def _end(self, connection: ConnectionId, topic: str, now: float) -> None:
        self.delivery.waiting.forget(connection, topic)
        if self.subscriptions.remove(connection, topic):
            self._broker.detach(Detach(topic), now)

    def _rule(self, topic: str) -> Rule:
        """The rule of this topic. Raises RpcError: for what is no name of a topic, and if no rule stands for it."""
        if len(topic) > self._config.max_topic_bytes:
            limit = {"limit": "max_topic_bytes", "allowed": self._config.max_topic_bytes}
            raise RpcError(INVALID_PARAMS, data={"parameter": "topic", **limit})
        if not is_topic(topic):
            raise _invalid("topic", "it must be segments of letters, digits, _ : $ and -, with points between them")
        rule = self._rules.find(topic)
        if rule is None:
            raise RpcError(UNKNOWN_TOPIC, data={"topic": topic})
        return rule

    def _room(self, topic: str) -> int:
        """How many bytes publications may take in an answer about this topic."""
        return self._config.max_response_bytes - self._config.max_id_bytes - len(topic) - BESIDE

    def _owned(self, caller: Connection, key: str) -> Key:
        """A key with its owner. Raises RpcError if the caller can have none."""
        if len(key.encode()) + 2 > self._config.max_id_bytes:
            limit = {"limit": "max_id_bytes", "allowed": self._config.max_id_bytes}
            raise RpcError(INVALID_PARAMS, data={"parameter": "idempotency_key", **limit})
        return (*owner_of(caller, "idempotency_key"), key)


def _check(access: Access, caller: Connection) -> None:
    """Raise RpcError unless the caller may do this."""
    if access.nobody:
        raise RpcError(FORBIDDEN, data={"reason": "only the server may do this"})
    authorize(access, caller.identity)


def _may(access: Access, caller: Connection) -> bool:
    try:
        _check(access, caller)
    except RpcError:
        return False
    return True


def _invalid(parameter: str | None, reason: str) -> RpcError:
    return RpcError(INVALID_PARAMS, data={"parameter": parameter, "reason": reason})


def _full() -> RpcError:
    return RpcError.of(refusal(SERVER_BUSY, limit="max_topics"))
