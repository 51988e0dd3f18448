"""`session.*`: the state of a user that outlives its connections. Only if the service has sessions."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import json
from posthouse.core.dispatch.resumptions import Resumption
from posthouse.core.dispatch.session_calls import Changes
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
        opened: SessionOpened = self.begin(self.tables.sessions.create(self.caller, data or {}, self.now))
        return opened

    def resume(self, session: str, secret: str, replaces: str | None = None) -> SessionOpened:
        """Attach this connection to a session, as its user. The answer has a new secret; the old one works until the
        new one is used. `replaces`: the id of a connection of the session that is closed for this one (4409)."""
        given = Resumption(session, secret, replaces)
        opened: SessionOpened = self.begin(self.tables.resumptions.resume(self.caller, self.call, given, self.now))
        return opened

    def get(self) -> SessionInfo:
        """Describe the session of this connection."""
        info: SessionInfo = self.begin(self.tables.sessions.get(self.caller, self.now))
        return info

    def update(
        self, set: dict[str, Any] | None = None, unset: list[str] | None = None, version: int | None = None
    ) -> SessionVersion:
        """Change the data of the session of this connection: `set` members, and remove those that `unset` names. With
        `version`, only if the data has this version."""
        changes = Changes(json.encode(set or {}), tuple(unset or ()), version)
        changed: SessionVersion = self.begin(self.tables.sessions.update(self.caller, changes, self.now))
        return changed

    def end(self, session: str | None = None) -> SessionGone:
        """End a session of this user: that of this connection, or another one; with the scope `users`, that of anybody.
        Other connections that belong to it are closed (4410)."""
        gone: SessionGone = self.begin(self.tables.sessions.end(self.caller, session, self.now))
        return gone

    def list(self, user: str | None = None, after: str = "") -> SessionList:
        """The sessions of this user, a page of 100 by id; with the scope `users`, those of another `user`. `after`: the
        last id of the page before."""
        page: SessionList = self.begin(self.tables.sessions.page(self.caller, user, after, self.now))
        return page
