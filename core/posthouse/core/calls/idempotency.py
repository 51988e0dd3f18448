"""Idempotency: of the calls with one key, one handler runs. The others get its outcome, while it runs and afterwards.

A key belongs to a user, or to the session of nobody, and to a method. This module may not know how an outcome is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any, Final

from msgspec import Raw, Struct, json
from msgspec.structs import replace
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.jsonrpc.messages import Request
from posthouse.core.service.method import Method
from posthouse.core.values.errors import INVALID_PARAMS, SERVER_BUSY, ErrorObject, RpcError, refusal
from posthouse.core.values.peers import CallId
from posthouse.core.values.shared import Shared
from posthouse.core.values.timers import Timer

from .calls import Answer, Call, Calls
from .replies import Batch

OUTCOME_EXPIRES: Final = "idempotency"
"""The reason of this table's deadlines."""

KEY: Final = "meta.idempotency_key"
"""The parameter that is told when a key cannot be used."""

Owner = tuple[str, str, str]
"""Whose key it is: a user with its namespace, or a session."""

Place = tuple[Owner, str, str]
"""Finds one key: its owner, the method, the key."""


class Keyed(Struct, eq=False):
    """One key. `digest` stands for the params. `outcome`: None while the handler of `call` has none; then it is kept
    from `ended_at` on, and takes `size` bytes. `waiting`: the calls that repeat it, and wait for it."""

    digest: bytes
    call: CallId
    waiting: dict[CallId, None]
    outcome: bytes | ErrorObject | None = None
    ended_at: float = 0.0
    size: int = 0


Answered = Callable[[Call, Connection, object, float], None]
"""Called with a call that repeats another one, its connection, the outcome, and the time."""

RunWaiting = Callable[[Connection, float], None]
"""Called with a connection whose calls may start now, and the time."""


class Idempotency:
    """The keys of calls: `records` by place; `kept` those with an outcome, the oldest first, and `by_owner` too."""

    answered: Answered
    run_waiting: RunWaiting

    def __init__(self, shared: Shared, connections: Connections, calls: Calls) -> None:
        self._shared = shared
        self._config = shared.config
        self._connections = connections
        self._calls = calls
        self._repeated: dict[str, Method] = {}
        self._timer: Timer | None = None
        self.bytes = 0
        self.records: dict[Place, Keyed] = {}
        self.kept: dict[Place, None] = {}
        self.by_owner: dict[Owner, dict[Place, None]] = {}
        calls.repeat = self._repeat
        shared.timers.on(OUTCOME_EXPIRES, self._expire)

    def admit(
        self,
        connection: Connection,
        request: Request,
        method: Method,
        key: str,
        batch: Batch | None,
        entry: int,
        now: float,
    ) -> None:
        """Admit a call with a key. Its handler runs if it is the first one; else it gets the outcome of that. Raises
        RpcError to refuse it, before any change."""
        if connection.changing is not None:
            raise RpcError.of(refusal(SERVER_BUSY, reason="the identity of the connection is changing"))
        place, digest = (owner_of(connection, KEY), method.name, key), _digest(request.params)
        record = self.records.get(place)
        if record is None:
            self._calls.admit(connection, request, method, batch, entry, now)
            number = CallId(self._calls.made)
            self._calls.records[number].keyed = place
            self.records[place] = Keyed(digest, number, {})
            return
        if record.digest != digest:
            raise _invalid("this key was used with other params")
        self._calls.admit(connection, request, self._repeats(method), batch, entry, now, queued=True)
        self._calls.records[CallId(self._calls.made)].repeats = place
        self.run_waiting(connection, now)

    def _repeats(self, method: Method) -> Method:
        """The method of a call that repeats another one: the gateway answers it, with an outcome that is encoded."""
        found = self._repeated.get(method.name)
        if found is None:
            found = self._repeated[method.name] = replace(
                method, builtin=True, repeats=True, on_disconnect="cancel", encode_result=_as_it_is
            )
        return found

    def _repeat(
        self,
        connection: Connection,
        number: CallId,
        method: Method,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        now: float,
    ) -> Answer | None:
        """A call that repeats another one has a slot: answer it, or let it wait for the outcome. Raises RpcError."""
        place = self._calls.records[number].repeats
        record = None if place is None else self.records.get(place)
        if record is None:
            raise RpcError.of(NOT_STARTED)
        if record.outcome is not None:
            return (record.outcome,)
        record.waiting[number] = None
        self._calls.later[number] = partial(self._withdraw, record)
        return None

    def _withdraw(self, record: Keyed, number: CallId, now: float) -> None:
        """A call that waits for the outcome of another one has ended."""
        record.waiting.pop(number, None)

    # The first call ends

    def ended(self, call: Call, outcome: bytes | ErrorObject, now: float) -> None:
        """The handler of the first call with a key has started, and the call has its outcome."""
        place = call.keyed
        assert place is not None
        call.keyed = None
        record = self.records[place]
        record.outcome, record.ended_at = outcome, now
        record.size = len(outcome) if isinstance(outcome, bytes) else len(json.encode(outcome, enc_hook=repr))
        self._keep(place, record, now)
        self._answer(record.waiting, outcome, now)

    def abandon(self, call: Call, now: float) -> None:
        """The first call with a key has ended, and its handler has not started, or nobody may know its outcome."""
        place = call.keyed
        assert place is not None
        call.keyed = None
        self._answer(self.records.pop(place).waiting, NOT_STARTED, now)

    def _answer(self, waiting: dict[CallId, None], outcome: bytes | ErrorObject, now: float) -> None:
        while waiting:
            number = next(iter(waiting))
            del waiting[number], self._calls.later[number]
            call = self._calls.records[number]
            self.answered(call, self._connections.records[call.connection], outcome, now)

    # Outcomes that are kept

    def _keep(self, place: Place, record: Keyed, now: float) -> None:
        config, owner = self._config, place[0]
        self.kept[place] = None
        own = self.by_owner.setdefault(owner, {})
        own[place] = None
        self.bytes += record.size
        self._shared.hold(record.size)
        if len(own) > config.max_idempotency_per_identity:
            self._drop(next(iter(own)))
        while len(self.kept) > config.max_idempotency_results or self.bytes > config.max_idempotency_bytes:
            self._drop(next(iter(self.kept)))
        stats = self._shared.stats
        stats.level("max_idempotency_results", len(self.kept))
        stats.level("max_idempotency_bytes", self.bytes)
        stats.level("max_idempotency_per_identity", len(own))
        if self._timer is None and self.kept:
            self._timer = self._shared.timers.arm(now + config.idempotency_ttl, OUTCOME_EXPIRES, 0)

    def _drop(self, place: Place) -> None:
        record = self.records.pop(place)
        del self.kept[place]
        own = self.by_owner[place[0]]
        del own[place]
        if not own:
            del self.by_owner[place[0]]
        self.bytes -= record.size
        self._shared.hold(-record.size)

    def _expire(self, key: int, now: float) -> None:
        """Drop the outcomes that were kept long enough."""
        self._timer = None
        while self.kept:
            place = next(iter(self.kept))
            expires_at = self.records[place].ended_at + self._config.idempotency_ttl
            if now < expires_at:
                self._timer = self._shared.timers.arm(expires_at, OUTCOME_EXPIRES, 0)
                return
            self._drop(place)


NOT_STARTED: Final = refusal(SERVER_BUSY, reason="the call with this key has not started")
"""The first call with a key has ended before its handler started: its client, or another one, may send it again."""


def owner_of(connection: Connection, parameter: str) -> Owner:
    """The owner of the keys of this caller. Raises RpcError, about this parameter, if it has neither a user nor a
    session."""
    user = connection.identity.key
    if user is not None:
        return ("user", *user)
    if connection.session is None:
        raise _invalid("a caller without a user and without a session has no keys", parameter)
    return "session", "", connection.session


def _digest(params: Raw | None) -> bytes:
    """Stands for params: the order of members and blanks do not count."""
    text = b"" if params is None else json.encode(json.decode(params), order="sorted")
    return sha256(text).digest()


def _invalid(reason: str, parameter: str = KEY) -> RpcError:
    return RpcError(INVALID_PARAMS, data={"parameter": parameter, "reason": reason})


def _as_it_is(outcome: Any) -> bytes:
    return bytes(outcome)
