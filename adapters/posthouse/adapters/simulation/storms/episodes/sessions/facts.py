"""What the callers of an episode were told of their sessions. Nothing else counts as known.

A secret is told to one caller. An update that was acknowledged is there from then on, and an update that nobody has
made is not. Of those who replace one connection, one wins.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct, field
from posthouse.adapters.invariants import must
from posthouse.core.values.peers import ConnectionId

GONE: Final = {"code": -32040, "message": "Unknown or expired session"}
"""The one answer about sessions that are unknown, have expired, or are another user's."""


class Known(Struct, eq=False):
    """One session. `secrets`: those that were told, the newest last. `changed`: the versions that acknowledged changes
    have made, with their steps. `over`: the step in which somebody was told that it has ended. `used`: the steps in
    which a caller was told that each secret counts. `winners`: who has replaced each connection."""

    id: str
    user: str | None
    secrets: list[str]
    changed: dict[int, int] = field(default_factory=dict)
    over: int | None = None
    used: dict[str, int] = field(default_factory=dict)
    winners: dict[str, ConnectionId] = field(default_factory=dict)


class Facts:
    """The sessions that were told of, by their ids. `secrets`: all of them, with the step in which each was told.
    `members`: what updates have set in each session, with the step of their acknowledgement (None: it may be there)."""

    def __init__(self) -> None:
        self.sessions: Final[dict[str, Known]] = {}
        self.secrets: Final[dict[str, int]] = {}
        self.members: Final[dict[str, dict[str, int | None]]] = {}
        self._removed: Final[dict[str, dict[str, None]]] = {}

    def told(self, id: str, secret: str, user: str | None, since: int, step: int) -> Known:
        """A caller was told a session, or a new secret of it. It had asked in step `since`."""
        must(secret not in self.secrets, "sessions: a secret is told twice", id)
        self.secrets[secret] = step
        known = self.sessions.get(id)
        if known is None:
            known = self.sessions[id] = Known(id, user, [])
        must(known.user == user, "sessions: a session is that of another user", id, known.user, user)
        over = known.over is not None and known.over < since
        must(not over, "sessions: a session goes on that has ended", id)
        known.secrets.append(secret)
        return known

    def used(self, id: str, secret: str, since: int, step: int) -> None:
        """A caller was told that a secret counts. It had asked in step `since`."""
        known = self.sessions.get(id)
        if known is None or secret not in known.secrets:
            return
        place = known.secrets.index(secret)
        newer = [each for each in known.secrets[place + 1 :] if known.used.get(each, since) < since]
        must(not newer, "sessions: an old secret counts although a newer one was used", id)
        known.used.setdefault(secret, step)

    def renewed(self, id: str, old: str) -> None:
        """A session takes the place of another one, with its data."""
        was, known = self.sessions.get(old), self.sessions[id]
        if was is not None and was.user in (None, known.user):
            self.asked(id, self.members.get(old, {}))

    def asked(self, session: str | None, members: dict[str, Any]) -> None:
        """Somebody asks to set these members of a session."""
        if session is not None:
            for name in members:
                self.members.setdefault(session, {}).setdefault(name, None)

    def changed(self, session: str | None, params: dict[str, Any], version: int, step: int) -> None:
        """An update was acknowledged: it has made this version."""
        known = self.sessions[session or ""]
        must(version not in known.changed, "sessions: two changes have made one version", session, version)
        asked = params.get("version")
        must(asked in (None, version - 1), "sessions: a change of another version was made", session, asked, version)
        known.changed[version] = step
        members = self.members.setdefault(known.id, {})
        members.update(dict.fromkeys(params.get("set", {}), step))

    def removes(self, session: str | None, names: list[str]) -> None:
        """Somebody asks to remove these members: they may be there, or not."""
        if session is not None:
            self._removed.setdefault(session, {}).update(dict.fromkeys(names))

    def seen(self, session: str, data: dict[str, Any], version: int, since: int) -> None:
        """A caller was told the data. It had asked in step `since`."""
        known, members = self.sessions[session], self.members.get(session, {})
        strange = [name for name in data if name not in members]
        must(not strange, "sessions: a session has data that nobody has put there", session, *strange)
        may = self._removed.get(session, {})
        sure = [name for name, at in members.items() if at is not None and at < since and name not in may]
        lost = [name for name in sure if name not in data]
        must(not lost, "sessions: a change was lost that was acknowledged", session, *lost)
        later = [each for each, at in known.changed.items() if at < since and each > version]
        must(not later, "sessions: a caller was told an earlier version", session, version, *later)

    def won(self, session: str, replaced: str, by: ConnectionId, *, there: bool) -> None:
        """A caller has replaced a connection. `there`: one that has replaced it before is still there."""
        known = self.sessions[session]
        must(not there, "sessions: two have replaced one connection", session, replaced, known.winners.get(replaced))
        known.winners[replaced] = by

    def end(self, session: str | None, step: int) -> None:
        """Somebody was told that a session has ended."""
        known = None if session is None else self.sessions.get(session)
        if known is not None and known.over is None:
            known.over = step
