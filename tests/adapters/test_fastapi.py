"""A service inside FastAPI: mounted, or as routes whose callers a dependency identifies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException
from posthouse.adapters.asgi import asgi
from posthouse.adapters.fastapi import include
from posthouse.core import Context, Identity, Service, UsageError
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from tests.adapters.asgi.hand import JSON, hand, living
from tests.adapters.loopback import text

pytestmark = pytest.mark.anyio

LENGTH = (b"content-length", b"100")


def shop() -> Service:
    service = Service("shop", public=True)

    @service.method
    def whoami(context: Context) -> list[Any]:
        return [context.user, context.path, context.host_scope["app"].state.name]

    return service


def with_state(app: Any) -> Any:
    app.state.name = "its state"
    return app


# Mounted


@pytest.mark.parametrize("framework", [FastAPI, Starlette])
async def test_a_mounted_service_needs_nothing_if_it_has_no_lifespan(framework: type) -> None:
    app = with_state(framework())
    app.mount("/api", asgi(shop(), allow_hosts=["testserver"]))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        for path in ("/api/rpc", "/api/"):
            answer = await client.post(path, content=text("whoami"), headers={"Content-Type": "application/json"})
            assert answer.json()["result"] == [None, path, "its state"]
        assert (await client.get("/api/health")).status_code == 200


async def test_a_mount_at_the_root_of_starlette_answers_everything() -> None:
    app = with_state(Starlette(routes=[Mount("/", asgi(shop()))]))
    async with hand(app) as server:
        assert (await server.post("whoami"))[1]["result"] == [None, "/rpc", "its state"]
        websocket = await server.opened()
        assert (await websocket.call("whoami"))["result"] == [None, "/ws", "its state"]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_each_event_loop_that_calls_the_application_has_a_server_of_its_own(backend: str) -> None:
    app = with_state(FastAPI())
    app.mount("/api", asgi(shop()))

    async def main() -> None:
        async with hand(app) as server:
            assert (await server.post("whoami", path="/api/rpc"))[1]["result"][2] == "its state"
            websocket = await server.opened("/api/ws")
            assert (await websocket.call("whoami"))["result"][1] == "/api/ws"

    for _ in range(2):
        anyio.run(main, backend=backend)


async def test_a_lifespan_composes_into_that_of_the_host() -> None:
    service = shop()

    @service.lifespan
    async def live() -> AsyncIterator[str]:
        yield "pool"

    @service.method
    def state(context: Context) -> Any:
        return context.state

    gateway = asgi(service)
    app = FastAPI(lifespan=gateway.lifespan)
    app.mount("/api", gateway)
    async with living(app) as server:
        assert (await server.post("state", path="/api/rpc"))[1]["result"] == "pool"
    forgetful = FastAPI()
    forgetful.mount("/api", asgi(service))
    async with living(forgetful) as server:
        with pytest.raises(UsageError, match="has not started"):
            await server.post("state", path="/api/rpc")


# Routes


def application(log: list[str]) -> FastAPI:
    """An application whose dependency opens something for each request and handshake."""
    app: FastAPI = with_state(FastAPI())

    def current_user(connection: HTTPConnection) -> Iterator[Identity | None]:
        name = connection.headers.get("x-user", "")
        if name == "nobody":
            raise HTTPException(403, "not you")
        log.append(f"opened for {name}")
        yield Identity(name) if name else None
        log.append(f"closed for {name}")

    include(app, shop(), "/{tenant}/call", identity=Depends(current_user))
    return app


async def test_a_dependency_identifies_the_caller_of_each_request() -> None:
    log: list[str] = []
    async with hand(application(log)) as server:
        data = text("whoami")
        fields = (JSON, (b"content-length", b"%d" % len(data)))
        status, _, body = await server.request("POST", "/a/call", data, (*fields, (b"x-user", b"ada")))
        assert (status, b'"ada","/a/call","its state"' in body) == (200, True)
        status, _, body = await server.request("POST", "/a/call", data, fields)
        assert b'[null,"/a/call"' in body
        assert log == ["opened for ada", "closed for ada", "opened for ", "closed for "]
        assert (await server.request("POST", "/a/call", data, (*fields, (b"x-user", b"nobody"))))[0] == 403
        assert (await server.request("GET", "/a/call"))[0] == 405


async def test_a_dependency_identifies_the_caller_of_a_websocket_and_ends_with_the_handshake() -> None:
    log: list[str] = []
    async with hand(application(log)) as server:
        websocket = await server.opened("/a/call", ((b"x-user", b"ada"),))
        assert log == ["opened for ada", "closed for ada"]
        assert (await websocket.call("whoami"))["result"] == ["ada", "/a/call", "its state"]
        refused = server.open("/a/call", ((b"x-user", b"nobody"),))
        start = await refused.event()
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
        await refused.end()


async def test_a_dependency_is_overridden_as_in_other_routes() -> None:
    app: FastAPI = with_state(FastAPI())

    async def current_user() -> Identity:
        raise HTTPException(401)

    async def ada() -> Identity:
        return Identity("ada")

    include(app, shop(), identity=Depends(current_user))
    app.dependency_overrides[current_user] = ada
    async with hand(app) as server:
        assert (await server.post("whoami"))[1]["result"][0] == "ada"
        websocket = await server.opened("/rpc")
        assert (await websocket.call("whoami"))["result"][0] == "ada"


async def test_a_dependency_that_returns_something_else_is_a_mistake() -> None:
    app = FastAPI()
    include(app, shop(), identity=Depends(lambda: "ada"))
    async with hand(app) as server:
        request = server.begin("POST", "/rpc", (JSON, LENGTH))
        with pytest.raises(UsageError, match="the dependency of include returned 'ada'"):
            await request.end()
        with pytest.raises(UsageError, match="the dependency of include returned 'ada'"):
            await server.open("/rpc").end()


async def test_a_page_of_an_allowed_origin_may_ask_without_credentials() -> None:
    app: FastAPI = with_state(FastAPI())

    async def nobody() -> Identity:
        raise HTTPException(401)

    include(app, asgi(shop(), allow_origins=["https://app.example"]), identity=Depends(nobody))
    async with hand(app) as server:
        page = ((b"origin", b"https://app.example"), (b"access-control-request-method", b"POST"))
        status, fields, _ = await server.request("OPTIONS", "/rpc", b"", page)
        assert (status, fields[b"access-control-allow-origin"]) == (204, b"https://app.example")


async def test_without_a_dependency_callers_authenticate_as_usual(caplog: pytest.LogCaptureFixture) -> None:
    app: FastAPI = with_state(FastAPI())
    gateway = include(app, shop())
    async with hand(app) as server:
        assert (await server.post("whoami"))[1]["result"] == [None, "/rpc", "its state"]
        with anyio.fail_after(10):
            assert await gateway.call("rpc.discover")


async def test_no_method_is_reported_as_uncallable_where_the_host_identifies_callers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service = Service("closed")

    @service.method(scopes={"admin"})
    def secret() -> None: ...

    app = FastAPI()
    gateway = include(app, service, identity=Depends(lambda: Identity("ada")))
    async with gateway.lifespan(app):
        pass
    assert [record.getMessage() for record in caplog.records if "can call" in record.getMessage()] == []


async def test_the_session_of_another_user_does_not_count_beside_the_identity_of_the_host() -> None:
    service = Service("shop", sessions="on")

    @service.method
    def whoami(context: Context) -> str | None:
        return context.user

    def current(x_user: str = Header()) -> Identity:
        return Identity(x_user)

    app = FastAPI()
    include(app, asgi(service, allow_hosts=["testserver"]), identity=Depends(current))
    transport = httpx.ASGITransport(app)
    async with living(app), httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:

        async def call(user: str, method: str, **more: str) -> httpx.Response:
            return await client.post(
                "/rpc", content=text(method), headers={"Content-Type": "application/json", "X-User": user, **more}
            )

        session = (await call("bob", "session.create")).json()["result"]
        header = {"Posthouse-Session": f"{session['id']}.{session['secret']}"}
        assert (await call("bob", "whoami", **header)).json()["result"] == "bob"
        refused = await call("ada", "whoami", **header)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, -32600)
