"""The answers that the callers of an episode get: they are what the store has said, and each of them sees its own
session alone."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from msgspec import json
from posthouse.adapters.invariants import must
from posthouse.adapters.simulation.chance import Stream
from posthouse.core.connections.state import LIVING
from posthouse.core.store.outcomes import STOLEN, Done
from posthouse.core.store.requests import (
    AddSession,
    FindSession,
    ListSessions,
    ResumeSession,
    SessionAdded,
    UpdateSession,
    UseSession,
)
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.effects import Effect, Transmit
from posthouse.core.values.peers import ConnectionId

from .episode import WALL, Asked, Caller, Episode
from .facts import GONE


class Answers(Episode):
    """Judges what the store is asked and what callers are told. `given`: the sessions and the digests of the secrets
    with which clients came."""

    def __init__(self, stream: Stream) -> None:
        self.given: Final[dict[tuple[str, bytes], None]] = {}
        super().__init__(stream)

    def asked(self, request: Any) -> None:
        if isinstance(request, UseSession | ResumeSession):
            given = (request.session, request.digest) in self.given
            must(given, "sessions: the store is asked for a secret that nobody has given", request.session)
        elif isinstance(request, UpdateSession):
            members, unset = json.decode(request.set), request.unset
            self.facts.asked(request.session, members)
            self.facts.removes(request.session, list(unset))
            must(request.most_bytes == self.config.max_session_bytes, "limits: the data of a session has another limit")
        if hasattr(request, "idle"):
            must(request.idle == self.config.session_idle, "limits: sessions are idle for another time")
        if hasattr(request, "now"):
            must(request.now == WALL + self.now, "time: the store is told another time")

    def check_owner(self, request: Any) -> None:
        may = [caller.session for caller in self.callers.values()]
        fits = not isinstance(request, UpdateSession) or request.session in may
        must(fits, "sessions: a session is changed that no caller has", request)

    def _rows(self, kind: type, session: str | None = None) -> list[SessionRow]:
        """The rows that the store has told in this input, for such requests."""
        return [row for row in self._values(kind) if row is not None and session in (None, row.id)]

    def _values(self, kind: type) -> list[Any]:
        """What the store has told in this input for such requests: for a new session, its row."""
        outcomes = [each.outcome for each in self.store.told if isinstance(each.request, kind)]
        values = [outcome.value for outcome in outcomes if isinstance(outcome, Done)]
        return [value.row if isinstance(value, SessionAdded) else value for value in values]

    def updated(self, params: dict[str, Any], version: int) -> None:
        for row in self._rows(UpdateSession):
            members = json.decode(row.data)
            if row.version == version and all(name in members for name in params.get("set", {})):
                self.facts.changed(row.id, params, version, self.step)
                return
        must(False, "sessions: a change was acknowledged that the store has not made", params)

    def answered(self, one: ConnectionId, asked: Asked, result: Any) -> None:
        caller, method, params = self.callers[one], asked.method, asked.params
        record = self.gateway._connections.records[one]
        if method == "session.create":
            self._opened(caller, result, AddSession, asked)
        elif method == "session.resume":
            self._resumed(one, caller, asked, result)
        elif method == "session.update":
            self.updated(params, result["version"])
        elif method == "session.get":
            rows = self._rows(FindSession, result["id"])
            row = next((row for row in rows if row.version == result["version"]), rows[0])
            must(result["id"] in caller.had, "sessions: a caller is told another session", result["id"])
            self._seen(row, result, asked)
            here = [each for each in self.gateway._connections.records.values() if each.session == row.id]
            must(result["connections"] == len(here), "sessions: the connections of a session are counted")
        elif method == "session.list":
            listed = self._values(ListSessions)
            # The store may tell several callers in one input, and is not asked for one without a user and a session.
            ids = [[row.id for row in rows] for rows in listed]
            told = [each["id"] for each in result["sessions"]]
            nothing = not told and (asked.user is None or not ids)
            must(nothing or told in ids, "sessions: other sessions are listed", result)
            users = [row.identity.user for rows in listed for row in rows if row.id in told]
            must(
                all(user in (asked.user, caller.user) for user in users),
                "sessions: the sessions of others are listed",
                result,
            )
        elif method == "session.end":
            ended = params.get("session", asked.session)
            known = self.facts.sessions.get(ended or "")
            own = known is not None and known.user in (asked.user or "", caller.user or "")
            must(own or ended in caller.had, "sessions: a caller has ended the session of another user", ended)
            self.facts.end(ended, self.step)
            must(ended not in self.store.rows.sessions, "sessions: a session has not ended", ended)
            self._nobody_is_in(ended, one)
        elif method == "auth.logout":
            caller.user = record.peer.identity.user
            if asked.session is not None:
                self.facts.end(asked.session, self.step)
            caller.session = None
        elif method.startswith("auth."):
            self._logged_in(one, caller, asked, result)
        elif method == "once" and asked.key is not None:
            self.keys.answered(asked.owner, asked.key, params, result)

    def _opened(self, caller: Caller, result: dict[str, Any], kind: type, asked: Asked) -> None:
        """A caller was told a session with a secret."""
        (row,) = self._rows(kind, result["id"])
        must(row.current == digest_of(result["secret"]), "sessions: the secret is not the one that the store has")
        must(row.identity.user == caller.user or kind is ResumeSession, "sessions: a session is another user's")
        self.facts.told(row.id, result["secret"], row.identity.user, asked.step, self.step)
        caller.session, caller.user = row.id, row.identity.user
        caller.had[row.id] = None
        expires_in = max(0, int(min(self.config.session_idle, row.ends_at - (WALL + self.now))))
        must(result["expires_in"] == expires_in, "sessions: a session lasts for another time", result["expires_in"])
        must(result["durable"] == self.gateway._storage.durability, "sessions: another store keeps the session")
        if "data" in result:
            if kind is AddSession:
                self.facts.asked(row.id, asked.params["data"])
            self._seen(row, result, asked)

    def _resumed(self, one: ConnectionId, caller: Caller, asked: Asked, result: dict[str, Any]) -> None:
        params, user = asked.params, caller.user
        must(result["id"] == params["session"], "sessions: another session was resumed", result["id"])
        self.facts.used(result["id"], params["secret"], asked.step, self.step)
        self._opened(caller, result, ResumeSession, asked)
        must(user in (None, caller.user), "sessions: the session of another user was resumed", user, caller.user)
        replaced = params.get("replaces")
        if replaced is not None:
            winner = self.facts.sessions[result["id"]].winners.get(replaced)
            record = None if winner is None else self.gateway._connections.records.get(winner)
            there = record is not None and record.session == result["id"] and winner != one
            self.facts.won(result["id"], replaced, one, there=there)
            old = self.gateway._connections.by_public_id.get(replaced)
            stays = old is not None and old.state in LIVING and old.session == result["id"]
            doomed = [connection for connection, _ in self.gateway._shared.breaches]
            must(
                not stays or (old is not None and old.id in doomed), "sessions: a connection was not replaced", replaced
            )

    def _logged_in(self, one: ConnectionId, caller: Caller, asked: Asked, result: dict[str, Any]) -> None:
        before = caller.session
        caller.user = result["user"]
        given = result.get("session")
        due = asked.params.get("session") or self.gateway._connections.records[one].session is not None
        must(given is not None or not due, "sessions: a session keeps its id although its user has changed", result)
        if given is not None:
            self._opened(caller, given, AddSession, asked)
            if before is not None:
                self.facts.renewed(given["id"], before)
                self.facts.end(before, self.step)

    def _seen(self, row: SessionRow, result: dict[str, Any], asked: Asked) -> None:
        same = (row.version, json.decode(row.data)) == (result["version"], result["data"])
        must(same, "sessions: a caller is told other data than the store has", row.id)
        self.facts.seen(row.id, result["data"], result["version"], asked.step)

    def _nobody_is_in(self, session: str | None, but: ConnectionId) -> None:
        """Nobody belongs to a session that has ended."""
        records = self.gateway._connections.records.values()
        doomed = [connection for connection, _ in self.gateway._shared.breaches]
        left = [each.id for each in records if each.session == session and each.id not in (but, *doomed)]
        must(not left, "sessions: a connection stays in a session that has ended", session, *left)

    def refused(self, caller: Caller, asked: Asked, error: dict[str, Any], effects: list[Effect]) -> None:
        if error["code"] == GONE["code"]:
            must(error == GONE, "sessions: a refusal tells more than another one", error)
            stolen = any(each.outcome == STOLEN for each in self.store.told)
            others = [each for each in effects if not isinstance(each, Transmit)]
            alone = asked.method != "session.resume" or caller.kind == "http" or stolen or caller.calls
            must(alone or not others, "sessions: a refusal has other effects than another one", *others)
            if asked.method == "session.resume":
                self._rightly_refused(asked)

    def _rightly_refused(self, asked: Asked) -> None:
        """A session is refused although its secret is right only to another user, or if its own was revoked."""
        rows = self._rows(ResumeSession, asked.params["session"]) + self._rows(UseSession, asked.params["session"])
        for row in rows:
            known = self.facts.sessions.get(row.id)
            revoked = known is None or known.over is not None
            right = asked.user not in (None, row.identity.user) or revoked
            must(right, "sessions: a session was refused whose secret was right", row)


def digest_of(secret: str) -> bytes:
    """Stands for a secret in the store."""
    return sha256(secret.encode()).digest()
