"""The facts of users in the store: what is asked for them, and who they are once they are in."""

from __future__ import annotations

from posthouse.adapters.invariants.violation import must
from posthouse.core.calls.calls import Phase
from posthouse.core.connections.state import LIVING
from posthouse.core.gateway import Gateway
from posthouse.core.identity.stored import granted
from posthouse.core.service.accounts import TOKENS
from posthouse.core.values.peers import Identity


def users(gateway: Gateway) -> None:
    """Each procedure waits for something, and each call that answers later has one. Every authenticated caller is
    still allowed in."""
    procedures(gateway)
    look_ups(gateway)
    who_is_in(gateway)


def procedures(gateway: Gateway) -> None:
    """A procedure without a call goes on only for what it has changed."""
    table, calls = gateway._procedures, gateway._calls
    for number, record in table.records.items():
        must(record.pending is not None, "users: a procedure waits for something")
        assert record.pending is not None
        if record.call is None:
            must(record.pending.withdraw is None, "users: a procedure goes on although nobody waits")
        else:
            must(table.by_call.get(record.call) == number, "users: a procedure is found by its call")
            must(record.call in calls.later, "users: a call that answers later knows what to withdraw")
            must(calls.records[record.call].phase is Phase.RUNNING, "users: a procedure answers a call that runs")
    must(all(number in table.records for number in table.by_call.values()), "users: a call waits for its procedure")


def look_ups(gateway: Gateway) -> None:
    """Each look-up asks the store, or has a password compared, for a verification that somebody waits for."""
    verifications = gateway._verifications
    stored, passwords = verifications.stored, verifications.passwords
    must(stored.records.keys() == verifications.looked_up.keys(), "users: somebody waits for each look-up")
    for record in stored.records.values():
        asks = record.operation is not None and record.operation in gateway._storage.records
        must(asks or record.hash in passwords.records, "users: a look-up waits for the store, or for a hash")
    for hashing in passwords.records.values():
        begun = hashing.timer is None
        must(not begun or hashing.operation in passwords.running, "users: a hash that has begun has an operation")


def who_is_in(gateway: Gateway) -> None:
    """With the store at hand: no user is in, or remembered, whom the store does not know, or who is disabled; and none
    has more scopes than it may have."""
    store = gateway.store
    if store is None or not gateway._verifications._chains.get("stored basic"):
        return
    cache, connections = gateway._verifications.cache, gateway._connections.records
    known = [each.identity for each in cache.records.values()]
    for record in connections.values():
        if record.admitted and record.state in LIVING and record.identity is not record.peer.identity:
            known.append(record.identity)
    for identity in known:
        if identity.user is not None and not identity.namespace:
            must(may_be_in(identity, gateway), "users: a user is in who may not be", identity)
    rows = [each.identity for each in store.sessions.values()]
    for identity in (*known, *rows):
        counts = identity.token is None or identity.token in store.tokens or identity.expires_at is not None
        must(counts or bool(identity.namespace), "users: a token that was removed has left something", identity)
    digests = {row.digest for row in store.tokens.values()}
    for name, digest in cache.records:
        expires_at = cache.records[name, digest].identity.expires_at
        counts = name != TOKENS or digest in digests or expires_at is not None
        must(counts, "users: a token that was removed is remembered")


def may_be_in(identity: Identity, gateway: Gateway) -> bool:
    """Does the store know this user, and give it these scopes?"""
    store = gateway.store
    row = None if store is None or identity.user is None else store.users.get(identity.user)
    if row is None or row.disabled:
        return False
    return granted(identity.scopes, row.scopes) == identity.scopes
