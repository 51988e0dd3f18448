"""A store as the model expects it: plain dictionaries without indexes. Every request looks at every row.

The rules are written a second time on purpose: the model must not repeat mistakes of the product's own.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw
from msgspec.json import decode, encode
from msgspec.structs import replace
from posthouse.core.operations.operations import Refused
from posthouse.core.store.outcomes import EXISTS, NO_ROOM, OTHER_VERSION, STOLEN, TOO_LARGE, UNKNOWN, Done
from posthouse.core.store.requests import (
    AddRevocation,
    AddSession,
    AddToken,
    AddUser,
    ChangeUser,
    EndSession,
    EndSessions,
    FindSession,
    FindToken,
    FindUser,
    ListRevocations,
    ListSessions,
    ListTokens,
    ListUsers,
    RemoveToken,
    RemoveUser,
    Request,
    ResumeSession,
    SessionAdded,
    Sweep,
    TokenRemoved,
    Touch,
    UpdateSession,
    UserChanged,
    UseSession,
)
from posthouse.core.store.rows import RevocationRow, SessionRow, TokenRow, UserRow
from posthouse.core.values.peers import UserKey

REMEMBERED: Final = 8
"""So many old secrets of a session are remembered, and so many sessions whose place it takes."""

MINUTE: Final = 60.0
"""Seconds: uses are written at most so often."""

SWEPT: Final = 100
"""So many sessions that have expired make room at once."""

Outcome = Done | Refused


class Rows:
    """The rows, by name, by id and by user. `revocations`: the oldest first."""

    def __init__(self) -> None:
        self.users: dict[str, UserRow] = {}
        self.tokens: dict[str, TokenRow] = {}
        self.sessions: dict[str, SessionRow] = {}
        self.revocations: dict[UserKey, RevocationRow] = {}

    def perform(self, request: Request) -> Outcome:
        """The outcome of a request, whose changes count from now on."""
        match request:
            case AddUser() | FindUser() | ChangeUser() | RemoveUser() | ListUsers():
                return self._of_user(request)
            case AddToken() | FindToken() | ListTokens() | RemoveToken():
                return self._of_token(request)
            case AddSession():
                return self._add(request)
            case UseSession() | ResumeSession() | UpdateSession():
                return self._change(request)
            case Touch():
                return self._touch(request)
            case AddRevocation():
                return self._revoke(request)
            case ListRevocations():
                return Done(tuple(self.revocations.values()))
            case _:
                return self._find_or_end(request)

    # Users and tokens

    def _of_user(self, request: AddUser | FindUser | ChangeUser | RemoveUser | ListUsers) -> Outcome:
        users = self.users
        if isinstance(request, AddUser):
            if request.row.user in users:
                return EXISTS
            if len(users) >= request.most:
                return NO_ROOM
            users[request.row.user] = request.row
            return Done()
        if isinstance(request, ListUsers):
            names = sorted(name for name in users if name > request.after)[: request.limit]
            return Done(tuple(users[name] for name in names))
        row = users.get(request.user)
        if isinstance(request, FindUser):
            return Done(row)
        if row is None:
            return UNKNOWN
        if request.if_version is not None and request.if_version != row.version:
            return OTHER_VERSION
        if isinstance(request, RemoveUser):
            del users[row.user]
            self.tokens = {id: token for id, token in self.tokens.items() if token.user != row.user}
            return Done(UserChanged(row, self._end_of(("", row.user), None)))
        ends = request.disabled is True
        ends = ends or (request.scopes is not UNSET and request.scopes != row.scopes)
        ends = ends or (request.password is not UNSET and request.password != row.password)
        fields = {name: getattr(request, name) for name in ("password", "scopes", "disabled", "profile")}
        given: dict[str, Any] = {name: value for name, value in fields.items() if value is not UNSET}
        users[row.user] = changed = replace(row, **given, version=row.version + 1)
        return Done(UserChanged(changed, self._end_of(("", row.user), request.but) if ends else ()))

    def _of_token(self, request: AddToken | FindToken | ListTokens | RemoveToken) -> Outcome:
        tokens = self.tokens
        if isinstance(request, FindToken):
            found = [token for token in tokens.values() if token.digest == request.digest]
            return Done((found[0], self.users[found[0].user]) if found else None)
        if isinstance(request, ListTokens):
            ids = sorted(id for id, token in tokens.items() if token.user == request.user and id > request.after)
            return Done(tuple(tokens[id] for id in ids[: request.limit]))
        if isinstance(request, RemoveToken):
            known = tokens.get(request.token)
            if known is None or (request.user is not None and known.user != request.user):
                return Done()
            made = sorted(
                id
                for id, each in self.sessions.items()
                if each.user == ("", known.user) and each.identity.token == known.id
            )
            self.sessions = {id: each for id, each in self.sessions.items() if id not in made}
            return Done(TokenRemoved(tokens.pop(known.id), tuple(made)))
        row = request.row
        if row.user not in self.users:
            return UNKNOWN
        if row.id in tokens or any(token.digest == row.digest for token in tokens.values()):
            return EXISTS
        own = [token for token in tokens.values() if token.user == row.user]
        over = [token for token in own if token.expires_at is not None and token.expires_at <= row.created_at]
        if len(own) - len(over) >= request.most:
            return NO_ROOM
        for token in over:
            del tokens[token.id]
        tokens[row.id] = row
        return Done()

    # Sessions

    def _add(self, request: AddSession) -> Outcome:
        row, now, left = request.row, request.now, dict(self.sessions)
        if row.id in left:
            return EXISTS
        ended: list[str] = []
        old = None if request.replaces is None else left.pop(request.replaces, None)
        if len(left) >= request.most:
            for id in sorted(id for id, each in left.items() if over(each, now, request.idle))[:SWEPT]:
                ended.append(id)
                del left[id]
        while len(left) >= request.most:
            nobodys = sorted((each.used_at, id) for id, each in left.items() if each.user is None)
            if not nobodys or len(ended) >= 2 * SWEPT:
                return NO_ROOM
            ended.append(nobodys[0][1])
            del left[nobodys[0][1]]
        own = [each for each in left.values() if row.user is not None and each.user == row.user]
        if len(own) >= request.most_per_user and own:
            first = sorted(own, key=lambda each: (each.ends_at > now, each.used_at, each.id))[0]
            ended.append(first.id)
            del left[first.id]
        if old is not None and not over(old, now, request.idle):
            row = replace(row, replaces=(old.id, *old.replaces)[:REMEMBERED])
            if old.user in (None, row.user):
                row = replace(row, data=old.data, version=old.version)
        stays = {} if old is None else {old.id: old}
        self.sessions = {**left, **stays, row.id: row}
        return Done(SessionAdded(row, tuple(ended)))

    def _change(self, request: UseSession | ResumeSession | UpdateSession) -> Outcome:
        row, now = self.sessions.get(request.session), request.now
        if row is None or over(row, now, request.idle):
            return UNKNOWN
        if isinstance(request, UpdateSession):
            if request.version not in (None, row.version):
                return OTHER_VERSION
            members = {**decode(row.data, type=dict[str, Raw]), **decode(request.set, type=dict[str, Raw])}
            data = encode({name: value for name, value in members.items() if name not in request.unset})
            if len(data) > request.most_bytes:
                return TOO_LARGE
            changed = replace(row, data=data, version=row.version + 1, used_at=seen(row, now, request.idle))
        elif request.digest not in (row.current, row.previous):
            if request.digest in row.retired:
                del self.sessions[row.id]
                return STOLEN
            return UNKNOWN
        elif isinstance(request, UseSession):
            newest = request.digest == row.current
            old = () if row.previous is None or not newest else (row.previous,)
            changed = replace(
                row,
                previous=None if newest else row.previous,
                retired=(*row.retired, *old)[-REMEMBERED:],
                used_at=seen(row, now, request.idle),
            )
        else:
            replaced = row.previous if request.digest == row.current else row.current
            old = () if replaced is None else (replaced,)
            retired = (*row.retired, *old)[-REMEMBERED:]
            used_at = max(row.used_at, now)
            changed = replace(row, current=request.fresh, previous=request.digest, retired=retired, used_at=used_at)
        if not isinstance(request, UpdateSession):
            changed = replace(changed, replaces=())
        self.sessions[row.id] = changed
        if not changed.replaces:
            self.sessions = {id: each for id, each in self.sessions.items() if id not in row.replaces}
        return Done(changed)

    def _find_or_end(self, request: Request) -> Outcome:
        sessions = self.sessions
        match request:
            case FindSession():
                row = sessions.get(request.session)
                return Done(None if row is None or over(row, request.now, request.idle) else row)
            case ListSessions():
                own = sorted(id for id, each in sessions.items() if each.user == request.user and id > request.after)
                living = [sessions[id] for id in own if not over(sessions[id], request.now, request.idle)]
                return Done(tuple(living[: request.limit]))
            case EndSession():
                row = sessions.get(request.session)
                ends = row is not None and (request.user is None or row.user == request.user)
                if ends:
                    del sessions[request.session]
                return Done(ends)
            case EndSessions():
                return Done(self._end_of(request.user, request.but))
            case Sweep():
                ended = sorted(id for id, each in sessions.items() if over(each, request.now, request.idle))
                ended = ended[: request.limit]
                for id in ended:
                    del sessions[id]
                return Done(tuple(ended))
            case _:
                raise AssertionError(f"the model does not know {type(request).__name__}")

    def _end_of(self, user: UserKey, but: str | None) -> tuple[str, ...]:
        ended = tuple(sorted(id for id, each in self.sessions.items() if each.user == user and id != but))
        for id in ended:
            del self.sessions[id]
        return ended

    # Activity and revocations

    def _touch(self, request: Touch) -> Outcome:
        for id, at in request.sessions:
            row = self.sessions.get(id)
            if row is not None and not over(row, at, request.idle):
                self.sessions[id] = replace(row, used_at=seen(row, at, request.idle))
        for name, at in request.users:
            user = self.users.get(name)
            if user is not None and (user.seen_at is None or user.seen_at + MINUTE <= at):
                self.users[name] = replace(user, seen_at=at)
        for id, at in request.tokens:
            token = self.tokens.get(id)
            if token is not None and (token.seen_at is None or token.seen_at + MINUTE <= at):
                self.tokens[id] = replace(token, seen_at=at)
        return Done()

    def _revoke(self, request: AddRevocation) -> Outcome:
        row = request.row
        known = self.revocations.pop(row.user, row)
        while len(self.revocations) >= request.most:
            del self.revocations[next(iter(self.revocations))]
        self.revocations[row.user] = replace(row, not_before=max(row.not_before, known.not_before))
        return Done()


def over(row: SessionRow, now: float, idle: float) -> bool:
    """Has this session expired?"""
    return now >= row.ends_at or now >= row.used_at + idle


def seen(row: SessionRow, at: float, idle: float) -> float:
    """When a session was last used, as it is written: at most once a minute, or four times within `idle`."""
    return at if at - row.used_at >= min(MINUTE, idle / 4) else row.used_at
