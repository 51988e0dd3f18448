"""A store as simple as can be: lists that are searched from one end to the other. Only the rules are those of the core.

And requests of a small world, in which names, secrets and times meet often.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace
from posthouse.core.operations.operations import Refused
from posthouse.core.store import rules
from posthouse.core.store.outcomes import EXISTS, NO_ROOM, OTHER_VERSION, STOLEN, UNKNOWN, Done
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
from posthouse.core.values.peers import Identity

from tests.core.store.rows import digest


class Model:
    """Rows in the order in which they were added."""

    def __init__(self) -> None:
        self.users: list[UserRow] = []
        self.tokens: list[TokenRow] = []
        self.sessions: list[SessionRow] = []
        self.revocations: list[RevocationRow] = []

    @property
    def size(self) -> int:
        return sum(row.size for rows in (self.users, self.tokens, self.sessions) for row in rows)

    def perform(self, request: Request) -> Done | Refused:
        name = re.sub(r"(?<!^)([A-Z])", r"_\1", type(request).__name__).lower()
        outcome: Done | Refused = getattr(self, name)(request)
        return outcome

    def user(self, name: str) -> UserRow | None:
        return next((row for row in self.users if row.user == name), None)

    def session(self, id: str) -> SessionRow | None:
        return next((row for row in self.sessions if row.id == id), None)

    def put_user(self, row: UserRow) -> None:
        self.users = [row if each.user == row.user else each for each in self.users]

    def put_session(self, row: SessionRow) -> None:
        self.sessions = [row if each.id == row.id else each for each in self.sessions]

    def end(self, ids: list[str]) -> tuple[str, ...]:
        self.sessions = [row for row in self.sessions if row.id not in ids]
        return tuple(ids)

    def end_user(self, name: str, but: str | None = None) -> tuple[str, ...]:
        return self.end(sorted(row.id for row in self.sessions if row.user == ("", name) and row.id != but))

    def add_user(self, request: AddUser) -> Done | Refused:
        if self.user(request.row.user):
            return EXISTS
        if len(self.users) >= request.most:
            return NO_ROOM
        self.users.append(request.row)
        return Done()

    def find_user(self, request: FindUser) -> Done:
        return Done(self.user(request.user))

    def change_user(self, request: ChangeUser) -> Done | Refused:
        row, ends, refused = rules.change(self.user(request.user), request)
        if refused is not None:
            return refused
        assert row is not None
        self.put_user(row)
        return Done(UserChanged(row, self.end_user(row.user, request.but) if ends else ()))

    def remove_user(self, request: RemoveUser) -> Done | Refused:
        row = self.user(request.user)
        if row is None:
            return UNKNOWN
        if request.if_version not in (None, row.version):
            return OTHER_VERSION
        self.users.remove(row)
        self.tokens = [each for each in self.tokens if each.user != row.user]
        return Done(UserChanged(row, self.end_user(row.user)))

    def list_users(self, request: ListUsers) -> Done:
        rows = sorted((row for row in self.users if row.user > request.after), key=lambda row: row.user)
        return Done(tuple(rows[: request.limit]))

    def add_token(self, request: AddToken) -> Done | Refused:
        row = request.row
        if self.user(row.user) is None:
            return UNKNOWN
        if any(row.id == each.id or row.digest == each.digest for each in self.tokens):
            return EXISTS
        own = [each for each in self.tokens if each.user == row.user]
        over = [each for each in own if each.expires_at is not None and each.expires_at <= row.created_at]
        if len(own) - len(over) >= request.most:
            return NO_ROOM
        self.tokens = [each for each in self.tokens if each not in over] + [row]
        return Done()

    def find_token(self, request: FindToken) -> Done:
        found = [row for row in self.tokens if row.digest == request.digest]
        return Done((found[0], self.user(found[0].user)) if found else None)

    def list_tokens(self, request: ListTokens) -> Done:
        rows = [row for row in self.tokens if row.user == request.user and row.id > request.after]
        return Done(tuple(sorted(rows, key=lambda row: row.id)[: request.limit]))

    def remove_token(self, request: RemoveToken) -> Done:
        found = [row for row in self.tokens if row.id == request.token and request.user in (None, row.user)]
        self.tokens = [row for row in self.tokens if row not in found]
        if not found:
            return Done()
        made = [
            row.id for row in self.sessions if row.user == ("", found[0].user) and row.identity.token == request.token
        ]
        return Done(TokenRemoved(found[0], self.end(sorted(made))))

    def add_session(self, request: AddSession) -> Done | Refused:
        row = request.row
        if self.session(row.id):
            return EXISTS
        old = self.session(request.replaces) if request.replaces is not None else None
        counted = [each for each in self.sessions if each is not old]
        ends = []
        if len(counted) >= request.most:
            ends = sorted(each.id for each in counted if rules.expired(each, request.now, request.idle))
        nobodys = [each for each in counted if each.user is None and each.id not in ends]
        over = max(0, len(counted) - len(ends) - request.most + 1)
        if over > len(nobodys):
            return NO_ROOM
        ends += [each.id for each in sorted(nobodys, key=lambda each: (each.used_at, each.id))[:over]]
        left = [each for each in counted if each.id not in ends and row.user and each.user == row.user]
        if len(left) >= request.most_per_user:
            ends.append(min(left, key=lambda each: rules.evicted_first(each, request.now)).id)
        self.end(ends)
        if old is not None and not rules.expired(old, request.now, request.idle):
            row = replace(row, replaces=(old.id, *old.replaces)[:8])
            if old.user in (None, row.user):
                row = replace(row, data=old.data, version=old.version)
        self.sessions.append(row)
        return Done(SessionAdded(row, tuple(ends)))

    def find_session(self, request: FindSession) -> Done:
        row = self.session(request.session)
        return Done(None if row is None or rules.expired(row, request.now, request.idle) else row)

    def apply(self, rule: Any, request: Any) -> Done | Refused:
        was = self.session(request.session)
        row, outcome = rule(was, request)
        if outcome is STOLEN:
            self.end([request.session])
        elif was is not None and row is not None:
            self.put_session(row)
            if not row.replaces:
                self.end(list(was.replaces))
        assert isinstance(outcome, Done | Refused)
        return outcome

    def use_session(self, request: UseSession) -> Done | Refused:
        return self.apply(rules.use, request)

    def resume_session(self, request: ResumeSession) -> Done | Refused:
        return self.apply(rules.resume, request)

    def update_session(self, request: UpdateSession) -> Done | Refused:
        return self.apply(rules.update, request)

    def end_session(self, request: EndSession) -> Done:
        row = self.session(request.session)
        if row is None or request.user not in (None, row.user):
            return Done(False)
        self.end([row.id])
        return Done(True)

    def end_sessions(self, request: EndSessions) -> Done:
        ids = (row.id for row in self.sessions if row.user == request.user and row.id != request.but)
        return Done(self.end(sorted(ids)))

    def list_sessions(self, request: ListSessions) -> Done:
        own = [row for row in self.sessions if row.user == request.user and row.id > request.after]
        rows = [row for row in own if not rules.expired(row, request.now, request.idle)]
        return Done(tuple(sorted(rows, key=lambda row: row.id)[: request.limit]))

    def sweep(self, request: Sweep) -> Done:
        over = sorted(row.id for row in self.sessions if rules.expired(row, request.now, request.idle))
        return Done(self.end(over[: request.limit]))

    def touch(self, request: Touch) -> Done:
        for id, at in request.sessions:
            row = self.session(id)
            if row is not None and not rules.expired(row, at, request.idle):
                self.put_session(rules.touch_session(row, at, request.idle))
        for name, at in request.users:
            user = self.user(name)
            if user is not None:
                self.put_user(rules.touch_user(user, at))
        for token, at in request.tokens:
            self.tokens = [rules.touch_token(row, at) if row.id == token else row for row in self.tokens]
        return Done()

    def add_revocation(self, request: AddRevocation) -> Done:
        known = next((row for row in self.revocations if row.user == request.row.user), None)
        if known is not None:
            self.revocations.remove(known)
        self.revocations = [*self.revocations, rules.later(request.row, known)][-request.most :]
        return Done()

    def list_revocations(self, request: ListRevocations) -> Done:
        return Done(tuple(self.revocations))


IDLE = 40.0
"""Time goes on by whole seconds, up to 30 at once: sessions are idle, and live for 100 seconds."""

NAMES = st.sampled_from(["ada", "bob", "cy", ""])
IDS = st.sampled_from(["a", "b", "c", "d", "e"])
DIGESTS = st.sampled_from([digest(secret) for secret in "1234"])
AT = st.floats(0, 200).map(round).map(float)
AFTER = st.sampled_from(["", "a", "b", "bob"])
LIMITS = st.integers(1, 4)
USERS = st.sampled_from([("", "ada"), ("", "bob"), ("work", "ada")])
SCOPES = st.sampled_from([(), ("read",), ("read", "write")])
OBJECTS = st.sampled_from([b"{}", b'{"a":1}', b'{"b":[]}'])
IDENTITIES = st.sampled_from(
    [
        *(Identity(), Identity("ada"), Identity("bob", ("read",)), Identity("ada", namespace="work")),
        *(Identity("ada", token="a"), Identity("bob", token="b"), Identity("ada", namespace="work", token="a")),
    ]
)
ACTIVITIES = st.tuples(st.tuples(IDS, AT)) | st.just(())


@cache
def requests(now: float) -> st.SearchStrategy[Request]:
    """The requests of one time."""
    w = st.just("w")
    at = st.just(now)
    idle = st.just(IDLE)
    users = st.builds(
        UserRow,
        user=NAMES,
        password=st.sampled_from([None, "hash"]),
        scopes=SCOPES,
        disabled=st.booleans(),
        profile=OBJECTS,
        created_at=at,
    )
    expiries = st.none() | st.sampled_from([now, now + 20.0])
    tokens = st.builds(TokenRow, id=IDS, user=NAMES, digest=DIGESTS, scopes=SCOPES, created_at=at, expires_at=expiries)
    sessions = st.builds(
        SessionRow,
        id=IDS,
        identity=IDENTITIES,
        current=DIGESTS,
        data=OBJECTS,
        created_at=at,
        used_at=at,
        ends_at=st.sampled_from([now + 100.0, now + 15.0]),
    )
    revocations = st.builds(RevocationRow, user=USERS, not_before=AT, at=at)
    optional = st.none() | IDS
    versions = st.none() | st.integers(1, 3)
    return st.one_of(
        st.builds(AddUser, id=w, row=users, most=LIMITS),
        st.builds(FindUser, user=NAMES),
        st.builds(
            ChangeUser,
            id=w,
            user=NAMES,
            password=st.sampled_from([UNSET, None, "hash", "other"]),
            scopes=st.just(UNSET) | SCOPES,
            disabled=st.sampled_from([UNSET, False, True]),
            profile=st.just(UNSET) | OBJECTS,
            if_version=versions,
            but=optional,
        ),
        st.builds(RemoveUser, id=w, user=NAMES, if_version=versions),
        st.builds(ListUsers, after=AFTER, limit=LIMITS),
        st.builds(AddToken, id=w, row=tokens, most=LIMITS),
        st.builds(FindToken, digest=DIGESTS),
        st.builds(ListTokens, user=NAMES, after=AFTER, limit=LIMITS),
        st.builds(RemoveToken, id=w, token=IDS, user=st.none() | NAMES),
        st.builds(
            AddSession,
            id=w,
            row=sessions,
            most=LIMITS,
            most_per_user=LIMITS,
            now=at,
            idle=idle,
            replaces=optional,
        ),
        st.builds(FindSession, session=IDS, now=at, idle=idle),
        st.builds(UseSession, id=w, session=IDS, digest=DIGESTS, now=at, idle=idle),
        st.builds(ResumeSession, id=w, session=IDS, digest=DIGESTS, fresh=DIGESTS, now=at, idle=idle),
        st.builds(
            UpdateSession,
            id=w,
            session=IDS,
            set=OBJECTS,
            unset=st.lists(st.sampled_from("ab"), max_size=2).map(tuple),
            version=versions,
            most_bytes=st.integers(2, 20),
            now=at,
            idle=idle,
        ),
        st.builds(EndSession, id=w, session=IDS, user=st.none() | USERS),
        st.builds(EndSessions, id=w, user=USERS, but=optional),
        st.builds(ListSessions, user=USERS, now=at, idle=idle, after=AFTER, limit=LIMITS),
        st.builds(Sweep, id=w, now=at, idle=idle, limit=st.just(5)),
        st.builds(
            Touch,
            id=w,
            idle=idle,
            sessions=ACTIVITIES,
            users=st.tuples(st.tuples(NAMES, at)) | st.just(()),
            tokens=ACTIVITIES,
        ),
        st.builds(AddRevocation, id=w, row=revocations, most=LIMITS),
        st.builds(ListRevocations),
    )
