"""The facts of a store in memory: its indexes agree with its rows."""

from __future__ import annotations

from posthouse.adapters.invariants.violation import must
from posthouse.core.store.memory import MemoryStore
from posthouse.core.store.nobodys import MOST_ENDED


def indexes(store: MemoryStore) -> None:
    """Each row is found by everything by which it may be looked for, and nothing else is found."""
    must(store._names == sorted(store.users), "store: the names of users are in order")
    digests = {token.digest: id for id, token in store.tokens.items()}
    must(store._by_digest == digests, "store: a token is found by its digest")
    owned = {id: user for user, own in store._tokens_of.items() for id in own}
    owners = {id: token.user for id, token in store.tokens.items()}
    must(owned == owners and all(store._tokens_of.values()), "store: a token is found by its user")
    by_user = {id: user for user, own in store.by_user.items() for id in own}
    users = {id: row.user for id, row in store.sessions.items() if row.user is not None}
    must(by_user == users and all(store.by_user.values()), "store: a session is found by its user")
    of_nobody = {id: row for id, row in store.sessions.items() if row.user is None}
    used_at = {id: row.used_at for id, row in of_nobody.items()}
    must(store.of_nobody.used_at == used_at, "store: a session of nobody is found by its use")
    size = sum(row.size for row in of_nobody.values())
    must(store.of_nobody.size == size, "store: the bytes of the sessions of nobody are counted")
    room = 2 * len(of_nobody) + MOST_ENDED
    must(len(store.of_nobody._heap) <= room, "store: uses of sessions of nobody are kept that do not count")
    ends = dict.fromkeys(store._ends)
    must(all((row.ends_at, id) in ends for id, row in store.sessions.items()), "store: the end of a session is known")
    must(len(store._ends) <= 2 * len(store.sessions) + MOST_ENDED + 1, "store: ends are kept that do not count")
