"""Users in a storm: they register, log in, change passwords, make and revoke tokens and are locked out, on a store that
answers at once, or one that is slow, fails, or does not say what it has done.

The facts are those that callers were told. What was refused for good may not get in any more, whoever asked meanwhile.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import json
from posthouse.adapters.invariants import identity, must, users
from posthouse.adapters.model.kept.compared import Compared
from posthouse.adapters.simulation.chance import Stream
from posthouse.core.gateway import Gateway
from posthouse.core.operations.operations import Failed, Hashed, Matched, Refused
from posthouse.core.service.accounts import SessionsOption
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.service import Service
from posthouse.core.store.outcomes import MaybeApplied
from posthouse.core.store.requests import AddSession, ChangeUser, RemoveToken
from posthouse.core.values.config import Config
from posthouse.core.values.effects import (
    Answer,
    AskStore,
    ComparePassword,
    Disconnect,
    Emit,
    HashPassword,
    Transmit,
)
from posthouse.core.values.lifecycle import AuthFailed, CallFailed, Event
from posthouse.core.values.peers import Address, ConnectionId, OperationId, Peer

from .told import Asked, Facts, Peering

STEPS: Final = 80
WALL: Final = 1_700_000_000.0
NAMES: Final = ("ada", "bob")
PASSWORDS: Final = ("one", "two")
ADMIN: Final = "root"


class Users:
    """One episode. `outside`: the store is outside, and answers when its turn comes."""

    def __init__(self, stream: Stream) -> None:
        self._stream: Final = stream
        self._outside: Final = Compared() if stream.happens(600) else None
        config = Config(
            heartbeat_interval=None,
            credential_cache=stream.pick((60.0, 0.0, 5.0)),
            max_hashes_per_user=stream.pick((1, 2)),
            max_auth_failures=None,
            max_auth_failures_per_address=None,
            max_auth_failures_per_user=None,
            max_registrations_per_address=None,
            max_users=stream.pick((1_000_000, 2, 3)),
            max_tokens_per_user=stream.pick((100, 2)),
        )
        sessions: SessionsOption = "login" if self._outside is not None and stream.happens(500) else "off"
        service = Service("users", public=True, registration="open", sessions=sessions)
        self.gateway: Final = Gateway(service, config, wall=WALL, entropy=stream.entropy)
        if self._outside is not None:
            self.gateway.use_external_store("memory")
        self._now = 0.0
        self._step = 0
        self._ids = 0
        self._peers: Final[dict[ConnectionId, Peering]] = {}
        self._waiting: Final[list[AskStore | HashPassword | ComparePassword]] = []
        self._asked_in: Final[dict[OperationId, int]] = {}
        self._facts: Final = Facts()
        self._unsure: Final[dict[str, None]] = {}
        self._root = ConnectionId(0)
        self._compared = self._refusals = 0

    def run(self) -> int:
        """Perform the episode. Returns the number of its steps. Raises Violation."""
        self._make_admin()
        for self._step in range(1, STEPS + 1):
            self._act()
            self._check()
        self._come_to_rest()
        return STEPS

    def _make_admin(self) -> None:
        root = self._connect(None)
        self._call(root, "user.register", user=ADMIN, password="root")
        self._settle()
        store = self._outside or self.gateway.store
        assert store is not None
        store.perform(ChangeUser("scopes", ADMIN, scopes=("users",)))
        self._log_in(root, Basic(ADMIN, "root"))
        self._settle()
        self._root = root
        for name in NAMES[: self._stream.pick((2, 1, 0))]:
            one, credentials = self._connect(None), Basic(name, PASSWORDS[0])
            self._call(one, "user.register", user=name, password=credentials.password)
            self._settle()
            self._log_in(one, credentials)
            self._connect(credentials)
            self._settle()
            self._call(one, "token.create")
            self._settle()

    # What happens

    def _act(self) -> None:
        stream = self._stream
        match stream.choose(12):
            case 0 | 1:
                self._connect(stream.pick((None, self._draw_credentials())))
            case 2:
                self._some(lambda one: self._log_in(one, self._draw_credentials()))
            case 3:
                self._some(
                    lambda one: self._call(
                        one, "user.register", user=stream.pick(NAMES), password=stream.pick(PASSWORDS)
                    )
                )
            case 4:
                old, new = stream.pick(PASSWORDS), stream.pick(PASSWORDS)
                self._some(lambda one: self._call(one, "user.password", old=old, new=new))
            case 5:
                self._some(lambda one: self._call(one, "token.create"))
            case 6:
                known = [*self._facts.tokens] or ["none"]
                token = stream.pick(known)
                self._call(stream.pick((self._root, self._root, *self._peers)), "token.revoke", token=token)
            case 7:
                user, disabled = stream.pick(NAMES), not stream.happens(500)
                if not disabled:  # from now on it may get in again
                    self._facts.disabled.pop(user, None)
                    self._facts.enabled[user] = self._step
                self._call(self._root, "user.disable", user=user, disabled=disabled)
            case 8:
                self._some(self._leave)
            case 9:
                self._now += stream.pick((0.1, 1.0, 6.0))
                self._input(lambda: self.gateway.handle_timeout(self._now))
            case _:
                for _ in range(1 + stream.choose(4)):
                    self._conclude_one()

    def _some(self, act: Any) -> None:
        others = [one for one in self._peers if one != self._root]
        if others:
            act(self._stream.pick(others))

    def _draw_credentials(self) -> Basic | Bearer:
        stream = self._stream
        if stream.happens(500) and self._facts.tokens:
            return Bearer(stream.pick([*self._facts.tokens.values()]))
        return Basic(stream.pick((*NAMES, "nobody")), stream.pick(PASSWORDS))

    def _connect(self, credentials: object) -> ConnectionId:
        peer = Peer("websocket", Address(f"192.0.2.{1 + self._stream.choose(5)}", 1))
        one = ConnectionId(0)

        def connect() -> None:
            nonlocal one
            one = self.gateway.connect(peer, self._now, credentials=credentials)
            self._peers[one] = Peering(credentials, self._step, "websocket", {})

        self._input(connect)
        return one

    def _log_in(self, one: ConnectionId, credentials: Basic | Bearer) -> None:
        if isinstance(credentials, Bearer):
            self._call(one, "auth.login", method="bearer", token=credentials.token)
        else:
            self._call(one, "auth.login", method="password", user=credentials.user, password=credentials.password)

    def _call(self, one: ConnectionId, name: str, **params: Any) -> None:
        peer = self._peers.get(one)
        record = self.gateway._connections.records.get(one)
        if peer is None or record is None or not record.admitted:
            return
        self._ids += 1
        peer.calls[self._ids] = Asked(name, params, self._step)
        text = json.encode({"jsonrpc": "2.0", "method": name, "params": params, "id": self._ids})
        self._input(lambda: self.gateway.receive(one, text, self._now))

    def _leave(self, one: ConnectionId) -> None:
        del self._peers[one]
        self._input(lambda: self.gateway.disconnected(one, None, self._now))

    # The outside

    def _conclude_one(self) -> None:
        """The store answers its first request, or some hash is made."""
        waiting = self._waiting
        if not waiting:
            return
        first = next((each for each in waiting if isinstance(each, AskStore)), waiting[0])
        asked = self._stream.pick((first, first, self._stream.pick(waiting)))
        if isinstance(asked, AskStore):
            asked = first
        waiting.remove(asked)
        outcome = self._outcome(asked)
        self._input(lambda: self.gateway.conclude(asked.operation, outcome, self._now))

    def _outcome(self, asked: AskStore | HashPassword | ComparePassword) -> object:
        if isinstance(asked, HashPassword):
            return Hashed(f"hash of {asked.password}")
        if isinstance(asked, ComparePassword):
            self._compared += 1
            return Matched() if asked.hash == f"hash of {asked.password}" else Refused()
        assert self._outside is not None
        fails = self._step > 0 and self._stream.happens(100)
        if fails and self._stream.happens(500):
            self._unsure_of(asked)
            return Failed()
        applied = not (fails and self._stream.happens(500))
        outcome = self._outside.perform(asked.request) if applied else None
        if isinstance(asked.request, AddSession):
            self._facts.made[asked.request.row.id] = self._asked_in[asked.operation]
        if fails:
            self._unsure_of(asked)
        return MaybeApplied() if fails else outcome

    def _unsure_of(self, asked: AskStore) -> None:
        """A token that could not be removed may stay."""
        if isinstance(asked.request, RemoveToken):
            self._unsure[asked.request.token] = None

    def _input(self, input: Any) -> None:
        outbox = self.gateway.outbox
        input()
        effects, outbox[:] = list(outbox), []
        for effect in effects:
            if isinstance(effect, AskStore | HashPassword | ComparePassword):
                self._waiting.append(effect)
                self._asked_in[effect.operation] = self._step
            elif isinstance(effect, Transmit):
                self._answered(effect.connection, json.decode(effect.data))
            elif isinstance(effect, Answer):
                raise AssertionError("nobody speaks HTTP here")
        for effect in effects:
            if isinstance(effect, Disconnect):
                self._closed(effect.connection)
            elif isinstance(effect, Emit):
                self._told(effect.event)

    def _closed(self, one: ConnectionId) -> None:
        if self._peers.pop(one, None) is not None:
            self._input(lambda: self.gateway.disconnected(one, None, self._now))

    # What callers were told

    def _answered(self, one: ConnectionId, message: dict[str, Any]) -> None:
        peer = self._peers.get(one)
        asked = None if peer is None else peer.calls.pop(message.get("id", 0), None)
        if peer is None or asked is None or "result" not in message:
            return
        result, params, facts = message["result"], asked.params, self._facts
        if asked.method == "auth.login":
            token = params.get("token")
            peer.credentials = Bearer(token) if token is not None else Basic(params["user"], params["password"])
            peer.step = asked.step
            self._check_may(peer.credentials, asked.step)
        elif asked.method == "user.register":
            facts.disabled.pop(params["user"], None)
        elif asked.method == "user.password":
            user = result["user"]
            others = [each for each in self.gateway._connections.by_user.get(("", user), {}) if each != one]
            closing = [each for each in others if self._was_there_before(each, asked.step)]
            must(not closing, "users: a connection goes on although the password was changed", user)
            if params["old"] != params["new"]:  # hashes have no salt here
                self._check_sessions(user, asked.step)
        elif asked.method == "user.disable":
            if params["disabled"]:
                self._check_sessions(params["user"], asked.step)
            if params["disabled"] and facts.enabled.get(params["user"], -1) < asked.step:
                facts.disabled[params["user"]] = self._step
        elif asked.method == "token.create":
            facts.tokens[result["id"]] = result["token"]
        elif asked.method == "token.revoke":
            facts.revoked[params["token"]] = self._step

    def _check_sessions(self, user: str, step: int) -> None:
        """A user has another password, or is disabled: no session is left that it had when that was asked for."""
        rows = {} if self._outside is None else self._outside.store.sessions
        old = [id for id, row in rows.items() if row.user == ("", user) and self._facts.made[id] < step]
        must(not old, "users: a session goes on although its user was changed", user, *old)

    def _was_there_before(self, one: ConnectionId, step: int) -> bool:
        """Is this connection of the same user, and does it go on after this input?"""
        doomed = [connection for connection, _ in self.gateway._shared.breaches]
        record, peer = self.gateway._connections.records.get(one), self._peers.get(one)
        open = record is not None and record.admitted and record.code is None
        return open and one not in doomed and peer is not None and peer.step < step

    def _check_may(self, credentials: object, step: int) -> None:
        """Whoever asked in this step got in. Raises Violation if it was refused for good before."""
        facts = self._facts
        if isinstance(credentials, Bearer):
            for token, secret in facts.tokens.items():
                gone = secret == credentials.token and facts.revoked.get(token, step) < step
                must(not gone, "users: a token counts that was revoked", token)
        elif isinstance(credentials, Basic):
            gone = facts.disabled.get(credentials.user, step) < step
            must(not gone, "users: a user got in who is disabled", credentials.user)
            must(credentials.user != "nobody", "users: a user got in who does not exist")

    def _told(self, event: Event) -> None:
        """No method has a defect. A password that is refused costs a hash, whether its user exists or not."""
        must(not isinstance(event, CallFailed), "users: a method of the gateway has a defect", event)
        if isinstance(event, AuthFailed) and event.reason == "refused" and event.authenticator == "users":
            self._refusals += 1
            must(self._refusals <= self._compared, "users: a password was refused before it was compared")

    # Checks

    def _check(self) -> None:
        identity(self.gateway)
        users(self.gateway)
        for one, peer in self._peers.items():
            record = self.gateway._connections.records.get(one)
            if record is not None and record.admitted and record.identity.user and record.opened_at == self._now:
                self._check_may(peer.credentials, peer.step)

    def _settle(self) -> None:
        while self._waiting:
            self._conclude_one()

    def _come_to_rest(self) -> None:
        """Everything is answered, and everybody leaves: nothing is left, and no token of which nobody was told."""
        self._settle()
        for one in list(self._peers):
            self._leave(one)
        self._settle()
        gateway = self.gateway
        verifications = gateway._verifications
        left = (gateway._procedures.records, verifications.looked_up, verifications.passwords.running)
        must(not any(left) and not gateway._operations.records, "rest: something is left of users that have gone")
        store = gateway.store if self._outside is None else self._outside.store
        assert store is not None
        orphans = [id for id in store.tokens if id not in self._facts.tokens and id not in self._unsure]
        must(not orphans, "users: a token is left of which nobody was told", *orphans)
