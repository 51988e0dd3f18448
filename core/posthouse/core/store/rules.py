"""The rules of the rows: pure functions from a row and a request to the row as it is afterwards, and the outcome.

Every store applies them inside its own transaction. If a function returns the same object, there is nothing to write.
A session that is unknown (None) and one that has expired lead to the same outcomes.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Raw, json
from msgspec.structs import replace
from posthouse.core.operations.operations import Refused

from .outcomes import OTHER_VERSION, STOLEN, TOO_LARGE, UNKNOWN, Done
from .requests import AddSession, ChangeUser, ResumeSession, UpdateSession, UseSession
from .rows import RevocationRow, SessionRow, TokenRow, UserRow

MOST_RETIRED: Final = 8
"""The old secrets of a session that are remembered. The use of an older one is refused as unknown."""

MOST_REPLACED: Final = 8
"""The sessions whose place one takes that are remembered: all but the last one have ended, unless the store failed."""

ACTIVITY: Final = 60.0
"""Seconds: the time of the last use is written at most so often."""

IDLE_SHARE: Final = 4
"""The time of the last use is never further behind than this part of `idle`."""

_members: Final = json.Decoder(dict[str, Raw])


# Sessions


def expired(row: SessionRow, now: float, idle: float) -> bool:
    """Has this session expired? It counts for nothing then, and is there until a sweep tells of its end."""
    return now >= row.ends_at or now >= row.used_at + idle


def evicted_first(row: SessionRow, now: float) -> tuple[bool, float, str]:
    """The order in which the sessions of a user with too many end."""
    return now < row.ends_at, row.used_at, row.id


def renewed(row: SessionRow, old: SessionRow | None, request: AddSession) -> SessionRow:
    """A new session as it is kept. `old`: the one whose place it takes, if there is one."""
    if old is None or expired(old, request.now, request.idle):
        return row
    row = replace(row, replaces=(old.id, *old.replaces)[:MOST_REPLACED])
    return replace(row, data=old.data, version=old.version) if old.user in (None, row.user) else row


def replaced(was: SessionRow, row: SessionRow) -> tuple[str, ...]:
    """The sessions that end because a session has changed so: its secret was used, and it has taken their place. They
    may have ended before."""
    return () if row.replaces else was.replaces


def resume(row: SessionRow | None, request: ResumeSession) -> tuple[SessionRow | None, Done | Refused]:
    """Use a session and rotate its secret. Its last secret still works while the newest was not used: the reply that
    told it may be lost. None: it was stolen, and has ended.

    A secret that was replaced is retired, even if it was not used: if two have resumed with the same secret, the first
    one cannot go on beside the second.
    """
    if row is None or expired(row, request.now, request.idle):
        return row, UNKNOWN
    if request.digest == row.current:
        previous, retired = row.current, _retire(row, row.previous)
    elif request.digest == row.previous:
        previous, retired = row.previous, _retire(row, row.current)
    else:
        return _refuse(row, request.digest)
    row = replace(row, current=request.fresh, previous=previous, retired=retired, used_at=max(row.used_at, request.now))
    row = _established(row)
    return row, Done(row)


def use(row: SessionRow | None, request: UseSession) -> tuple[SessionRow | None, Done | Refused]:
    """Use a session without rotation. The use of the newest secret retires the one before. None: it was stolen, and has
    ended."""
    if row is None or expired(row, request.now, request.idle):
        return row, UNKNOWN
    if request.digest == row.current:
        if row.previous is not None:
            row = replace(row, previous=None, retired=_retire(row, row.previous))
    elif request.digest != row.previous:
        return _refuse(row, request.digest)
    row = _established(touch_session(row, request.now, request.idle))
    return row, Done(row)


def _established(row: SessionRow) -> SessionRow:
    """The session, once its client has its secret: those whose place it has taken end."""
    return replace(row, replaces=()) if row.replaces else row


def _retire(row: SessionRow, secret: bytes | None) -> tuple[bytes, ...]:
    return row.retired if secret is None else (*row.retired, secret)[-MOST_RETIRED:]


def _refuse(row: SessionRow, digest: bytes) -> tuple[SessionRow | None, Refused]:
    return (None, STOLEN) if digest in row.retired else (row, UNKNOWN)


def update(row: SessionRow | None, request: UpdateSession) -> tuple[SessionRow | None, Done | Refused]:
    """Merge members into the data of a session."""
    if row is None or expired(row, request.now, request.idle):
        return row, UNKNOWN
    if request.version is not None and request.version != row.version:
        return row, OTHER_VERSION
    data = merge(row.data, request.set, request.unset)
    if len(data) > request.most_bytes:
        return row, TOO_LARGE
    row = replace(touch_session(row, request.now, request.idle), data=data, version=row.version + 1)
    return row, Done(row)


def merge(data: bytes, set: bytes, unset: tuple[str, ...]) -> bytes:
    """The JSON text of an object with other members: new ones come last, the others keep their places."""
    members = _members.decode(data) | _members.decode(set)
    for name in unset:
        members.pop(name, None)
    return json.encode(members)


# Users


def change(row: UserRow | None, request: ChangeUser) -> tuple[UserRow | None, bool, Refused | None]:
    """The user as it is afterwards, whether its sessions end, and why it is refused, if it is."""
    if row is None:
        return None, False, UNKNOWN
    if request.if_version is not None and request.if_version != row.version:
        return row, False, OTHER_VERSION
    given = {name: getattr(request, name) for name in ("password", "scopes", "disabled", "profile")}
    changes: dict[str, Any] = {
        name: value for name, value in given.items() if value is not UNSET and value != getattr(row, name)
    }
    # A password that is given again has another hash: somebody has set it.
    ends = "password" in changes or "scopes" in changes or request.disabled is True
    return replace(row, **changes, version=row.version + 1), ends, None


# Activity


def touch_session(row: SessionRow, at: float, idle: float) -> SessionRow:
    """The session, last used at this time."""
    return replace(row, used_at=at) if at - row.used_at >= min(ACTIVITY, idle / IDLE_SHARE) else row


def touch_user(row: UserRow, at: float) -> UserRow:
    """The user, last seen at this time."""
    return replace(row, seen_at=at) if row.seen_at is None or at - row.seen_at >= ACTIVITY else row


def touch_token(row: TokenRow, at: float) -> TokenRow:
    """The token, last seen at this time."""
    return replace(row, seen_at=at) if row.seen_at is None or at - row.seen_at >= ACTIVITY else row


# Revocations


def later(row: RevocationRow, known: RevocationRow | None) -> RevocationRow:
    """The newest revocation of a user: of two times before which credentials do not count, the later one counts."""
    if known is None or known.not_before <= row.not_before:
        return row
    return replace(row, not_before=known.not_before)
