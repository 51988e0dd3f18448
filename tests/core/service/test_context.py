"""What a handler sees of its call, as a service that is tested without a server would supply it."""

from __future__ import annotations

from inspect import signature
from typing import Any

import pytest
from posthouse.core.service.context import Context
from posthouse.core.values.peers import NO_META, CallId, ConnectionId, Identity, Kind, Meta


class Desk(Context):
    """A context without a connection."""

    connection = ConnectionId(1)
    public_id = "one"
    kind: Kind = "cli"
    meta: Meta = NO_META
    call_id = CallId(7)
    method = "greet"
    cancelled = False

    def __init__(self, identity: Identity) -> None:
        self.who = identity

    @property
    def identity(self) -> Identity:
        return self.who

    def notify(self, method: str, params: Any = None) -> bool:
        return False

    def progress(self, fraction: float, message: str | None = None) -> bool:
        return False

    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        return None


def test_user_and_scopes_are_those_of_the_identity() -> None:
    context = Desk(Identity("ada", ("reports",)))
    assert (context.user, context.scopes) == ("ada", ("reports",))


def test_what_a_handler_leaves_out_is_nothing_and_it_waits_half_a_minute_for_any_answer() -> None:
    defaults = {
        name: [given.default for given in signature(method).parameters.values() if given.default is not given.empty]
        for name, method in (("notify", Context.notify), ("progress", Context.progress), ("call", Context.call))
    }
    assert defaults == {"notify": [None], "progress": [None], "call": [None, 30.0, Any]}


def test_a_context_must_be_supplied_whole() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Context()  # type: ignore[abstract]
