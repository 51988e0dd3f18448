"""New sessions, and what the store is asked about them."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from posthouse.core.operations.operations import Operations
from posthouse.core.sessions.requests import SessionRequests
from posthouse.core.store.requests import (
    AddSession,
    EndSession,
    FindSession,
    ListSessions,
    ResumeSession,
    UpdateSession,
    UseSession,
)
from posthouse.core.store.storage import Storage
from posthouse.core.values.peers import Identity

from tests.core.world import WALL, shared

ID, SECRET, WRITE = "A" * 22, "A" * 43, "00" * 16


def requests(**limits: Any) -> SessionRequests:
    state = shared(session_idle=50.0, **limits)
    return SessionRequests(state, Storage(state, Operations(state)))


def test_a_new_session_lives_for_its_lifetime() -> None:
    made = requests(session_lifetime=100.0).mint(Identity("ada"), b'{"a":1}', 5.0)
    row = made.row
    assert (row.id, made.secret, made.key.text) == (ID, SECRET, f"{ID}.{SECRET}")
    assert (row.identity, row.data, row.version) == (Identity("ada"), b'{"a":1}', 1)
    assert (row.created_at, row.used_at, row.ends_at) == (WALL + 5.0, WALL + 5.0, WALL + 105.0)
    assert (row.current, row.previous) == (sha256(SECRET.encode()).digest(), None)


def test_a_session_ends_with_the_identity_of_its_user() -> None:
    made = requests(session_lifetime=100.0).mint(Identity("ada", expires_at=WALL + 60.0), b"{}", 5.0)
    assert made.row.ends_at == WALL + 60.0


def test_a_repr_shows_no_secret() -> None:
    shown = repr(requests().mint(Identity("ada"), b"{}", 5.0))
    assert "secret=<hidden>" in shown
    assert SECRET not in shown


def test_secrets_come_from_a_source_of_their_own() -> None:
    asked = requests()
    assert asked.durable == "memory"
    asked.secrets = lambda size: b"\xff" * size
    made = asked.mint(Identity("ada"), b"{}", 0.0)
    assert (made.row.id, made.secret) == (ID, "_" * 42 + "8")


def test_a_session_expires_when_it_is_idle_or_ends() -> None:
    asked = requests(session_lifetime=100.0)
    row = asked.mint(Identity("ada"), b"{}", 0.0).row
    assert [asked.expires_in(row, now) for now in (0.0, 49.5, 50.0, 99.1, 100.0, 101.0)] == [50, 50, 50, 0, 0, 0]


def test_every_request_has_the_time_in_unix_seconds() -> None:
    asked = requests(max_sessions=7, max_sessions_per_user=3, max_session_bytes=9)
    made = asked.mint(Identity("ada"), b"{}", 1.0)
    at, digest, fresh = WALL + 1.0, sha256(b"old").digest(), sha256(b"new").digest()
    assert asked.add(made, 1.0) == AddSession(WRITE, made.row, 7, 3, at, 50.0)
    assert asked.add(made, 1.0, replaces="x") == AddSession(WRITE, made.row, 7, 3, at, 50.0, "x")
    assert asked.find("x", 1.0) == FindSession("x", at, 50.0)
    assert asked.use("x", "old", 1.0) == UseSession(WRITE, "x", digest, at, 50.0)
    assert asked.resume("x", "old", "new", 1.0) == ResumeSession(WRITE, "x", digest, fresh, at, 50.0)
    assert asked.update("x", b"{}", ("a",), 4, 1.0) == UpdateSession(WRITE, "x", b"{}", ("a",), 4, 9, at, 50.0)
    assert asked.end("x") == EndSession(WRITE, "x", None)
    assert asked.end("x", ("", "ada")) == EndSession(WRITE, "x", ("", "ada"))
    assert asked.list(("", "ada"), "w", 1.0) == ListSessions(("", "ada"), at, 50.0, "w")
