"""The procedures of `user.*`: each asks the store, and lets live connections follow."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct, json
from posthouse.core.connections.connections import Connection
from posthouse.core.identity.authorization import check_expiry
from posthouse.core.store.outcomes import EXISTS, NO_ROOM, OTHER_VERSION, UNKNOWN, Done, value_of
from posthouse.core.store.requests import PAGE, AddUser, ChangeUser, FindUser, ListUsers, RemoveUser
from posthouse.core.store.rows import NO_PROFILE, UserRow
from posthouse.core.values.effects import Emit
from posthouse.core.values.errors import FORBIDDEN, SERVER_BUSY, RpcError, refusal
from posthouse.core.values.lifecycle import UserChange, UserChanged, UserRegistered, UserRemoved
from posthouse.core.values.peers import Address, CallId, ConnectionId, Kind

from .accounts import CHANGED, NO_SUCH_USER, Accounts, Check, NewHash, maybe_applied, user_of_hash, wrong
from .procedures import Reply, Steps


class Account(Struct, frozen=True, omit_defaults=True):
    """A user of the store. Times are Unix seconds; `seen_at` is missing for a user that was never seen, `profile` for
    one without a profile. `durable` says where a change is kept, if this was one; `session_ended`, that the session of
    the caller's connection has ended with it."""

    user: str
    scopes: tuple[str, ...]
    disabled: bool
    created_at: float
    seen_at: float | None = None
    profile: Any = None
    durable: str = ""
    session_ended: bool = False


class UserList(Struct, frozen=True, omit_defaults=True):
    """A page of users, by name. `next`: there may be more behind this name."""

    users: tuple[Account, ...]
    next: str = ""


class Removed(Struct, frozen=True):
    """The user is removed, with its tokens and its sessions. `durable` says where that is kept."""

    durable: str


class Users:
    """Begins the procedures of `user.*`."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._shared = accounts.shared
        self._outbox = accounts.shared.outbox

    # Anyone, and oneself

    def register(self, connection: Connection, user: str, password: str, profile: object, now: float) -> Steps:
        """Make a user. Its name is taken when the store says so: until then, it costs as much as one that is free."""
        accounts = self._accounts
        accounts.check_name(user, "user")
        accounts.check_new_password(password, "password")
        text_of_profile = NO_PROFILE if profile is UNSET else accounts.profile(profile)
        if not accounts.is_admin(connection):
            accounts.charge_registration(connection, now)
        reply: Reply = yield NewHash(password)
        text = accounts.hash_of(reply.outcome)
        row = UserRow(
            user=user,
            password=text,
            profile=text_of_profile,
            created_at=self._shared.timestamp(reply.now),
        )
        reply = yield AddUser(accounts.storage.new_write_id(), row, accounts.config.max_users)
        taken, full = wrong("user", "the name is taken"), refusal(SERVER_BUSY, limit="max_users")
        value_of(reply.outcome, **{EXISTS.why: taken, NO_ROOM.why: full})
        self._outbox.append(Emit(UserRegistered(*_about(connection), user, connection.identity.user, reply.now)))
        return self._account(row, durable=True)

    def me(self, connection: Connection, now: float) -> Steps:
        """Describe the caller."""
        accounts = self._accounts
        reply: Reply = yield FindUser(accounts.own_user(connection, now))
        row = value_of(reply.outcome)
        if row is None:
            raise RpcError(FORBIDDEN, data={"reason": NO_SUCH_USER})
        return self._account(row)

    def update(self, connection: Connection, profile: object, now: float) -> Steps:
        """Change the profile of the caller."""
        accounts = self._accounts
        text, user = accounts.profile(profile), accounts.own_user(connection, now)
        reply: Reply = yield ChangeUser(accounts.storage.new_write_id(), user, profile=text)
        return self._changed(connection, user, "profile", reply)

    def password(self, connection: Connection, old: str | None, new: str, user: str | None, now: float) -> Steps:
        """Change a password: one's own, if the `old` one is right; that of another `user`, without it. All other
        connections, log-ins and all sessions of the user end."""
        accounts = self._accounts
        accounts.check_new_password(new, "new")
        user = accounts.user_to_change(connection, user, "old", old, now)
        if old is not None:
            reply: Reply = yield Check(user, old)
            accounts.check_password(connection, user, reply.outcome, reply.now)
            version = None
        else:
            version = yield from accounts.reach(connection.identity, user)
        reply = yield NewHash(new, user_of_hash(user))
        text = accounts.hash_of(reply.outcome)
        own = connection if connection.identity.key == ("", user) else None
        reply = yield ChangeUser(accounts.storage.new_write_id(), user, password=text, if_version=version)
        had_session = own is not None and own.session is not None
        if maybe_applied(reply.outcome):
            accounts.revoke(("", user), own, reply.now)
        return self._changed(connection, user, "password", reply, session_ended=had_session)

    def remove(self, connection: Connection, call: CallId, password: str | None, user: str | None, now: float) -> Steps:
        """Remove a user: oneself, if the password is right; another one, without it."""
        accounts = self._accounts
        user = accounts.user_to_change(connection, user, "password", password, now)
        version = None
        if password is not None:
            reply: Reply = yield Check(user, password)
            accounts.check_password(connection, user, reply.outcome, reply.now)
        else:
            version = yield from accounts.reach(connection.identity, user)
        by = connection.identity.user
        reply = yield RemoveUser(accounts.storage.new_write_id(), user, version)
        if maybe_applied(reply.outcome):
            accounts.lock_out(user, connection, call, reply.now)
            certain = isinstance(reply.outcome, Done)
            self._outbox.append(Emit(UserRemoved(*_about(connection), user, by, reply.now, certain)))
        value_of(reply.outcome, **{UNKNOWN.why: wrong("user", NO_SUCH_USER), OTHER_VERSION.why: CHANGED})
        return Removed(accounts.storage.durability)

    # Those who may change others

    def page(self, after: str) -> Steps:
        """A page of users."""
        reply: Reply = yield ListUsers(after)
        rows = value_of(reply.outcome)
        following = rows[-1].user if len(rows) == PAGE else ""
        return UserList(tuple(self._account(row) for row in rows), following)

    def disable(self, connection: Connection, call: CallId, user: str, now: float, *, disabled: bool) -> Steps:
        """Disable a user, or enable it again."""
        accounts, by = self._accounts, connection.identity.user
        check_expiry(connection.identity, self._shared, now)
        version = yield from accounts.reach(connection.identity, user)
        change = ChangeUser(accounts.storage.new_write_id(), user, disabled=disabled, if_version=version)
        reply: Reply = yield change
        if disabled and maybe_applied(reply.outcome):
            accounts.lock_out(user, connection, call, reply.now)
        return self._changed(connection, user, "disabled" if disabled else "enabled", reply, by)

    def scopes(self, connection: Connection, user: str, scopes: tuple[str, ...], now: float) -> Steps:
        """Give a user these scopes alone: those of the caller, unless it has every scope."""
        accounts, by = self._accounts, connection.identity.user
        check_expiry(connection.identity, self._shared, now)
        given = accounts.scopes(scopes)
        accounts.check_gives(connection.identity, given)
        version = yield from accounts.reach(connection.identity, user)
        own = connection if connection.identity.key == ("", user) else None
        reply: Reply = yield ChangeUser(accounts.storage.new_write_id(), user, scopes=given, if_version=version)
        had_session = own is not None and own.session is not None
        if maybe_applied(reply.outcome):
            accounts.narrow(("", user), given, own, reply.now)
        return self._changed(connection, user, "scopes", reply, by, session_ended=had_session)

    # What the store has said

    def _changed(
        self,
        connection: Connection,
        user: str,
        change: UserChange,
        reply: Reply,
        by: str | None = None,
        *,
        session_ended: bool = False,
    ) -> Account:
        if maybe_applied(reply.outcome):
            certain = isinstance(reply.outcome, Done)
            by = connection.identity.user if by is None else by
            self._outbox.append(Emit(UserChanged(*_about(connection), user, change, by, reply.now, certain)))
        refusals = {UNKNOWN.why: wrong("user", NO_SUCH_USER), OTHER_VERSION.why: CHANGED}
        changed = value_of(reply.outcome, **refusals)
        return self._account(changed.row, durable=True, session_ended=session_ended)

    def _account(self, row: UserRow, *, durable: bool = False, session_ended: bool = False) -> Account:
        where = self._accounts.storage.durability if durable else ""
        profile = json.decode(row.profile)
        return Account(row.user, row.scopes, row.disabled, row.created_at, row.seen_at, profile, where, session_ended)


def _about(connection: Connection) -> tuple[ConnectionId, str, Kind, Address]:
    """The connection, as events tell of it."""
    return connection.id, connection.public_id, connection.peer.kind, connection.peer.address
