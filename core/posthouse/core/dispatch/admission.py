"""Admission: may this caller call this method now? The rate of calls, and who can call a method at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from posthouse.core.connections.connections import Connection
from posthouse.core.identity.authorization import authorize
from posthouse.core.service.method import Method
from posthouse.core.values.close_reasons import CALL_RATE
from posthouse.core.values.errors import RATE_LIMITED, RpcError, refusal
from posthouse.core.values.peers import Identity
from posthouse.core.values.rates import Bucket, Buckets
from posthouse.core.values.shared import Shared

FLOODED: Final = 10.0
"""After so many seconds of refusals for the rate of calls, the connection is closed."""


class CallRate:
    """The limit on calls per second, for each user and for each connection without a user. Over HTTP every request is
    a connection of its own: those without a user count by their address."""

    def __init__(self, shared: Shared, rate: float) -> None:
        self._shared = shared
        self._by_user = Buckets(rate, shared.config.max_connections)
        self._by_address = Buckets(rate, shared.config.max_connections)
        self._observed = CALL_RATE.name in shared.config.observe

    def take(self, connection: Connection, now: float) -> None:
        """Count one call. Raises RpcError (-32029) above the rate."""
        bucket = self._bucket(connection, now)
        if bucket.take(now):
            return
        if self._observed:
            self._shared.breach(connection.id, CALL_RATE)
            return
        if bucket.refused_since is not None and now - bucket.refused_since >= FLOODED:
            self._shared.breach(connection.id, CALL_RATE)
        wait = int(bucket.wait() * 1000) + 1
        raise RpcError.of(refusal(RATE_LIMITED, retry_after_ms=wait, limit=CALL_RATE.name))

    def _bucket(self, connection: Connection, now: float) -> Bucket:
        user = connection.identity.key
        if user is not None:
            return self._by_user.of(user, now)
        address = connection.peer.address
        if not connection.pushable and address.host:
            return self._by_address.of(address.key, now)
        if connection.call_bucket is None:
            connection.call_bucket = Bucket(self._by_user.rate, now)
        return connection.call_bucket


def uncallable(methods: Iterable[Method], callers: Sequence[Identity]) -> list[Method]:
    """The methods that none of these callers may call, in order."""
    return [method for method in methods if not any(_may_call(method, caller) for caller in callers)]


def _may_call(method: Method, caller: Identity) -> bool:
    try:
        authorize(method, caller)
    except RpcError:
        return False
    return True
