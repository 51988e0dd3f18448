"""Clients that come back to their sessions: on other links, twice at once, in place of others, with old, stolen and
invented secrets; that log in and out, change data, use keys, and leave at any time.

What they are told is what the store has said.
"""

from __future__ import annotations

from typing import Any, Final

from posthouse.adapters.invariants import must
from posthouse.adapters.invariants.accounts.sessions import sessions_at_rest
from posthouse.adapters.simulation.chance import Stream
from posthouse.core.service.authenticators import Bearer, SessionToken
from posthouse.core.values.peers import ConnectionId, Kind

from .answers import Answers, digest_of
from .episode import Caller

STEPS: Final = 70
NAMES: Final = ("ada", "bob")
INVENTED: Final = (("x" * 22, "y" * 43), ("A" * 22, "A" * 43), ("short", "z"))
"""Sessions that nobody has made, with secrets."""

KEYS: Final = ("k1", "k2")
KINDS: Final[tuple[Kind, ...]] = ("websocket", "cli", "http", "websocket")


class Sessions(Answers):
    """One episode."""

    def __init__(self, stream: Stream) -> None:
        self._members = 0
        self._crashed = False
        self._revoked: Final[dict[str, None]] = {}
        super().__init__(stream)

    def run(self) -> int:
        """Perform the episode. Returns the number of its steps. Raises Violation."""
        self._begin()
        for self.step in range(1, STEPS + 1):
            self._act()
        self._come_to_rest()
        return STEPS

    # What happens

    def _begin(self) -> None:
        """Some users come and make sessions: then there is something to come back to."""
        for name in NAMES[: self.stream.pick((2, 2, 1, 0))]:
            one = self.connect("websocket", Bearer(name), Caller("websocket", name))
            self._settle()
            self.call(one, "session.create", {"data": {}})
            self._settle()

    def _settle(self) -> None:
        while self.verifying or self.store.waiting or self.handlers:
            self.go_on()

    def _act(self) -> None:
        stream = self.stream
        match stream.choose(16):
            case 0 | 1:
                self._arrive()
            case 2:
                self._some("session.create", {"data": stream.pick(({}, {"made": 1}))})
            case 3 | 4:
                self._resume(stream.pick((1, 1, 2)))
            case 5 | 6:
                self._members += 1
                version = stream.pick((None, None, 1, 2, 3))
                unset = [f"m{stream.choose(self._members)}"] if stream.happens(300) else []
                given = {"set": {f"m{self._members}": 1}, "unset": unset, "version": version}
                self._some("session.update", {name: value for name, value in given.items() if value is not None})
            case 7:
                self._some(stream.pick(("session.get", "session.get", "session.list")), {})
            case 8:
                self._end(stream.pick((None, stream.pick([*self.facts.sessions] or ["x" * 22]))))
            case 9:
                token, wish = stream.pick(NAMES), stream.pick(({}, {"session": True}))
                method = stream.pick(("auth.login", "auth.login", "auth.refresh", "auth.logout"))
                params = {} if method == "auth.logout" else {"method": "bearer", "token": token, **wish}
                self._some(method, params)
            case 10:
                self._members += 1
                self._some("keep", {"member": f"m{self._members}"})
            case 11:
                self._say_once(1 + stream.choose(3))
            case 12:
                others = list(self.callers)
                if others:
                    self.leave(stream.pick(others))
            case 13:
                self.pass_time(stream.pick((0.1, 1.0, 6.0, 15.0, 61.0)))
            case 14 if stream.happens(200):
                self._crash()
            case 14 if stream.happens(400):
                self._revoke(stream.pick(NAMES))
            case _:
                for _ in range(1 + stream.choose(4)):
                    self.go_on()

    def _some(self, name: str, params: dict[str, Any], key: str | None = None) -> None:
        others = [one for one, caller in self.callers.items() if caller.kind != "http" and caller.open]
        if others:
            self.call(self.stream.pick(others), name, params, key)

    def _say_once(self, times: int) -> None:
        """A caller makes a call with a key, perhaps several times at once."""
        stream = self.stream
        others = [one for one, caller in self.callers.items() if caller.kind != "http" and caller.open]
        one, key, number = stream.pick(others or [ConnectionId(0)]), stream.pick(KEYS), stream.pick((1, 1, 2))
        for _ in range(times):
            self.call(one, "once", {"number": number}, key)

    def _end(self, session: str | None) -> None:
        """Somebody ends a session: its own, or another one. That of another user is refused to those with a user."""
        known = None if session is None else self.facts.sessions.get(session)
        user = None if known is None else known.user
        others = [
            one for one, caller in self.callers.items() if caller.kind != "http" and caller.user not in (None, user)
        ]
        if known is None or not others or self.stream.happens(300):
            self._some("session.end", {} if session is None else {"session": session})
        else:
            self.call(self.stream.pick(others), "session.end", {"session": session})

    def _revoke(self, user: str) -> None:
        """A user is revoked, perhaps while it makes one call with a key twice."""
        own = [one for one, caller in self.callers.items() if caller.kind != "http" and caller.user == user]
        if own and self.stream.happens(700):
            one = self.stream.pick(own)
            for _ in range(2):
                self.call(one, "once", {"number": 1}, f"k{self.step}")
        self.keys.revoked(f"user {user}", self.handlers)
        for known in self.facts.sessions.values():
            if known.user == user and known.over is None:
                self.facts.end(known.id, self.step)
                self._revoked[known.id] = None
        self.input(lambda: self.gateway.revoke(user, self.now))

    def _key(self) -> tuple[str, str]:
        """The key of a session: the newest one most of the time."""
        stream = self.stream
        known = list(self.facts.sessions.values())
        if not known or stream.happens(100):
            return stream.pick(INVENTED)
        session = stream.pick((known[-1], stream.pick(known)))
        secrets = session.secrets
        secret = stream.pick((secrets[-1], secrets[-1], secrets[-2:][0], stream.pick(secrets), "y" * 43))
        return session.id, secret

    def _arrive(self) -> None:
        """A client comes: without anything, with a token, or with the key of a session."""
        stream = self.stream
        kind = stream.pick(KINDS)
        if stream.happens(300):
            name = stream.pick(NAMES)
            one = self.connect(kind, Bearer(name), Caller(kind, name))
        elif stream.happens(600) or kind == "http":
            session, secret = self._key()
            self.given[session, digest_of(secret)] = None
            known = self.facts.sessions.get(session)
            user = None if known is None else known.user
            one = self.connect(kind, SessionToken(f"{session}.{secret}"), Caller(kind, user, session))
        else:
            one = self.connect(kind, None, Caller(kind))
        if kind == "http":
            self._members += 1
            asks: tuple[tuple[str, dict[str, Any]], ...] = (
                ("session.get", {}),
                ("session.update", {"set": {f"m{self._members}": 1}}),
                ("session.resume", dict(zip(("session", "secret"), self._key(), strict=True))),
                ("once", {"number": 1}),
            )
            method, params = stream.pick(asks)
            self._say(one, method, params, stream.pick(KEYS) if method == "once" else None)

    def _resume(self, times: int) -> None:
        """One client, or two at once, resume a session; perhaps in place of a connection."""
        stream, (session, secret) = self.stream, self._key()
        there = [one for one, caller in self.callers.items() if caller.session == session]
        replaced = self.gateway._connections.records.get(stream.pick(there)) if there else None
        given = {"session": session, "secret": secret}
        if replaced is not None and stream.happens(500):
            given["replaces"] = replaced.public_id
        others = [one for one, caller in self.callers.items() if caller.kind != "http" and caller.open]
        for _ in range(times):
            if others:
                self._say(stream.pick(others), "session.resume", given)

    def _say(self, one: ConnectionId, method: str, params: dict[str, Any], key: str | None = None) -> None:
        if method == "session.resume":
            self.given[params["session"], digest_of(params["secret"])] = None
        self.call(one, method, params, key)

    def _crash(self) -> None:
        """The server crashes. A store that is outside goes on with what it had synced."""
        if self.store.outside:
            self._crashed = True
            self.store.crash()
            for known in self.facts.sessions.values():
                known.winners.clear()
                if known.id in self._revoked and known.id in self.store.rows.sessions:
                    known.over = None  # nobody was told that the store has ended it
            self._revoked.clear()
            self.start()

    def _come_to_rest(self) -> None:
        """Everything is answered, and everybody leaves: nothing is left, and no session of which nobody was told."""
        certain = not self.store.fails and self.config.max_external_operations > 2
        self.store.fails = 0
        for one in list(self.callers):
            if one in self.callers:
                self.leave(one)
        self._settle()
        sessions_at_rest(self.gateway)
        self.store.check()
        gateway = self.gateway
        orphans = [id for id in self.store.rows.sessions if id not in self.facts.sessions]
        must(
            not (orphans and certain) or self._crashed, "sessions: a session is left of which nobody was told", *orphans
        )
        must(not gateway._operations.records and not gateway._calls.records, "rest: something is left of sessions")
