"""Requests for the conformance kit: a small world, in which names, secrets and times meet often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from random import Random
from typing import Final, TypeVar

from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from posthouse.core.store.memory import MemoryStore
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
    Sweep,
    Touch,
    UpdateSession,
    UseSession,
)
from posthouse.core.store.rows import RevocationRow, SessionRow, TokenRow, UserRow
from posthouse.core.values.peers import Identity

T = TypeVar("T")

IDLE: Final = 40.0
LIFETIME: Final = 100.0

NAMES: Final = ("ada", "ada", "bob", "Zoë")
IDS: Final = ("a", "b", "c", "d", "e")
AFTER: Final = ("", "a", "b", "bob")
SCOPES: Final = ((), ("read",), ("read", "write"))
OBJECTS: Final = (b"{}", b'{"a":1}', b'{"b":["\\u0000","\xc3\xab"]}')
USERS: Final = (("", "ada"), ("", "bob"), ("work", "ada"))
IDENTITIES: Final = (
    Identity(),
    Identity("ada", issued_at=1.5),
    Identity("bob", ("read",), expires_at=90.25),
    Identity("ada", namespace="work"),
    Identity("ada", token="a"),
    Identity("bob", token="b"),
)


def digest(secret: str) -> bytes:
    """The digest of a secret."""
    return sha256(secret.encode()).digest()


DIGESTS: Final = tuple(map(digest, "1234"))


class Draws:
    """Draws requests, most of them about rows that `rows` has. Equal seeds draw equal requests."""

    def __init__(self, seed: int, rows: MemoryStore) -> None:
        self._random: Final = Random(seed)
        self._rows: Final = rows
        self._writes = 0
        self._now = 0.0
        self._makers: Final[tuple[Callable[[], Request], ...]] = (
            *(self._add_user, self._change_user, self._add_token, self._add_session) * 3,
            *(self._update, self._resume, self._use, self._look_up) * 3,
            *(self._touch, self._touch, self._revoke, self._remove, self._end),
        )

    def request(self) -> Request:
        """The next request. Time goes on between two of them, sometimes."""
        self._now += self._of((0.0, 0.0, 0.0, 1.0, 7.0))
        return self._of(self._makers)()

    def _of(self, values: Sequence[T]) -> T:
        return self._random.choice(values)

    def _id(self) -> str:
        self._writes += 1
        return f"{self._writes:032x}"

    def _session(self) -> str:
        """The id of a session, which exists most of the time."""
        return str(self._of((self._of(IDS), *self._rows.sessions)))

    def _secret(self, session: str) -> bytes:
        """The digest of a secret of a session, most of the time."""
        row = self._rows.sessions.get(session)
        known = () if row is None else (row.current, row.current, row.previous or row.current, *row.retired)
        digest = self._of((self._of(DIGESTS), *known))
        assert isinstance(digest, bytes)
        return digest

    def _fresh(self) -> bytes:
        return digest(self._id())

    def _add_user(self) -> Request:
        password, disabled = self._of((None, "hash")), self._of((False, True))
        user, scopes, profile = self._of(NAMES), self._of(SCOPES), self._of(OBJECTS)
        row = UserRow(
            user=user, password=password, scopes=scopes, disabled=disabled, profile=profile, created_at=self._now
        )
        return AddUser(self._id(), row, self._of((1, 9, 9)))

    def _change_user(self) -> Request:
        passwords: Sequence[str | UnsetType | None] = (UNSET, None, "hash", "other")
        scopes: Sequence[tuple[str, ...] | UnsetType] = (UNSET, *SCOPES)
        disabled: Sequence[bool | UnsetType] = (UNSET, False, True)
        profiles: Sequence[bytes | UnsetType] = (UNSET, *OBJECTS)
        return ChangeUser(
            self._id(),
            self._of(NAMES),
            self._of(passwords),
            self._of(scopes),
            self._of(disabled),
            self._of(profiles),
            self._of((None, None, 1, 2)),
            self._of((None, None, self._session())),
        )

    def _remove(self) -> Request:
        if self._of((True, False)):
            return RemoveUser(self._id(), self._of(NAMES), self._of((None, None, 1, 2)))
        return RemoveToken(self._id(), self._of(IDS), self._of((None, *NAMES)))

    def _add_token(self) -> Request:
        row = TokenRow(
            id=self._of(IDS),
            user=self._of(NAMES),
            digest=self._of(DIGESTS),
            scopes=self._of(SCOPES),
            label=self._of(NAMES),
            created_at=self._now,
            expires_at=self._of((None, self._now, self._now + 20.0)),
        )
        return AddToken(self._id(), row, self._of((1, 2, 9)))

    def _add_session(self) -> Request:
        row = SessionRow(
            id=self._of(IDS),
            identity=self._of(IDENTITIES),
            current=self._of(DIGESTS),
            data=self._of(OBJECTS),
            created_at=self._now,
            used_at=self._now,
            ends_at=self._now + self._of((LIFETIME, LIFETIME, 15.0)),
        )
        most, most_per_user = self._of((2, 3, 9)), self._of((1, 2, 9))
        return AddSession(self._id(), row, most, most_per_user, self._now, IDLE, self._of((None, None, *IDS)))

    def _use(self) -> Request:
        session = self._session()
        return UseSession(self._id(), session, self._secret(session), self._now, IDLE)

    def _resume(self) -> Request:
        session = self._session()
        return ResumeSession(self._id(), session, self._secret(session), self._fresh(), self._now, IDLE)

    def _update(self) -> Request:
        unset, version = self._of(((), ("a",), ("a", "b"))), self._of((None, None, 1, 2))
        members, session = self._of(OBJECTS), self._session()
        return UpdateSession(self._id(), session, members, unset, version, self._of((2, 30, 30)), self._now, IDLE)

    def _end(self) -> Request:
        ends: tuple[Request, ...] = (
            EndSession(self._id(), self._session(), self._of((None, *USERS))),
            EndSessions(self._id(), self._of(USERS), self._of((None, self._session()))),
            Sweep(self._id(), self._now, IDLE),
        )
        return self._of(ends)

    def _touch(self) -> Request:
        at = self._now - self._of((0.0, 5.0))
        session, name, token = self._session(), self._of(NAMES), self._of(IDS)
        return Touch(self._id(), IDLE, ((session, at),), ((name, at),), ((token, at),))

    def _revoke(self) -> Request:
        row = RevocationRow(self._of(USERS), self._now - self._of((0.0, 5.0)), self._now)
        return AddRevocation(self._id(), row, self._of((1, 2, 9)))

    def _look_up(self) -> Request:
        return self._of(
            (
                FindUser(self._of(NAMES)),
                FindToken(self._of(DIGESTS)),
                FindSession(self._session(), self._now, IDLE),
                *self.lists(),
            )
        )

    def lists(self) -> tuple[Request, ...]:
        """Requests that list rows."""
        after, limit = self._of(AFTER), self._of((1, 2, 9))
        return (
            ListUsers(after, limit),
            ListTokens(self._of(NAMES), after, limit),
            ListSessions(self._of(USERS), self._now, IDLE, after, limit),
            ListRevocations(),
        )


def session_of(id: str, secret: str) -> AddSession:
    """A session of ada with this secret."""
    row = SessionRow(
        id=id, identity=Identity("ada"), current=digest(secret), created_at=0.0, used_at=0.0, ends_at=LIFETIME
    )
    return AddSession("0" * 32, row, 1_000, 1_000, 0.0, IDLE)


def _made_with(request: AddSession, token: str) -> AddSession:
    """The same session, made with a token."""
    return replace(request, row=replace(request.row, identity=replace(request.row.identity, token=token)))


def script() -> list[Request]:
    """Requests in which each rule counts once."""
    ada, bob = UserRow(user="ada", password="hash", created_at=0.0), UserRow(user="bob", created_at=0.0)
    of_ada = [session_of(id, id) for id in "abcd"]
    token = TokenRow(id="a", user="ada", digest=DIGESTS[0], created_at=0.0, expires_at=20.0)
    fresh = [digest(f"fresh {number}") for number in range(4)]
    a = digest("a")
    requests: list[Request] = [
        *(AddUser("1", ada, 9), AddUser("2", bob, 2), AddUser("3", ada, 9)),
        *(AddToken("4", token, 1), AddToken("5", replace(token, id="b", digest=DIGESTS[1]), 1), FindToken(DIGESTS[0])),
        *of_ada,
        *(UseSession("6", "a", a, 0.0, IDLE), ResumeSession("7", "a", a, fresh[0], 1.0, IDLE)),
        *(UseSession("8", "a", a, 1.0, IDLE), ResumeSession("9", "a", a, fresh[1], 2.0, IDLE)),
        *(UseSession("a", "a", fresh[1], 3.0, IDLE), FindSession("a", 3.0, IDLE), UseSession("b", "a", a, 3.0, IDLE)),
        *(FindSession("a", 3.0, IDLE), EndSessions("c", ("", "ada"), "c"), FindSession("c", 3.0, IDLE)),
        *of_ada[:2],
        *(Touch("d", IDLE, (("b", 15.0),), (("ada", 15.0),), (("a", 15.0),)), FindSession("b", 15.0, IDLE)),
        *(replace(of_ada[3], most_per_user=3, now=15.0), ListSessions(("", "ada"), 15.0, IDLE), FindUser("ada")),
        *(replace(session_of("e", "e"), replaces="c"), replace(session_of("h", "h"), replaces="e")),
        *(UseSession("x", "h", digest("h"), 15.0, IDLE), FindSession("c", 15.0, IDLE), FindSession("e", 15.0, IDLE)),
        *(replace(session_of("e", "e"), replaces="h"), EndSession("v", "h"), ListTokens("ada")),
        *(UpdateSession("e", "b", b'{"a":1,"b":2}', (), 1, 99, 16.0, IDLE), FindSession("b", 16.0, IDLE)),
        *(UpdateSession("f", "b", b"{}", ("a",), 1, 99, 16.0, IDLE), FindSession("b", 16.0, IDLE)),
        *(UpdateSession("g", "b", b"{}", ("a",), 2, 6, 16.0, IDLE), FindSession("b", 16.0, IDLE)),
        *(ChangeUser("h", "ada", password="other", but="b"), ListSessions(("", "ada"), 16.0, IDLE), FindUser("ada")),
        *(ChangeUser("i", "ada", profile=b"{}", if_version=1), ChangeUser("j", "ada", profile=b"{}", if_version=2)),
        *(FindUser("ada"), ListUsers("ada", 9), ListUsers("", 1), EndSession("k", "b", ("", "bob"))),
        *(FindSession("b", 54.9, IDLE), Sweep("l", 54.9, IDLE), FindSession("b", 55.0, IDLE), Sweep("m", 55.0, IDLE)),
        *(AddToken("n", replace(token, id="c", digest=DIGESTS[2], created_at=20.0), 1), FindToken(DIGESTS[0])),
        *(
            _made_with(session_of("f", "f"), "c"),
            session_of("g", "g"),
            RemoveToken("o", "c", "bob"),
            FindToken(DIGESTS[2]),
        ),
        *(RemoveToken("w", "c", "ada"), FindSession("f", 0.0, IDLE), FindSession("g", 0.0, IDLE)),
        *(RemoveUser("u", "ada", 1), RemoveUser("p", "ada"), FindToken(DIGESTS[2])),
        *(FindSession("f", 0.0, IDLE), FindUser("ada")),
        *(AddRevocation("q", RevocationRow(user, 5.0, 6.0), 2) for user in USERS),
        *(ListRevocations(), AddRevocation("r", RevocationRow(USERS[1], 4.0, 7.0), 2), ListRevocations()),
    ]
    return requests


def everything() -> list[Request]:
    """Look-ups that see every row of the small world."""
    users = [FindUser(name) for name in NAMES]
    tokens = [FindToken(each) for each in DIGESTS]
    sessions = [FindSession(id, 0.0, IDLE) for id in IDS]
    return [*users, *tokens, *sessions, ListRevocations()]
