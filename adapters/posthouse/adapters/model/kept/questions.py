"""The requests of a gateway to the store, and the calls and peers that wait for the answers."""

from __future__ import annotations

from msgspec import Struct, field
from posthouse.adapters.model.records import Connection
from posthouse.adapters.model.validity import Doubt
from posthouse.core.store.requests import Request


class Question(Struct, eq=False):
    """One request, until the store has answered it or its time is over. It is asked for a `call`; for a `change` that a
    handler has asked for; for a connection that comes with a session; or by the gateway itself (none of these).
    `replaces`: the public id of the connection that a resumption replaces. `proving`: its first question, whether the
    secret counts. `waited`: somebody waits for the answer."""

    request: Request
    deadline: float
    connection: Connection | None = None
    call: int | None = None
    change: int | None = None
    replaces: str | None = None
    proving: bool = False
    waited: bool = True
    doubt: Doubt = field(default_factory=Doubt)
