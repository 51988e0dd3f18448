"""The facts of attached sessions, of calls that wait for the store, and of what the store is still told."""

from __future__ import annotations

from posthouse.adapters.invariants.violation import must
from posthouse.core.connections.state import LIVING
from posthouse.core.gateway import Gateway


def sessions(gateway: Gateway) -> None:
    """An attached session has live connections of its user; the indexes agree with the records, and with the store."""
    table, records = gateway._sessions, gateway._connections.records
    owned = {id: each.session for id, each in records.items() if each.session is not None}
    must(all(records[id].state in LIVING for id in owned), "sessions: a closed connection belongs to no session")
    attached = {id: session for session, each in table.records.items() for id in each.connections}
    must(attached == owned, "sessions: a connection belongs to the session that has it")
    by_user = {session: user for user, own in table.by_user.items() for session in own}
    users = {session: each.row.user for session, each in table.records.items() if each.row.user is not None}
    must(by_user == users and all(table.by_user.values()), "sessions: a session is found by its user")
    numbers = {each.number: session for session, each in table.records.items()}
    must(table._numbers == numbers, "sessions: a session is found by its deadline")
    memory = gateway.store
    for id, session in table.records.items():
        must(bool(session.connections), "sessions: an attached session has a connection")
        must(session.timer.live and session.timer.key == session.number, "time: an attached session has a deadline")
        must(session.row.id == id, "sessions: a session is found by its id")
        for connection in session.connections.values():
            same = not connection.admitted or connection.identity.key == session.row.user
            must(same, "sessions: a connection of a session has its user")
        if memory is not None:
            row = memory.sessions.get(id)
            kept = row is not None and (row.data, row.version) == (session.row.data, session.row.version)
            must(kept, "sessions: an attached session is as the store has it")
    must(not table.records or table._activity is not None, "time: the uses of sessions are told in time")
    waiting(gateway)
    chores(gateway)
    keys(gateway)


def waiting(gateway: Gateway) -> None:
    """Claims and questions about keys end with what waits for the store."""
    calls, procedures, logins = gateway._calls, gateway._procedures, gateway._logins.records
    later = procedures.by_call.keys() | logins.keys()
    must(calls.later.keys() >= later, "sessions: each call that is answered later can be withdrawn")
    must(not (procedures.by_call.keys() & logins.keys()), "sessions: a call waits for one thing at a time")
    begun_for = {each.begun_for.number for each in procedures.records.values()}
    must(set(gateway._resumptions.claims.values()) <= begun_for, "sessions: a claim ends with its procedure")
    must(bool(begun_for) or not gateway._session_calls.renewing, "sessions: a session is renewed by a procedure")
    using = any(arrival.using is not None for arrival in gateway._arrivals.records.values())
    must(
        bool(begun_for) or using or not gateway._session_keys.asked,
        "sessions: somebody waits for the judgement of each key",
    )


def chores(gateway: Gateway) -> None:
    """Requests that the store has not done yet are recorded, and are no more than their limit."""
    told = gateway._chores
    for ends in (told.ending, told.replaced):
        must(set(ends.values()) <= told.records.keys(), "sessions: the store is told of what ends until it has done it")
        must(len(ends) <= gateway.config.max_revocations, "sessions: the store is told of more than max_revocations")


def keys(gateway: Gateway) -> None:
    """Each key has one call without an outcome, or an outcome that is kept within the limits."""
    table, calls, config = gateway._idempotency, gateway._calls.records, gateway.config
    kept = [place for place, each in table.records.items() if each.outcome is not None]
    must(sorted(kept) == sorted(table.kept), "calls: the outcome of a key is kept in the order of ends")
    by_owner = {place: owner for owner, own in table.by_owner.items() for place in own}
    must(by_owner == {place: place[0] for place in kept}, "calls: the outcome of a key is found by its owner")
    must(all(table.by_owner.values()), "calls: an owner without outcomes has no entry")
    must(sum(table.records[place].size for place in kept) == table.bytes, "calls: the bytes of outcomes are counted")
    must(len(kept) <= config.max_idempotency_results, "calls: no more outcomes than max_idempotency_results")
    must(table.bytes <= config.max_idempotency_bytes, "calls: no more bytes than max_idempotency_bytes")
    most = max(map(len, table.by_owner.values()), default=0)
    must(most <= config.max_idempotency_per_identity, "calls: no more outcomes than max_idempotency_per_identity")
    keyed = {each.keyed: number for number, each in calls.items() if each.keyed is not None}
    running = {place: each.call for place, each in table.records.items() if each.outcome is None}
    must(keyed == running, "calls: each key without an outcome has its call")
    for place, each in table.records.items():
        repeating = [number for number in each.waiting if number in calls and calls[number].repeats == place]
        must(list(each.waiting) == repeating, "calls: a call that waits for another one repeats it")


def session_bytes(gateway: Gateway) -> int:
    """The bytes that are held for sessions, for the outcomes of keys, and by a store in memory."""
    size = sum(len(each.row.data) for each in gateway._sessions.records.values()) + gateway._idempotency.bytes
    memory = gateway.store
    if memory is not None:
        size += sum(row.size for row in memory.users.values())
        size += sum(row.size for row in memory.tokens.values())
        size += sum(row.size for row in memory.sessions.values())
    return size


def sessions_at_rest(gateway: Gateway) -> None:
    """Nothing of a session is left but what the store has."""
    table = gateway._sessions
    must(not (table.records or table.by_user or table._numbers), "rest: no session is attached")
    must(not gateway._procedures.records, "rest: no procedure goes on")
    must(not gateway._calls.later, "rest: no call is answered later")
    must(not gateway._resumptions.claims, "rest: no connection is being replaced")
    must(not gateway._session_calls.renewing, "rest: no session is being renewed")
    must(not gateway._session_keys.left, "rest: the store has answered about each key")
    must(not gateway._session_keys.asked, "rest: no key is being judged")
