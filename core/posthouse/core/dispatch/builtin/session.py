"""`session.*`: the state of a user that outlives its connections. Only if the service has sessions."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import json
from posthouse.core.dispatch.session_calls import Changes, Resumption
from posthouse.core.dispatch.session_results import (
    SessionGone,
    SessionInfo,
    SessionList,
    SessionOpened,
    SessionVersion,
)
from posthouse.core.service.service import Service

from .part import Declared, Part


class SessionMethods(Part):
    """The methods of `session.*`."""

    prefix = "session."
    declared: ClassVar[dict[str, Declared]] = {
        "create": Declared(public=None, changes=True),
        "resume": Declared(public=True, changes=True),
        "get": Declared(public=True, later=True),
        "update": Declared(public=True, later=True),
        "end": Declared(public=True, changes=True),
        "list": Declared(public=True, later=True),
    }

    @classmethod
    def enabled(cls, service: Service) -> bool:
        return service.accounts.sessions != "off"

    def create(self, data: dict[str, Any] | None = None) -> SessionOpened:
        """Make a session of this caller, to which this connection then belongs. `secret` is told this once: with it,
        other connections resume the session. `data` is an object of the client's own."""
        return self.tables.sessions.create(self.caller, self.call, data or {}, self.now)

    def resume(self, session: str, secret: str, replaces: str | None = None) -> SessionOpened:
        """Attach this connection to a session, as its user. The answer has a new secret; the old one works until the
        new one is used. `replaces`: the id of a connection of the session that is closed for this one (4409)."""
        return self.tables.sessions.resume(self.caller, self.call, Resumption(session, secret, replaces), self.now)

    def get(self) -> SessionInfo:
        """Describe the session of this connection."""
        return self.tables.sessions.get(self.caller, self.call, self.now)

    def update(
        self, set: dict[str, Any] | None = None, unset: list[str] | None = None, version: int | None = None
    ) -> SessionVersion:
        """Change the data of the session of this connection: `set` members, and remove those that `unset` names. With
        `version`, only if the data has this version."""
        changes = Changes(json.encode(set or {}), tuple(unset or ()), version)
        return self.tables.sessions.update(self.caller, self.call, changes, self.now)

    def end(self, session: str | None = None) -> SessionGone:
        """End a session of this user: that of this connection, or another one. Other connections that belong to it are
        closed (4410)."""
        return self.tables.sessions.end(self.caller, self.call, session, self.now)

    def list(self, after: str = "") -> SessionList:
        """The sessions of this user, a page of 100 by id. `after`: the last id of the page before."""
        return self.tables.sessions.list(self.caller, self.call, after, self.now)
