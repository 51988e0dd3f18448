"""A context for one handler that a test calls as a function."""

from __future__ import annotations

import pytest
from posthouse.adapters.testing import context_of
from posthouse.core import Context, Identity, Meta, RpcError, Service, UsageError

pytestmark = pytest.mark.anyio

service = Service("house", public=True)


@service.method("report.build")
async def build(context: Context[dict[str, int]], year: int) -> list[object]:
    context.progress(0.5, "half way")
    context.notify("built", {"year": year})
    name = await context.call("name", {"of": context.user}, result_type=str)
    return [name, context.state["pool"], context.method, context.headers.get("a")]


async def test_a_handler_is_called_with_a_context_that_keeps_what_it_sends() -> None:
    answer = {"name": lambda of: f"the {of}"}
    ada = Identity("ada", ("a",))
    context = context_of("report.build", identity=ada, state={"pool": 5}, headers={"a": "b"}, answer=answer)
    assert await build(context, 2026) == ["the ada", 5, "report.build", "b"]
    assert context.notifications == [("built", {"year": 2026})]
    assert context.progressed == [(0.5, "half way")]
    assert context.scopes == ("a",)


async def test_the_client_may_await_its_answer_or_have_none() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    context = context_of(answer={"add": add})
    assert await context.call("add", [1, 2]) == 3
    with pytest.raises(RpcError, match="-32601"):
        await context.call("other")


@pytest.mark.parametrize(
    ("kind", "path", "pushed"),
    [("websocket", "/ws", True), ("http", "/rpc", False), ("cli", "", True), ("local", "", False)],
)
def test_the_kind_of_the_connection_says_what_can_be_sent(kind: str, path: str, pushed: bool) -> None:
    context = context_of(kind=kind)  # type: ignore[arg-type]
    assert (context.kind, context.path, context.notify("news")) == (kind, path, pushed)


def test_all_other_facts_have_a_value() -> None:
    context = context_of(meta=Meta(timeout_ms=5), host_scope={"app": 1})
    assert (context.method, context.user, context.meta.timeout_ms) == ("test", None, 5)
    assert (context.address.host, context.public_id, context.connection, context.call_id) == ("127.0.0.1", "1", 1, 1)
    assert (context.cancelled, context.host_scope) == (False, {"app": 1})
    context.connection_state["a"] = 1
    assert context.connection_state == {"a": 1}
    with pytest.raises(UsageError, match="lifespan"):
        _ = context.state
