"""One prefix of built-in methods: its declaration, and the tables and the caller that its methods work with.

It may not know which prefixes exist.
"""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec import Struct
from posthouse.core.calls.calls import Calls
from posthouse.core.calls.outcomes import Outcomes
from posthouse.core.connections.connections import Connection, Connections
from posthouse.core.connections.delivery import Delivery
from posthouse.core.values.stats import Wall


class Tables(Struct, eq=False):
    """What built-in methods read and change. `document` is the OpenRPC document of the service."""

    wall: Wall
    connections: Connections
    delivery: Delivery
    calls: Calls
    outcomes: Outcomes
    document: dict[str, Any] = {}


class Declared(Struct, frozen=True):
    """Who may call a built-in method, unless the service says otherwise: public or not, and the scopes it asks for."""

    public: bool
    scopes: tuple[str, ...] = ()


class Part:
    """The methods of one prefix. `declared`: the functions that peers may call, by their names in the class, which are
    the names behind the prefix. While one runs, `caller` called it at `now`."""

    prefix: ClassVar[str]
    declared: ClassVar[dict[str, Declared]]

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.caller: Connection
        self.now = 0.0
