"""The facts of a gateway alone, between two inputs."""

from __future__ import annotations

from collections import Counter

from posthouse.core.calls.calls import Phase
from posthouse.core.calls.replies import Batch
from posthouse.core.connections.connections import NOTHING, Connection
from posthouse.core.connections.flow import Backlog
from posthouse.core.connections.state import LIVING, State
from posthouse.core.gateway import Gateway
from posthouse.core.values.peers import PUSHABLE, ConnectionId

from .accounts.sessions import session_bytes
from .publishing.topics import topic_bytes
from .violation import must


def calls(gateway: Gateway) -> None:
    """Running handlers do not exceed their cap, and all counts of them agree."""
    must(not NOTHING, "calls: the table that connections without calls share is empty")
    table, records = gateway._calls, gateway._connections.records
    handed_out = Counter(call.connection for call in table.records.values() if call.phase is not Phase.WAITING)
    must(table.handlers == handed_out.total(), "calls: a slot for each handler")
    must(table.handlers <= gateway.config.max_calls, "calls: no more handlers than max_calls")
    must(table.waiting == len(table.records) - table.handlers, "calls: waiting calls are counted")
    for record in records.values():
        must(record.running == handed_out[record.id], "calls: a connection has a slot for each of its handlers")
    for call in table.records.values():
        owner = records.get(call.connection)
        owned = owner is not None and owner.calls.get(call.key) == call.number
        open_ = call.phase is not Phase.ENDED and not call.detached
        must(owned == open_, "calls: a connection holds exactly its calls without an outcome")
        must(open_ or call.followers is None, "calls: a call with an outcome keeps no notifications")
    asked = sum(len(record.requests) for record in records.values())
    must(len(gateway._requests) == asked, "calls: each request in flight is known to its connection")


def calls_of(gateway: Gateway, record: Connection) -> None:
    """A connection holds its calls without an outcome. They run up to its cap, and the others wait."""
    config, table = gateway.config, gateway._calls.records
    must(record.running <= config.max_calls_per_connection, "calls: no more handlers than max_calls_per_connection")
    followers = followers_of(gateway, record)
    number = len(followers)
    must(record.following == number <= config.max_queued_pushes, "calls: the notifications behind replies are counted")
    size = sum(map(len, followers))
    must(
        record.following_bytes == size <= config.max_queued_pushes_bytes, "calls: the bytes behind replies are counted"
    )
    if record.requests:
        must(PUSHABLE[record.peer.kind], "calls: requests go only to connections that can be pushed to")
    if record.calls:
        must(record.state is not State.CLOSING, "calls: a closing connection has no calls")
        for key, number in record.calls.items():
            must(number in table, "calls: a connection's call is in the table")
            call = table[number]
            must((call.key, call.connection) == (key, record.id), "calls: a call is found by its own key")
            must(call.phase is not Phase.ENDED, "calls: a call with an outcome belongs to no connection")
    if record.waiting:
        first = next(iter(record.waiting))
        held_up = record.changing is not None and first > record.changing
        must(held_up or record.running == config.max_calls_per_connection, "calls: no call waits while a slot is free")
        must(len(record.waiting) <= config.max_waiting_calls, "calls: no more waiting calls than max_waiting_calls")
        waiting = [table[number] for number in record.waiting]
        size = sum(len(call.params or b"") for call in waiting)
        must(record.waiting_bytes == size <= config.max_waiting_bytes, "calls: the bytes of waiting calls are counted")
        must(
            all(record.calls.get(call.key) == call.number for call in waiting),
            "calls: a waiting call is a call of its connection",
        )
    else:
        must(not record.waiting_bytes, "calls: the bytes of waiting calls are counted")


def followers_of(gateway: Gateway, record: Connection) -> list[bytes]:
    """The notifications that wait for the replies of this connection's calls."""
    open_ = [gateway._calls.records[number] for number in record.calls.values()]
    batches: list[Batch] = []
    for call in open_:
        if call.batch is not None and all(call.batch is not other for other in batches):
            batches.append(call.batch)
    kept = [keeper.followers for keeper in open_] + [keeper.followers for keeper in batches]
    return [payload for followers in kept for payload in followers or ()]


def flow(gateway: Gateway) -> None:
    """The sum of the bytes that are held for peers is right."""
    records = gateway._connections.records.values()
    total = gateway._buffered + session_bytes(gateway) + topic_bytes(gateway)
    total += sum(record.waiting_bytes + record.batch_reply_bytes + record.following_bytes for record in records)
    total += sum(record.peer.header_bytes for record in records if record.state is State.OPEN and record.pushable)
    total += sum(len(arrival.text or b"") for arrival in gateway._arrivals.records.values())
    for id, backlog in gateway._flow.backlogs.items():
        flow_of(gateway, id, backlog)
        total += backlog.held + backlog.reply_bytes + backlog.push_bytes
    must(gateway.memory == total, "flow: the sum of held and queued bytes is right")


def flow_of(gateway: Gateway, id: ConnectionId, backlog: Backlog) -> None:
    """A connection whose peer does not read: its queue is within its limits, and it has a deadline."""
    config = gateway.config
    replies = sum(len(queued.data) for queued in backlog.queue if queued.at is None)
    pushes = [len(queued.data) for queued in backlog.queue if queued.at is not None]
    must(backlog.held > 0, "flow: nothing is queued unless bytes are held")
    must(gateway._connections.records[id].state in LIVING, "flow: nothing is queued for a closed connection")
    must(backlog.reply_bytes == replies <= config.max_queued_replies_bytes, "flow: replies are within their limit")
    must(backlog.push_bytes == sum(pushes) <= config.max_queued_pushes_bytes, "flow: pushes are within their limit")
    must(
        len(backlog.push_times) == len(pushes) <= config.max_queued_pushes,
        "flow: the number of pushes is within its limit",
    )
    must(backlog.timer is not None and backlog.timer.live, "time: a peer that does not read has a deadline")


def shutdown(gateway: Gateway) -> None:
    """A shut-down is over when no connection is left, and not before it began."""
    drain = gateway._drain
    must(drain.accepting or drain.began is not None, "shutdown: sockets are accepted until it begins")
    if drain.over:
        living = any(record.state in LIVING for record in gateway._connections.records.values())
        must(not drain.accepting and not living, "shutdown: it is over when no connection is left")
