"""Rows and requests for the tests of the store."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from posthouse.core.store.outcomes import Done
from posthouse.core.store.requests import AddSession, ResumeSession, SessionAdded, UpdateSession, UseSession
from posthouse.core.store.rows import SessionRow, TokenRow, UserRow
from posthouse.core.values.peers import Identity

IDLE = 100.0


def digest(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def user(name: str = "ada", **members: Any) -> UserRow:
    return UserRow(user=name, **{"created_at": 0.0, **members})


def token(id: str = "t", name: str = "ada", **members: Any) -> TokenRow:
    return TokenRow(id=id, user=name, **{"digest": digest(id), "created_at": 0.0, **members})


def session(id: str = "s", name: str | None = "ada", **members: Any) -> SessionRow:
    given = {"current": digest("one"), "created_at": 0.0, "used_at": 0.0, "ends_at": 1000.0, **members}
    return SessionRow(id=id, identity=Identity(name), **given)


def add(row: SessionRow, now: float = 0.0, **members: Any) -> AddSession:
    return AddSession("w", row, **{"most": 1000, "most_per_user": 100, "now": now, "idle": IDLE, **members})


def added(row: SessionRow, *ended: str) -> Done:
    return Done(SessionAdded(row, ended))


def resume(secret: str, fresh: str, now: float = 1.0, id: str = "s") -> ResumeSession:
    return ResumeSession("w", id, digest(secret), digest(fresh), now, IDLE)


def use(secret: str, now: float = 1.0, id: str = "s") -> UseSession:
    return UseSession("w", id, digest(secret), now, IDLE)


def update(
    set: bytes = b"{}", *unset: str, version: int | None = None, most: int = 100, now: float = 1.0, id: str = "s"
) -> UpdateSession:
    return UpdateSession("w", id, set, unset, version, most, now, IDLE)
