"""Stores: what keeps users, tokens and sessions beyond the life of a process; and all that one needs to write another.

A store performs the requests of the core, and applies the core's rules inside its own transactions. This folder knows
no server and no gateway. `testing` is the conformance kit.
"""

from __future__ import annotations

from posthouse.core.operations.operations import Busy, Failed, Refused
from posthouse.core.store.outcomes import Done, MaybeApplied, StoreOutcome
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
    Read,
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
    Write,
)
from posthouse.core.store.rows import RevocationRow, SessionRow, TokenRow, UserRow
from posthouse.core.store.rules import (
    change,
    evicted_first,
    expired,
    later,
    renewed,
    replaced,
    resume,
    touch_session,
    touch_token,
    touch_user,
    update,
    use,
)

from .memory import Fault, FaultyStore
from .sqlite.store import SqliteStore
from .store import Store

__all__ = [
    "AddRevocation",
    "AddSession",
    "AddToken",
    "AddUser",
    "Busy",
    "ChangeUser",
    "Done",
    "EndSession",
    "EndSessions",
    "Failed",
    "Fault",
    "FaultyStore",
    "FindSession",
    "FindToken",
    "FindUser",
    "ListRevocations",
    "ListSessions",
    "ListTokens",
    "ListUsers",
    "MaybeApplied",
    "Read",
    "Refused",
    "RemoveToken",
    "RemoveUser",
    "Request",
    "ResumeSession",
    "RevocationRow",
    "SessionAdded",
    "SessionRow",
    "SqliteStore",
    "Store",
    "StoreOutcome",
    "Sweep",
    "TokenRemoved",
    "TokenRow",
    "Touch",
    "UpdateSession",
    "UseSession",
    "UserChanged",
    "UserRow",
    "Write",
    "change",
    "evicted_first",
    "expired",
    "later",
    "renewed",
    "replaced",
    "resume",
    "touch_session",
    "touch_token",
    "touch_user",
    "update",
    "use",
]
