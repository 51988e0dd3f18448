"""The facts of topics: who is subscribed, what is kept, and what waits for slow subscribers."""

from __future__ import annotations

from collections import Counter

from posthouse.adapters.invariants.violation import must
from posthouse.core.connections.state import OPEN
from posthouse.core.gateway import Gateway
from posthouse.core.topics.broker import Topic
from posthouse.core.topics.keys import size_of


def topics(gateway: Gateway) -> None:
    """A subscription is in each index, its connection is open, and its topic is there."""
    table, broker, config = gateway._topics.subscriptions, gateway._broker, gateway.config
    records = gateway._connections.records
    found = {(id, topic) for topic, ids in table.by_topic.items() for id in ids}
    owned = {(id, topic) for id, own in table.by_connection.items() for topic in own.topics}
    must(found == owned, "topics: a subscription is found by its topic and by its connection")
    must(table._names.keys() == table.by_topic.keys(), "topics: a name is shared while somebody is subscribed")
    must(all(table.by_topic.values()), "topics: a topic without subscribers has no entry")
    users: Counter[object] = Counter()
    for id, own in table.by_connection.items():
        must(bool(own.topics), "topics: a connection without subscriptions has no entry")
        must(id in records and records[id].state is OPEN, "topics: a subscriber is open")
        must(records[id].pushable, "topics: a subscriber can be pushed to")
        identity = records[id].identity
        must(own.user == identity.key, "topics: subscriptions count for the user whose they are")
        for rule in filter(None, map(gateway._topics._rules.find, own.topics)):
            may = not identity.missing(rule.subscribe.scopes)
            must(may, "topics: a subscriber has the scopes for its topics")
        if "max_subscriptions" not in config.observe:
            must(len(own.topics) <= config.max_subscriptions, "topics: no more subscriptions than max_subscriptions")
        if own.user is not None:
            users[own.user] += len(own.topics)
    must(users == Counter(table.by_user), "topics: the subscriptions of a user are counted")
    attached = {name for name, topic in broker.records.items() if topic.attached}
    must(attached == set(table.by_topic), "topics: a topic with subscribers is attached, and no other")
    histories(gateway)
    waiting(gateway)


def histories(gateway: Gateway) -> None:
    """The history of a topic is its newest publications, without a hole, within the limits."""
    broker, config = gateway._broker, gateway.config
    others = sum(not topic.own for topic in broker.records.values())
    must(others <= config.max_topics, "topics: no more topics than max_topics, and those of the service")
    blank = [name for name, topic in broker.records.items() if not topic.attached and not topic.offset]
    must(sorted(broker.blank) == sorted(blank), "topics: a topic without publications makes room first")
    must(broker.bytes <= config.max_history_bytes, "topics: no more history than max_history_bytes")
    idle = [name for name, topic in broker.records.items() if not topic.attached]
    must(sorted(broker.idle) == sorted(idle), "topics: a topic without subscribers may make room")
    kept = [name for name, topic in broker.records.items() if topic.history is not None]
    must(sorted(broker.with_history) == sorted(kept), "topics: a topic with history is found")
    must({each.number: each.name for each in broker.records.values()} == _numbers(broker._numbers), "topics: deadlines")
    size = 0
    for topic in broker.records.values():
        history = topic.history
        if history is not None:
            offsets = [publication.offset for publication in history.kept]
            first = topic.offset - len(offsets) + 1
            must(offsets == list(range(first, topic.offset + 1)), "topics: a history has no hole, and ends now")
            must(len(offsets) <= broker._size(topic.rule), "topics: a history is no longer than declared")
            must(history.bytes == sum(each.size for each in history.kept), "topics: its bytes are counted")
            size += history.bytes
        due = history is not None or not topic.attached
        must(not due or (topic.timer is not None and topic.timer.live), "time: a topic is forgotten in time")
    must(size == broker.bytes, "topics: the bytes of all histories are counted")
    must(len(broker.keys.records) <= config.max_publication_keys, "topics: no more keys than max_publication_keys")
    owned = [place for own in broker.keys.by_owner.values() for place in own]
    must(sorted(owned) == sorted(broker.keys.records), "topics: a key is found by its owner")
    most = max(map(len, broker.keys.by_owner.values()), default=0)
    must(most <= config.max_idempotency_per_identity, "topics: no more keys of one than max_idempotency_per_identity")


def _numbers(found: dict[int, Topic]) -> dict[int, str]:
    return {number: topic.name for number, topic in found.items()}


def waiting(gateway: Gateway) -> None:
    """Publications wait for subscribers alone, for a reason, in order, and within the limits."""
    table, backlogs, config = gateway._topics.subscriptions, gateway._flow.backlogs, gateway.config
    for id, waits in gateway._topics.delivery.waiting.records.items():
        must(bool(waits.rings), "topics: nothing is recorded as waiting that does not wait")
        number = sum(len(ring.queue) for ring in waits.rings.values())
        size = sum(len(each.payload) for ring in waits.rings.values() for each in ring.queue)
        must((waits.number, waits.bytes) == (number, size), "topics: what waits is counted")
        must(number <= config.max_queued_pushes, "topics: no more waits than max_queued_pushes")
        must(size <= config.max_queued_pushes_bytes, "topics: no more waits than max_queued_pushes_bytes")
        for name, ring in waits.rings.items():
            must(table.has(id, name), "topics: publications wait for subscribers alone")
            reply = ring.unanswered is not None and ring.unanswered.left > 0
            must(reply or id in backlogs, "topics: publications wait for a slow peer, or for a reply")
            must(reply or ring.waits, "topics: nothing is recorded as waiting that does not wait")
            must(ring.bytes == sum(len(each.payload) for each in ring.queue), "topics: what waits is counted")
            first = [ring.lost_to] if ring.lost_from else []
            line = [*first, *(each.offset for each in ring.queue)]
            must(
                line == list(range(line[0], line[0] + len(line))) if line else True,
                "topics: a gap is where it was lost",
            )


def topic_bytes(gateway: Gateway) -> int:
    """The bytes that are held for topics."""
    waits = sum(each.bytes for each in gateway._topics.delivery.waiting.records.values())
    return gateway._broker.bytes + waits + sum(map(size_of, gateway._broker.keys.records))


def topics_at_rest(gateway: Gateway) -> None:
    """No subscription is left of connections that have gone, and nothing waits for them."""
    table = gateway._topics.subscriptions
    must(not (table.by_topic or table.by_connection or table.by_user or table._names), "rest: nobody is subscribed")
    must(not gateway._topics.delivery.waiting.records, "rest: no publication waits")
    must(not gateway._calls.confirm, "rest: no reply is waited for")
