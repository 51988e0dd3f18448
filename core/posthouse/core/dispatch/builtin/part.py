"""The base of one prefix of built-in methods: its declaration, and the tables that its methods work with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from msgspec import Struct
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import Delivery
from posthouse.core.dispatch.logins import Logins
from posthouse.core.dispatch.procedures import Procedures, Steps
from posthouse.core.dispatch.resumptions import Resumptions
from posthouse.core.dispatch.session_calls import SessionCalls
from posthouse.core.dispatch.tokens import Tokens
from posthouse.core.dispatch.users import Users
from posthouse.core.service.service import Service
from posthouse.core.topics.topics import Topics
from posthouse.core.values.peers import CallId
from posthouse.core.values.shared import Shared


class Tables(Struct, eq=False):
    """The tables that built-in methods read and change. `schemes`: what authenticators take, by the scheme that
    they read. `has_sessions`: the service has sessions. `document` is the OpenRPC document of the service."""

    shared: Shared
    connections: Connections
    delivery: Delivery
    calls: Calls
    outcomes: Outcomes
    logins: Logins
    sessions: SessionCalls
    resumptions: Resumptions
    procedures: Procedures
    users: Users
    tokens: Tokens
    topics: Topics
    schemes: dict[str, type] = {}
    has_sessions: bool = False
    document: dict[str, Any] = {}


class Declared(Struct, frozen=True):
    """Whether a built-in method is public and which scopes it requires, unless the service says otherwise. `public`
    None: as the service is. `changes`: it may change the identity or the session of its caller. `later`: it may answer
    later."""

    public: bool | None
    scopes: tuple[str, ...] = ()
    changes: bool = False
    later: bool = False


class Part:
    """The methods of one prefix. `declared`: the functions that peers may call, by their names without the prefix.
    While a method runs, `caller` is its caller and `now` the time; if it runs as a call, `call` is its number."""

    prefix: ClassVar[str]
    declared: ClassVar[dict[str, Declared]]

    @classmethod
    def enabled(cls, service: Service) -> bool:
        """Has a gateway of this service these methods?"""
        return True

    @classmethod
    def offered(cls, service: Service) -> Mapping[str, Declared]:
        """The methods that a gateway of this service has, if it has any."""
        return cls.declared

    @classmethod
    def variant(cls, function: str, service: Service) -> tuple[str, dict[str, Any]]:
        """The function behind a name, and the annotations that this service gives to its parameters."""
        return function, {}

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.caller: Connection
        self.call = CallId(0)
        self.now = 0.0

    def begin(self, steps: Steps) -> Any:
        """Begin a procedure for this call. Returns its result, or raises Later or RpcError."""
        return self.tables.procedures.run(self.caller, self.call, steps, self.now)
