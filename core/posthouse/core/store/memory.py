"""A store in memory. It answers at once, and keeps its rows for one process's life."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush
from itertools import islice, takewhile
from typing import Any, Final

from posthouse.core.operations.operations import Refused
from posthouse.core.values.peers import UserKey

from .nobodys import MOST_ENDED, Nobodys
from .outcomes import EXISTS, NO_ROOM, OTHER_VERSION, STOLEN, UNKNOWN, Done
from .requests import (
    PAGE,
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
from .rows import RevocationRow, SessionRow, TokenRow, UserRow
from .rules import (
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

Rule = Callable[[SessionRow | None, Any], tuple[SessionRow | None, Done | Refused]]


def _has_expired(row: TokenRow, now: float) -> bool:
    return row.expires_at is not None and row.expires_at <= now


def uncounted(size: int) -> None:
    """Count the bytes of no rows."""


class MemoryStore:
    """Performs requests at once. `hold` is told how many more bytes the rows take (fewer, if it is negative).

    `users` by name, `tokens` by id, `revocations` by user; `sessions` by id, the one that was used the longest time ago
    first. `by_user` has the ids of the sessions of each user. The heap `_ends` tells when each session ends at the
    latest; it may still name some that have ended.
    """

    durability: Final = "memory"

    def __init__(self, hold: Callable[[int], None] = uncounted) -> None:
        self._hold = hold
        self.users: dict[str, UserRow] = {}
        self.tokens: dict[str, TokenRow] = {}
        self.sessions: OrderedDict[str, SessionRow] = OrderedDict()
        self.by_user: dict[UserKey, dict[str, None]] = {}
        self.revocations: dict[UserKey, RevocationRow] = {}
        self._names: list[str] = []
        self.of_nobody = Nobodys()
        self._ends: list[tuple[float, str]] = []
        self._by_digest: dict[bytes, str] = {}
        self._tokens_of: dict[str, dict[str, None]] = {}
        self._performers: Final[dict[type, Callable[[Any], Done | Refused]]] = {
            AddUser: self._add_user,
            FindUser: lambda request: Done(self.users.get(request.user)),
            ChangeUser: self._change_user,
            RemoveUser: self._remove_user,
            ListUsers: self._list_users,
            AddToken: self._add_token,
            FindToken: self._find_token,
            ListTokens: self._list_tokens,
            RemoveToken: self._remove_token,
            AddSession: self._add_session,
            FindSession: self._find_session,
            UseSession: lambda request: self._apply(use, request),
            ResumeSession: lambda request: self._apply(resume, request),
            UpdateSession: lambda request: self._apply(update, request),
            EndSession: self._end_session,
            EndSessions: lambda request: Done(self._end_all(request.user, request.but)),
            ListSessions: self._list_sessions,
            Sweep: lambda request: Done(self._end_these(self._overdue(request.now, request.idle, request.limit))),
            Touch: self._touch,
            AddRevocation: self._add_revocation,
            ListRevocations: lambda _: Done(tuple(self.revocations.values())),
        }

    def perform(self, request: Request) -> Done | Refused:
        """Read or change rows: all of a request, or nothing."""
        return self._performers[type(request)](request)

    # Users

    def _add_user(self, request: AddUser) -> Done | Refused:
        row = request.row
        if row.user in self.users:
            return EXISTS
        if len(self.users) >= request.most:
            return NO_ROOM
        self._hold(row.size)
        self.users[row.user] = row
        insort(self._names, row.user)
        return Done()

    def _change_user(self, request: ChangeUser) -> Done | Refused:
        row, ends, refused = change(self.users.get(request.user), request)
        if row is None or refused is not None:
            return refused or UNKNOWN
        self._put_user(row)
        return Done(UserChanged(row, self._end_all(("", row.user), request.but) if ends else ()))

    def _put_user(self, row: UserRow) -> None:
        self._hold(row.size - self.users[row.user].size)
        self.users[row.user] = row

    def _remove_user(self, request: RemoveUser) -> Done | Refused:
        row = self.users.get(request.user)
        if row is None:
            return UNKNOWN
        if request.if_version not in (None, row.version):
            return OTHER_VERSION
        del self.users[row.user]
        self._hold(-row.size)
        del self._names[bisect_left(self._names, row.user)]
        for token in tuple(self._tokens_of.get(row.user, ())):
            self._drop_token(token)
        return Done(UserChanged(row, self._end_all(("", row.user), None)))

    def _list_users(self, request: ListUsers) -> Done:
        first = bisect_right(self._names, request.after)
        return Done(tuple(self.users[name] for name in self._names[first : first + request.limit]))

    # Tokens

    def _add_token(self, request: AddToken) -> Done | Refused:
        row = request.row
        if row.user not in self.users:
            return UNKNOWN
        if row.id in self.tokens or row.digest in self._by_digest:
            return EXISTS
        own = self._tokens_of.get(row.user, {})
        over = [token for token in own if _has_expired(self.tokens[token], row.created_at)]
        if len(own) - len(over) >= request.most:
            return NO_ROOM
        for token in over:
            self._drop_token(token)
        self._hold(row.size)
        self.tokens[row.id] = row
        self._by_digest[row.digest] = row.id
        self._tokens_of.setdefault(row.user, {})[row.id] = None
        return Done()

    def _find_token(self, request: FindToken) -> Done:
        token = self._by_digest.get(request.digest)
        if token is None:
            return Done()
        row = self.tokens[token]
        return Done((row, self.users[row.user]))

    def _list_tokens(self, request: ListTokens) -> Done:
        ids = sorted(token for token in self._tokens_of.get(request.user, ()) if token > request.after)
        return Done(tuple(self.tokens[token] for token in ids[: request.limit]))

    def _remove_token(self, request: RemoveToken) -> Done:
        row = self.tokens.get(request.token)
        if row is None or request.user not in (None, row.user):
            return Done()
        self._drop_token(row.id)
        own = self.by_user.get(("", row.user), ())
        made = sorted(session for session in own if self.sessions[session].identity.token == row.id)
        return Done(TokenRemoved(row, self._end_these(made)))

    def _drop_token(self, token: str) -> None:
        row = self.tokens.pop(token)
        self._hold(-row.size)
        del self._by_digest[row.digest]
        own = self._tokens_of[row.user]
        del own[token]
        if not own:
            del self._tokens_of[row.user]

    # Sessions

    def _add_session(self, request: AddSession) -> Done | Refused:
        row, user = request.row, request.row.user
        if row.id in self.sessions:
            return EXISTS
        old = None if request.replaces is None else self.sessions.get(request.replaces)
        stays = None if old is None else old.id
        counted, ended = len(self.sessions) - (old is not None), list[str]()
        if counted >= request.most:
            overdue = self._overdue(request.now, request.idle, PAGE)
            ended += [session for session in overdue if session != stays]
        over, nobodys = counted - len(ended) - request.most + 1, self.of_nobody.used_at
        if over > min(PAGE, len(nobodys) - sum(session in nobodys for session in (*ended, stays))):
            return NO_ROOM
        self._end_these(ended)
        for _ in range(over):
            unowned = self.of_nobody.first(but=stays)
            assert unowned is not None
            ended.append(unowned)
            self._end(unowned)
        owned = () if user is None else self.by_user.get(user, ())
        own = [self.sessions[session] for session in owned if session != stays]
        if len(own) >= request.most_per_user:
            first = min(own, key=lambda each: evicted_first(each, request.now))
            ended.append(first.id)
            self._end(first.id)
        row = renewed(row, old, request)
        self._hold(row.size)
        self.sessions[row.id] = row
        heappush(self._ends, (row.ends_at, row.id))
        if user is None:
            self.of_nobody.put(row, None)
        else:
            self.by_user.setdefault(user, {})[row.id] = None
        return Done(SessionAdded(row, tuple(ended)))

    def _find_session(self, request: FindSession) -> Done:
        row = self.sessions.get(request.session)
        return Done(None if row is None or expired(row, request.now, request.idle) else row)

    def _apply(self, rule: Rule, request: UseSession | ResumeSession | UpdateSession) -> Done | Refused:
        was = self.sessions.get(request.session)
        row, outcome = rule(was, request)
        if was is not None and row is not None:
            self._put_session(row)
            self._end_these(session for session in replaced(was, row) if session in self.sessions)
        elif outcome is STOLEN:
            self._end(request.session)
        return outcome

    def _put_session(self, row: SessionRow) -> None:
        was = self.sessions[row.id]
        if row is was:
            return
        self._hold(row.size - was.size)
        self.sessions[row.id] = row
        if row.user is None:
            self.of_nobody.put(row, was)
        if row.used_at != was.used_at:
            self.sessions.move_to_end(row.id)

    def _end_session(self, request: EndSession) -> Done:
        row = self.sessions.get(request.session)
        if row is None or request.user not in (None, row.user):
            return Done(False)
        self._end(row.id)
        return Done(True)

    def _end(self, session: str) -> None:
        row = self.sessions.pop(session)
        self._hold(-row.size)
        if not self.sessions or len(self._ends) > 2 * len(self.sessions) + MOST_ENDED:
            self._ends = [(each.ends_at, each.id) for each in self.sessions.values()]
            heapify(self._ends)
        user = row.user
        if user is None:
            self.of_nobody.remove(row)
        else:
            own = self.by_user[user]
            del own[session]
            if not own:
                del self.by_user[user]

    def _end_these(self, sessions: Iterable[str]) -> tuple[str, ...]:
        ended = tuple(sessions)
        for session in ended:
            self._end(session)
        return ended

    def _end_all(self, user: UserKey, but: str | None) -> tuple[str, ...]:
        return self._end_these(sorted(session for session in self.by_user.get(user, ()) if session != but))

    def _list_sessions(self, request: ListSessions) -> Done:
        ids = sorted(session for session in self.by_user.get(request.user, ()) if session > request.after)
        rows = (self.sessions[session] for session in ids)
        found = (row for row in rows if not expired(row, request.now, request.idle))
        return Done(tuple(islice(found, request.limit)))

    def _overdue(self, now: float, idle: float, limit: int) -> list[str]:
        """The first sessions that have expired, in the order of their ids. All sessions may be unused for the same
        time: those that are idle come first in the order of their use."""
        over = takewhile(lambda session: expired(self.sessions[session], now, idle), self.sessions)
        found = dict.fromkeys(islice(over, limit))
        past: list[tuple[float, str]] = []
        while self._ends and len(past) < limit and self._ends[0][0] <= now:
            end = heappop(self._ends)
            row = self.sessions.get(end[1])
            if row is not None and row.ends_at == end[0] and past[-1:] != [end]:
                past.append(end)
                found[row.id] = None
        for end in past:
            heappush(self._ends, end)
        return sorted(found)[:limit]

    # Activity and revocations

    def _touch(self, request: Touch) -> Done:
        for session, at in request.sessions:
            row = self.sessions.get(session)
            if row is not None and not expired(row, at, request.idle):
                self._put_session(touch_session(row, at, request.idle))
        for name, at in request.users:
            if name in self.users:
                self.users[name] = touch_user(self.users[name], at)
        for token, at in request.tokens:
            if token in self.tokens:
                self.tokens[token] = touch_token(self.tokens[token], at)
        return Done()

    def _add_revocation(self, request: AddRevocation) -> Done:
        row = later(request.row, self.revocations.pop(request.row.user, None))
        while len(self.revocations) >= request.most:
            del self.revocations[next(iter(self.revocations))]
        self.revocations[row.user] = row
        return Done()
