"""What the model expects of texts and of handlers: each request is refused, runs or waits, and has one outcome.

From what a peer said (`model_texts.py`) to what it is owed (`model_turn.py`). It may not know why time has passed or a
connection has gone: that is told by `model.py`.
"""

from __future__ import annotations

from typing import Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import decode
from posthouse.adapters.invariants import must
from posthouse.core.service.method import Method
from posthouse.core.service.service import BUILTINS, Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import (
    DEADLINE_EXCEEDED,
    DRAINING,
    FORBIDDEN,
    ID_IN_FLIGHT,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    RATE_LIMITED,
    REQUEST_CANCELLED,
    SERVER_BUSY,
    UNAUTHENTICATED,
    RpcError,
)
from posthouse.core.values.peers import Identity

from .records import Batch, Call, Connection, Owed, Tokens
from .texts import NULL, Asked, Codes, Told, Wrong, read
from .turn import Turn

CANCEL: Final = "rpc.cancel"
CANCEL_REQUEST: Final = "$/cancelRequest"


class Which(Struct, forbid_unknown_fields=True):
    """The params of a cancellation by name."""

    id: Raw


class Calls:
    """`calls` by number, those that wait and those whose handlers have not ended, which are `handlers`. `requests` of
    ours by number, until they have their outcome. `draining`: new calls are refused."""

    def __init__(self, service: Service, config: Config, turn: Turn) -> None:
        self._service = service
        self._config = config
        self._turn = turn
        self._rated = config.call_rate is not None and "call_rate" not in config.observe
        self._made = 0
        self._users: dict[str, Tokens] = {}
        self.calls: dict[int, Call] = {}
        self.requests: dict[int, tuple[Connection, float]] = {}
        self.handlers = 0
        self.draining = False

    # Texts

    def receive(self, connection: Connection, data: bytes) -> None:
        """A text of somebody who is there."""
        said = read(data, self._config)
        if isinstance(said, list) and connection.peer.meta.idempotency_key is not None:
            said = Wrong(NULL, (INVALID_REQUEST,))
        entries = said if isinstance(said, list) else [said]
        connection.heard_at = connection.active_at = self._turn.now
        connection.bad += any(type(entry) is Wrong for entry in entries)
        array = isinstance(said, list)
        batch = Batch([None] * len(entries), len(entries), array) if array or not connection.pushable else None
        for place, entry in enumerate(entries):
            self._entry(connection, entry, batch, place)

    def _entry(self, connection: Connection, entry: Asked | Told | Wrong, batch: Batch | None, place: int) -> None:
        codes: Codes | None
        if isinstance(entry, Asked):
            codes = self._ask(connection, entry, batch, place)
            if codes is not None:
                self._outcome(connection, batch, place, entry.id, codes)
        elif isinstance(entry, Wrong):
            self._outcome(connection, batch, place, entry.id, entry.codes)
        else:
            request = int(entry.id) if entry.id.isdigit() and len(entry.id) < 19 else 0
            if request in connection.requests:
                self.forget(request)
                self._turn.resolve(request, (entry.code,))
            self._outcome(connection, batch, place, None, ())

    def _ask(self, connection: Connection, asked: Asked, batch: Batch | None, place: int) -> Codes | None:
        """How a request is answered at once, or None: it became a call."""
        method = self._service.methods.get(asked.method)
        cancels = method is None and asked.method in (CANCEL, CANCEL_REQUEST)
        if not cancels:
            if self.draining:
                return (DRAINING,)
            if self._rated and not self._within_rate(connection):
                return (RATE_LIMITED,)
        if method is not None:
            public, scopes = method.public, method.scopes
        else:
            name = CANCEL if cancels else asked.method
            if name not in BUILTINS:
                return (METHOD_NOT_FOUND,)
            public, scopes = BUILTINS[name]
            if name in self._service.builtin_scopes:
                public, scopes = False, self._service.builtin_scopes[name]
        if scopes or not public:
            refusal = unauthorized(connection.peer.identity, public, scopes)
            if refusal is not None:
                return (refusal,)
        if method is not None:
            return self._call(connection, asked, method, batch, place)
        return self._cancel(connection, asked.params) if cancels else (None, INVALID_PARAMS)

    def _within_rate(self, connection: Connection) -> bool:
        rate, user = self._config.call_rate, connection.peer.identity.user
        assert rate is not None
        full = Tokens(max(rate, 1.0), self._turn.now)
        if user is None:
            tokens = connection.tokens = connection.tokens or full
        else:
            # The least recently used are forgotten, when there are more users than connections may be.
            tokens = self._users[user] = self._users.pop(user, full)
            if len(self._users) > self._config.max_connections:
                del self._users[next(iter(self._users))]
        return tokens.take(rate, self._turn.now)

    def _cancel(self, connection: Connection, params: bytes | None) -> Codes:
        try:
            if params is None:
                return (INVALID_PARAMS,)
            id = decode(params, type=tuple[Raw])[0] if params[:1] == b"[" else decode(params, type=Which).id
        except DecodeError:
            return (INVALID_PARAMS,)
        call = connection.calls.get(bytes(id))
        if call is not None:
            self.end(call, (REQUEST_CANCELLED,))
        return (None,)

    # Calls

    def _call(
        self, connection: Connection, asked: Asked, method: Method, batch: Batch | None, place: int
    ) -> Codes | None:
        config, turn = self._config, self._turn
        if asked.id in connection.calls:
            return (ID_IN_FLIGHT,)
        if self.handlers >= config.max_calls:
            return (SERVER_BUSY,)
        waits = bool(connection.waiting) or connection.running >= config.max_calls_per_connection
        if waits:
            size = sum(len(call.params or b"") for call in connection.waiting.values()) + len(asked.params or b"")
            if len(connection.waiting) >= config.max_waiting_calls or size > config.max_waiting_bytes:
                return (SERVER_BUSY,)
        else:
            # Whose params do not fit takes no number: of several entries, the number alone does not say which ran.
            one_of_many = batch is not None and batch.array
            if (one_of_many and not fits(method, asked.params)) or not turn.started(self._made + 1, connection, method):
                return misfit(method, asked.params)
        self._made = number = self._made + 1
        meta = connection.peer.meta
        timeout = config.call_timeout if method.timeout is None else method.timeout
        timeout_ms = meta.timeout_ms if asked.timeout_ms is None else asked.timeout_ms
        if timeout_ms is not None:
            timeout = min(timeout, timeout_ms / 1000)
        token = meta.progress_token if asked.progress_token is None else asked.progress_token
        # Section 4: an id of null is unknown: it names no call.
        key = number if asked.id is None or asked.id == NULL else asked.id
        deadline = self._turn.now + timeout
        call = Call(
            number, connection, method, asked.id, key, asked.params, deadline, token, batch, place, waiting=waits
        )
        self.calls[number] = connection.calls[key] = call
        if waits:
            connection.waiting[number] = call
        else:
            connection.running += 1
            self.handlers += 1
        return None

    def end(self, call: Call, codes: Codes) -> None:
        """A call has its outcome before its handler has ended: the handler must stop, or will never run."""
        if call.waiting:
            del call.connection.waiting[call.number], self.calls[call.number]
        else:
            self._turn.cancel(call)
        self._settle(call, codes)

    def _settle(self, call: Call, codes: Codes) -> None:
        call.open = False
        if not call.detached:
            del call.connection.calls[call.key]
            self._outcome(call.connection, call.batch, call.place, call.id, codes)

    def _outcome(self, connection: Connection, batch: Batch | None, place: int, id: bytes | None, codes: Codes) -> None:
        """An entry has reported: with `id` None silently. What it belongs to may be complete by that."""
        turn = self._turn
        reply = None if id is None else (id, codes)
        if batch is None:
            if reply is not None:
                turn.owe(connection, Owed(turn.number, [reply]))
            return
        batch.replies[place] = reply
        batch.left -= 1
        if batch.left:
            return
        replies = [each for each in batch.replies if each is not None]
        if replies or not connection.pushable:
            turn.owe(connection, Owed(turn.number, replies, array=batch.array))

    def handler_ended(self, number: int, codes: Codes, returned: bool) -> None:
        """A handler reports its end, and would be answered so."""
        call = self.calls.pop(number, None)
        must(
            returned is (call is not None and call.open), "calls: who reports an end is told whether it counts", number
        )
        if call is None:
            return
        connection = call.connection
        connection.active_at = self._turn.now
        self.handlers -= 1
        connection.running -= 1
        if call.open:
            self._settle(call, (DEADLINE_EXCEEDED,) if self._turn.now >= call.deadline else codes)
        while connection.waiting and connection.running < self._config.max_calls_per_connection:
            self._start(next(iter(connection.waiting.values())))

    def _start(self, call: Call) -> None:
        """The first that waits may run now."""
        connection = call.connection
        if not self._turn.started(call.number, connection, call.method):
            self.end(call, misfit(call.method, call.params))
            return
        del connection.waiting[call.number]
        call.waiting = False
        connection.running += 1
        self.handlers += 1

    def let_go(self, connection: Connection) -> None:
        """Nobody is there any more: what it asked ends, but for what was declared to finish."""
        for call in connection.calls.values():
            if call.waiting:
                del self.calls[call.number]
            elif call.method.on_disconnect == "finish":
                call.detached = True
            else:
                call.open = False
                self._turn.cancel(call)
        connection.calls.clear()
        connection.waiting.clear()
        for request in list(connection.requests):
            self.forget(request)
            self._turn.resolve(request, (REQUEST_CANCELLED, DEADLINE_EXCEEDED))

    # Requests of ours

    def request(self, request: int, connection: Connection | None, method: str, deadline: float) -> None:
        """A peer is asked, or has an outcome at once when it cannot be. As many may be in flight to it as from it."""
        config = self._config
        if connection is None or not connection.reachable:
            self._turn.resolve(request, (REQUEST_CANCELLED,))
        elif len(connection.requests) >= config.max_calls_per_connection + config.max_waiting_calls:
            self._turn.resolve(request, (SERVER_BUSY,))
        else:
            self.requests[request] = (connection, deadline)
            connection.requests[request] = None
            self._turn.push(connection, method)

    def withdraw(self, request: int) -> None:
        """Nobody waits for it any more: the peer is told."""
        if request in self.requests:
            self._turn.push(self.forget(request), CANCEL_REQUEST)

    def forget(self, request: int) -> Connection:
        """It has its outcome, or needs none."""
        connection, _ = self.requests.pop(request)
        del connection.requests[request]
        return connection

    # Time

    def expire(self, *, graceless: bool) -> None:
        """What is due ends; when the grace of a shut-down is over, every call."""
        now = self._turn.now
        for call in list(self.calls.values()):
            if call.open and (graceless or call.deadline <= now):
                codes: Codes = (DEADLINE_EXCEEDED,) if call.deadline <= now else ()
                self.end(call, (*codes, DRAINING) if graceless else codes)
        for request, (_, deadline) in list(self.requests.items()):
            if deadline <= now:
                self.withdraw(request)
                self._turn.resolve(request, (DEADLINE_EXCEEDED, REQUEST_CANCELLED))

    def deadlines(self) -> list[float]:
        """When what is open must end."""
        ends = [call.deadline for call in self.calls.values() if call.open]
        return ends + [deadline for _, deadline in self.requests.values()]


def unauthorized(identity: Identity, public: bool, scopes: tuple[str, ...]) -> int | None:
    """The code that refuses this identity, or None. Nobody in particular may have been given scopes, too."""
    if not identity.authenticated:
        return UNAUTHENTICATED if not public or identity.missing(scopes) else None
    return FORBIDDEN if identity.missing(scopes) else None


def fits(method: Method, params: bytes | None) -> bool:
    """Could the method be run with these params?"""
    try:
        method.bind(params)
    except RpcError:
        return False
    return True


def misfit(method: Method, params: bytes | None) -> Codes:
    """A call that might run was not handed out: its params must be why."""
    must(not fits(method, params), "calls: a handler that may run was not started", method.name, params)
    return (INVALID_PARAMS,)
