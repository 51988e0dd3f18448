"""The facts of external operations, and of connections whose credentials are being verified."""

from __future__ import annotations

from collections import Counter

from posthouse.core.calls.calls import Phase
from posthouse.core.connections.state import LIVING, State
from posthouse.core.dispatch.accounts import ACCOUNT
from posthouse.core.gateway import Gateway
from posthouse.core.identity.expiry import GRACE_OVER, IDENTITY_EXPIRES, NOTICE_DUE
from posthouse.core.identity.revocations import made_since

from .violation import must


def identity(gateway: Gateway) -> None:
    """Each verification has one operation with a deadline, and a connection or a call that waits for it."""
    records, arrivals = gateway._connections.records, gateway._arrivals.records
    verifications, operations = gateway._verifications.records, gateway._operations.records
    must(len(operations) <= gateway.config.max_external_operations, "operations: no more than max_external_operations")
    waiting = {id for id, record in records.items() if record.state is State.AUTHENTICATING}
    must(waiting == arrivals.keys(), "identity: a connection that is not admitted waits for a verification")
    must(
        all(not records[id].admitted and not records[id].calls for id in waiting),
        "identity: nothing runs for a connection that is not admitted",
    )
    calls = gateway._calls.records
    for number, login in gateway._logins.records.items():
        must(number in calls and calls[number].phase is Phase.RUNNING, "identity: a log-in is a call that runs")
        changing = records[calls[number].connection].changing
        must(changing == number, "identity: nothing overtakes a log-in on its connection")
        must(login.verification.subject == number, "identity: a verification is found by its operation")
    for record in records.values():
        known = record.changing is None or record.changing in record.calls.values()
        must(known, "identity: the call that changes an identity is in flight")
    must(
        all(record.caller.identity == record.identity for record in records.values()),
        "identity: handlers see the identity of their connection",
    )
    for arrival in arrivals.values():
        waits = arrival.verification is not None or arrival.using is not None
        waits = waits or (arrival.stale and arrival.text is None)
        must(waits, "identity: an arrival waits for a verification, or for a text")
    waited_for = [each.verification for each in arrivals.values() if each.verification is not None]
    waited_for += [each.verification for each in gateway._logins.records.values()]
    lines = gateway._verifications.waiting
    looked_up, passwords = gateway._verifications.looked_up, gateway._verifications.passwords
    begun = [*verifications.values(), *(each for each, _ in lines.values()), *looked_up.values()]
    waited_for += [each for each in begun if each.purpose == ACCOUNT and each.subject in gateway._procedures.records]
    must(len(begun) == len(waited_for), "identity: somebody waits for each verification")
    for verification in waited_for:
        known = verifications.get(verification.operation) is verification
        known = known or looked_up.get(verification.number) is verification
        if not known:
            known = verification.number in lines and lines[verification.number][0] is verification
            live = verification.timer is not None and verification.timer.live
            must(live, "time: a verification that waits for its turn has a deadline")
        must(known, "identity: a verification is found by its operation, or waits for its turn")
    for operation, pending in operations.items():
        live = pending.timer is not None and pending.timer.live
        must(live == (pending.timer is not None), "time: an operation that somebody waits for has a deadline")
        waited = operation in verifications or operation in gateway._storage.records
        waited = waited or any(each.operation == operation for each in passwords.records.values())
        must(live == waited, "operations: somebody waits for each operation that has not ended")
    budgets(gateway)
    must(
        len(gateway._verifications.cache.records) <= gateway.config.max_cached_credentials,
        "identity: no more credentials are kept than max_cached_credentials",
    )
    expiry(gateway)
    demands(gateway)
    strays(gateway)
    revocations(gateway)
    cookies(gateway)


def expiry(gateway: Gateway) -> None:
    """Each identity that expires, of a connection that lasts, has the one deadline that is next; no other has one."""
    records, expiring = gateway._connections.records, gateway._expiry.records
    lasting = {id for id, each in records.items() if each.pushable and each.admitted and each.state is State.OPEN}
    expected = {id for id in lasting if records[id].identity.expires_at is not None}
    must(expiring.keys() == expected, "identity: the identities that expire have a deadline, and no others")
    for id, each in expiring.items():
        must(each.timer.live and each.timer.key == id, "time: an identity that expires has a deadline")
        reason = GRACE_OVER if each.expired else IDENTITY_EXPIRES if each.told else NOTICE_DUE
        must(each.timer.reason == reason, "time: the deadline of an identity is that of its state")


def demands(gateway: Gateway) -> None:
    """Where authentication is required, each anonymous WebSocket has the deadline of its log-in; no other has one."""
    expected = {
        id
        for id, each in gateway._connections.records.items()
        if each.peer.kind == "websocket" and each.admitted and each.state is State.OPEN
        if gateway.config.require_authentication and not each.identity.authenticated
    }
    deadlines = gateway._demands.records
    must(deadlines.keys() == expected, "identity: the WebSockets that must log in have a deadline, and no others")
    for id, timer in deadlines.items():
        must(timer.live and timer.key == id, "time: a WebSocket that must log in has a deadline")


def strays(gateway: Gateway) -> None:
    """The calls to which no connection of their user leads are found by their user."""
    indexed = {number: user for user, numbers in gateway._calls.strays.items() for number in numbers}
    must(all(gateway._calls.strays.values()), "identity: a user without stray calls has no entry")
    for number, call in gateway._calls.records.items():
        caller = call.caller or (call.detached and call.detached.caller)
        user = None if caller is None or call.phase is Phase.ENDED else caller.identity.key
        must(indexed.pop(number, None) == call.stray == user, "identity: a stray call is found by its user")
    must(not indexed, "identity: a call that has ended is no stray")


def revocations(gateway: Gateway) -> None:
    """A revoked identity has no live connection, and nothing of it is kept."""
    verifications = gateway._verifications
    cache, revoked = verifications.cache, verifications.revocations
    found = {place: user for user, places in cache.by_user.items() for place in places}
    users = {place: cached.identity.key for place, cached in cache.records.items()}
    must(found == users and all(cache.by_user.values()), "identity: a cached credential is found by its user")
    most = gateway.config.max_revocations
    must(
        max(len(revoked.records), len(revoked.recent)) <= most,
        "identity: no more revocations are kept than max_revocations",
    )
    needed = bool(verifications.records) or bool(verifications.looked_up) or bool(gateway._session_keys.asked)
    must(needed or not revoked.recent, "identity: a revocation is kept that nothing needs")
    verified = [each.identity for each in cache.records.values()]
    for record in gateway._connections.records.values():
        if record.admitted and record.state in LIVING and record.identity is not record.peer.identity:
            verified.append(record.identity)  # that of a peer is trusted
    for identity in verified:
        user = identity.key
        stale = user in revoked.records and not made_since(revoked.records[user], identity)
        must(not stale, "identity: a revoked identity counts")


def budgets(gateway: Gateway) -> None:
    """No more callers are remembered than may be. Each hash that runs has its turn, and nobody waits without reason."""
    config, verifications = gateway.config, gateway._verifications
    known, turns = verifications.budgets, verifications.turns
    ledgers = (known.pairs, known.addresses, known.users, known.registrations, known.sessions)
    passwords = verifications.passwords
    most = max(len(known.known), *(len(ledger.records) for ledger in ledgers))
    must(most <= config.max_remembered_callers, "identity: no more callers are remembered than max_remembered_callers")
    running = [*verifications.hashing.values(), *(each.turn for each in passwords.running.values())]
    addresses = Counter(turn.address for turn in running if turn.address)
    users = Counter(turn.user for turn in running if turn.user is not None)
    must((turns.by_address, turns.by_user) == (addresses, users), "identity: each hash that runs has its turn")
    must(
        max(addresses.values(), default=0) <= config.max_hashes_per_address
        and max(users.values(), default=0) <= config.max_hashes_per_user,
        "identity: no more hashes run for an address or a user than may",
    )
    must(verifications.hashing.keys() <= gateway._operations.records.keys(), "identity: each turn belongs to a hash")
    waiting = [turn for _, turn in verifications.waiting.values()]
    waiting += [each.turn for each in passwords.records.values() if each.timer is not None]
    for turn in waiting:
        must(turns.obstacle(turn) is not None, "identity: nobody waits for a turn that is free")
    lines = {turn.number for line in turns.waiting.values() for turn in line}
    must(lines == {turn.number for turn in waiting}, "identity: those that wait are in the lines")


def cookies(gateway: Gateway) -> None:
    """The cookies that count are found by their users, and are no more than may be."""
    table, config = gateway._cookies, gateway.config
    owned = {digest: user for user, own in table.by_user.items() for digest in own}
    must(owned == {digest: kept.identity.key for digest, kept in table.records.items()}, "tables: cookies by user")
    must(len(table.records) <= config.max_sessions, "identity: no more cookies are kept than max_sessions")
    most = config.max_sessions_per_user
    must(all(len(own) <= most for own in table.by_user.values()), "identity: a user has no more cookies than may be")
    used = [kept.used_at for kept in table.records.values()]
    must(used == sorted(used), "order: the least recently used cookie is the first one")
    for kept in table.records.values():
        outdated = gateway._verifications.revocations.outdated(kept.identity)
        must(not outdated, "identity: the cookie of a revoked identity counts")
