"""The context of a call, implemented as in a test of a service without a server."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, ClassVar

import pytest
from posthouse.core.service.context import AuthContext, Context, HookContext
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import NO_HEADERS, NO_META, Address, CallId, ConnectionId, Identity, Kind, Meta


class Desk(Context):
    """A context without a connection."""

    connection = ConnectionId(1)
    public_id = "one"
    kind: Kind = "cli"
    meta: Meta = NO_META
    call_id = CallId(7)
    method = "greet"
    cancelled = False
    address = Address("192.0.2.1", 5000)
    path = "/ws"
    headers: Mapping[str, str] = NO_HEADERS

    def __init__(self, identity: Identity) -> None:
        self.who = identity

    @property
    def identity(self) -> Identity:
        return self.who

    @property
    def connection_state(self) -> dict[str, Any]:
        return {}

    def notify(self, method: str, params: Any = None, *, after_reply: bool = False) -> bool:
        return False

    def progress(self, fraction: float, message: str | None = None) -> bool:
        return False

    async def call(self, method: str, params: Any = None, *, timeout: float = 30.0, result_type: Any = Any) -> Any:
        return None


def test_user_and_scopes_come_from_the_identity() -> None:
    context = Desk(Identity("ada", ("reports",)))
    assert (context.user, context.scopes) == ("ada", ("reports",))


def test_params_default_to_none_and_the_timeout_of_a_call_to_30_seconds() -> None:
    defaults = {
        name: [given.default for given in signature(method).parameters.values() if given.default is not given.empty]
        for name, method in (("notify", Context.notify), ("progress", Context.progress), ("call", Context.call))
    }
    assert defaults == {"notify": [None, False], "progress": [None], "call": [None, 30.0, Any]}


def test_a_context_must_implement_every_member() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Context()  # type: ignore[abstract]


class Bell(HookContext[str]):
    connection_state: ClassVar[dict[str, Any]] = {}

    def notify(self, method: str, params: Any = None) -> bool:
        return False


class Gate(AuthContext[str]):
    public_id = "one"
    kind: Kind = "http"
    address = Address()
    path = "/rpc"
    headers: Mapping[str, str] = NO_HEADERS


@pytest.mark.parametrize("context", [Desk(Identity()), Bell(), Gate()])
def test_without_a_lifespan_there_is_no_state_and_the_error_says_how_to_have_one(context: Any) -> None:
    with pytest.raises(UsageError, match=r"no lifespan, so there is no state: declare one with @service\.lifespan"):
        _ = context.state


def test_a_context_has_no_host_and_no_session_unless_its_server_gives_them() -> None:
    desk = Desk(Identity("ada"))
    assert desk.host_scope is None
    assert desk.session is None


def test_a_context_without_a_server_has_no_topics_to_publish_to() -> None:
    with pytest.raises(UsageError, match="no topics to publish to"):
        Desk(Identity()).publish("news", 1).send(None)
