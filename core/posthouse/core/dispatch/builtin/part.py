"""The base of one prefix of built-in methods: its declaration, and the tables that its methods work with."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import Delivery
from posthouse.core.values.shared import Shared


class Tables(Struct, eq=False):
    """The tables that built-in methods read and change. `document` is the OpenRPC document of the service."""

    shared: Shared
    connections: Connections
    delivery: Delivery
    calls: Calls
    outcomes: Outcomes
    document: dict[str, Any] = {}


class Declared(Struct, frozen=True):
    """Whether a built-in method is public and which scopes it requires, unless the service says otherwise."""

    public: bool
    scopes: tuple[str, ...] = ()


class Part:
    """The methods of one prefix. `declared`: the functions that peers may call, by their names without the prefix.
    While a method runs, `caller` is its caller and `now` the time."""

    prefix: ClassVar[str]
    declared: ClassVar[dict[str, Declared]]

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.caller: Connection
        self.now = 0.0
