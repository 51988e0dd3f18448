"""One gateway with its clients, its handlers and its store. Everything that follows from an input is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct, field, json
from posthouse.adapters.invariants import identity, must
from posthouse.adapters.invariants.accounts.sessions import sessions
from posthouse.adapters.simulation.chance import Stream
from posthouse.core.connections.state import LIVING
from posthouse.core.gateway import Gateway
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import (
    Answer,
    AskStore,
    Disconnect,
    Effect,
    Emit,
    Invoke,
    Resolve,
    Transmit,
    Verify,
)
from posthouse.core.values.lifecycle import CallFailed
from posthouse.core.values.peers import Address, CallId, ConnectionId, Identity, Kind, OperationId, OutgoingId, Peer

from .facts import Facts
from .keys import Keys
from .outside import Outside, Performed

WALL: Final = 1_700_000_000.0


def offered(sessions: Any) -> Service:
    """A service whose clients have sessions. The user is what the token says."""
    service = Service("sessions", public=True, sessions=sessions)

    @service.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity:
        return Identity(credentials.token)

    @service.method
    async def keep(context: Context, member: str) -> int:
        raise NotImplementedError

    @service.method(on_disconnect="finish")
    async def once(number: int) -> int:
        raise NotImplementedError

    return service


OFFERED: Final = {each: offered(each) for each in ("on", "login")}
"""The services: each log-in makes a session, or it does not."""


class Asked(Struct, frozen=True):
    """A call without an answer, and the step in which it was made, by whom."""

    method: str
    params: dict[str, Any]
    step: int
    user: str | None
    session: str | None
    key: str | None = None

    @property
    def owner(self) -> str:
        """Whose key it has."""
        return owner_of(self.user, self.session)


class Caller(Struct, eq=False):
    """A connection, and what it knows of itself: its user and its session. `calls`: those without an answer. `had`: all
    of its sessions."""

    kind: Kind
    user: str | None = None
    session: str | None = None
    calls: dict[int, Asked] = field(default_factory=dict)
    had: dict[str | None, None] = field(default_factory=dict)
    open: bool = True


def owner_of(user: str | None, session: str | None) -> str:
    """Whose keys the calls of this user, or of nobody with this session, have."""
    return f"user {user}" if user is not None else f"session {session}"


class Episode:
    """A subclass says what happens, and which answers are right."""

    def __init__(self, stream: Stream) -> None:
        self.stream: Final = stream
        self.service: Final = OFFERED[stream.pick(("on", "login"))]
        self.config: Final = Config(
            heartbeat_interval=None,
            call_timeout=1000.0,
            credential_cache=stream.pick((60.0, 0.0)),
            storage_timeout=stream.pick((5.0, 1.0)),
            session_idle=stream.pick((1000.0, 20.0)),
            session_lifetime=stream.pick((5000.0, 50.0)),
            max_session_bytes=stream.pick((65_536, 60)),
            max_sessions=stream.pick((1000, 1000, 4)),
            max_sessions_per_user=stream.pick((100, 2)),
            max_external_operations=stream.pick((1000, 1000, 2)),
        )
        self.store: Final = Outside(stream, outside=stream.happens(700), fails=stream.pick((0, 0, 100)))
        self.facts: Final = Facts()
        self.keys: Final = Keys()
        self.now = 0.0
        self.step = 0
        self._ids = 0
        self.start()

    def start(self) -> None:
        """A server starts."""
        self.callers: dict[ConnectionId, Caller] = {}
        self.verifying: dict[OperationId, str] = {}
        self.handlers: dict[CallId, Invoke] = {}
        self.changing: dict[OutgoingId, tuple[CallId, str]] = {}
        self.changed: dict[CallId, None] = {}
        self.keys.forget()
        self.gateway = Gateway(self.service, self.config, wall=WALL, entropy=self.stream.entropy)
        self.store.attach(self.gateway)

    # Inputs

    def connect(self, kind: Kind, credentials: object, caller: Caller) -> ConnectionId:
        """A client connects."""
        made = ConnectionId(0)
        peer = Peer(kind, Address(f"192.0.2.{1 + self.stream.choose(3)}", 1))

        def connect() -> None:
            nonlocal made
            made = self.gateway.connect(peer, self.now, credentials=credentials)
            self.callers[made] = caller
            caller.had[caller.session] = None

        self.input(connect)
        return made

    def call(self, one: ConnectionId, method: str, params: dict[str, Any], key: str | None = None) -> None:
        """A client makes a call, if it may."""
        caller, record = self.callers.get(one), self.gateway._connections.records.get(one)
        if caller is None or record is None or not caller.open or (caller.kind != "http" and not record.admitted):
            return
        self._ids += 1
        caller.calls[self._ids] = Asked(method, params, self.step, caller.user, caller.session, key)
        body: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params, "id": self._ids}
        text = json.encode(body if key is None else {**body, "meta": {"idempotency_key": key}})
        self.input(lambda: self.gateway.receive(one, text, self.now))

    def leave(self, one: ConnectionId) -> None:
        """A client leaves, or is closed."""
        del self.callers[one]
        self.input(lambda: self.gateway.disconnected(one, None, self.now))

    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.input(lambda: self.gateway.handle_timeout(self.now))

    def go_on(self) -> None:
        """Something outside goes on: the store, an authenticator, or a handler."""
        ways: list[Callable[[], None]] = [self._verified] if self.verifying else []
        ways += [self.store_goes_on, self.store_goes_on] if self.store.waiting else []
        ways += [self._handler_goes_on] if self.handlers else []
        if ways:
            self.stream.pick(ways)()

    def _verified(self) -> None:
        operation = self.stream.pick(list(self.verifying))
        token = self.verifying.pop(operation)
        self.input(lambda: self.gateway.conclude(operation, Identity(token), self.now))

    def store_goes_on(self) -> None:
        """The store performs a request, or answers one."""
        answer = self.store.next_answer()
        if answer is not None:
            operation, told = answer
            self.input(lambda: self.gateway.conclude(operation, told.outcome, self.now), told)

    def _handler_goes_on(self) -> None:
        call = self.stream.pick(list(self.handlers))
        invoke = self.handlers[call]
        if invoke.method.name == "keep" and call not in self.changed:
            if call not in [waiting for waiting, _ in self.changing.values()]:
                self.input(lambda: self._change(call, invoke.args[0]))
            return
        del self.handlers[call]
        self.input(lambda: self.gateway.complete(call, int(call), self.now))

    def _change(self, call: CallId, member: str) -> None:
        row = self.gateway.session_of(call)
        self.facts.asked(None if row is None else row.id, {member: 1})
        asked = self.gateway.ask_session(call, "update", {"set": {member: 1}}, self.now)
        self.changing[asked] = call, member

    def input(self, act: Callable[[], object], told: Performed | None = None) -> None:
        """Something happens, and everything that follows from it is looked at."""
        self.store.told[:] = [] if told is None else [told]
        outbox = self.gateway.outbox
        act()
        effects, outbox[:] = list(outbox), []
        self._look_at(effects)
        self.check()
        for effect in effects:
            if isinstance(effect, Disconnect | Answer) and effect.connection in self.callers:
                self.leave(effect.connection)

    def _look_at(self, effects: list[Effect]) -> None:
        requests = [effect.request for effect in effects if isinstance(effect, AskStore)]
        requests += [] if self.store.outside else [performed.request for performed in self.store.told]
        for request in requests:
            self.asked(request)
        known = len(self.facts.secrets)
        for effect in effects:
            if isinstance(effect, AskStore):
                self.store.ask(effect)
            elif isinstance(effect, Verify) and isinstance(effect.credentials, Bearer):
                self.verifying[effect.operation] = effect.credentials.token
            elif isinstance(effect, Disconnect) and effect.connection in self.callers:
                self.callers[effect.connection].open = False
            elif isinstance(effect, Emit):
                must(not isinstance(effect.event, CallFailed), "calls: a method of the gateway has a defect", effect)
            elif isinstance(effect, Resolve):
                self._resolved(effect)
        for effect in effects:
            if isinstance(effect, Transmit | Answer) and effect.data is not None:
                self._answered(effect.connection, json.decode(effect.data), effects)
            elif isinstance(effect, Invoke):
                self._invoked(effect)
        for request in requests:
            self.check_owner(request)
        self._keep_secrets(effects, list(self.facts.secrets)[known:])

    def _keep_secrets(self, effects: list[Effect], fresh: list[str]) -> None:
        """Only the message that tells a secret has it."""
        for effect in effects:
            text = repr(effect)
            seen = [secret for secret in self.facts.secrets if secret in text]
            may = seen == fresh[:1] and isinstance(effect, Transmit | Answer)
            must(may or not seen, "sessions: a secret is told to others than its owner", type(effect).__name__)
        must(len(fresh) <= 1, "sessions: several secrets are told at once")

    def _invoked(self, invoke: Invoke) -> None:
        caller = self.callers[invoke.caller.connection]
        must(invoke.caller.identity.user == caller.user, "sessions: a call runs as somebody else", invoke)
        row = self.gateway.session_of(invoke.call)
        may = row is None or row.id == caller.session
        must(may, "sessions: a call runs under the session of another connection", invoke)
        self.handlers[invoke.call] = invoke
        self.keys.invoked(invoke, owner_of(caller.user, caller.session))

    def _resolved(self, effect: Resolve) -> None:
        call, member = self.changing.pop(effect.request)
        self.changed[call] = None
        if isinstance(effect.outcome, bytes):
            version = json.decode(effect.outcome)["version"]
            self.updated({"set": {member: 1}}, version)

    def _answered(self, one: ConnectionId, message: dict[str, Any], effects: list[Effect]) -> None:
        caller = self.callers[one]
        asked = caller.calls.pop(message.get("id", 0), None)
        if asked is None:
            return
        if "error" in message:
            self.refused(caller, asked, message["error"], effects)
        else:
            self.answered(one, asked, message["result"])

    # What is right

    def asked(self, request: Any) -> None:
        """The store was asked for this."""
        raise NotImplementedError

    def check_owner(self, request: Any) -> None:
        """The callers were told what this input has told them: may one of them have caused this request?"""
        raise NotImplementedError

    def answered(self, one: ConnectionId, asked: Asked, result: Any) -> None:
        """A call has this result."""
        raise NotImplementedError

    def refused(self, caller: Caller, asked: Asked, error: dict[str, Any], effects: list[Effect]) -> None:
        """A call has this error."""
        raise NotImplementedError

    def updated(self, params: dict[str, Any], version: int) -> None:
        """Somebody was told that the data has changed."""
        raise NotImplementedError

    def check(self) -> None:
        """Every invariant holds, and each connection is who it knows that it is."""
        identity(self.gateway)
        sessions(self.gateway)
        for one, caller in self.callers.items():
            record = self.gateway._connections.records.get(one)
            if record is None or not record.admitted or record.state not in LIVING:
                continue
            must(record.identity.user == caller.user, "sessions: a connection is somebody else", one, caller.user)
            may = record.session in (None, caller.session)
            must(may, "sessions: a connection belongs to another session", one, caller.session, record.session)
