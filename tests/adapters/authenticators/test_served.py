"""Ready-made authenticators in a server: from bytes on loopback to the identity of a call, or to a line in the log."""

from __future__ import annotations

import base64
import json
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import anyio
import pytest
from posthouse.adapters import serve
from posthouse.adapters.authenticators import Claims, JsonWebTokens, Passwords, ReadyMade, StaticTokens
from posthouse.adapters.authenticators.hashes import Parameters, make_hash
from posthouse.adapters.authenticators.keys.store import UNKNOWN
from posthouse.adapters.authenticators.static_tokens import token_digest
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.context import AuthContext, Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from tests.adapters.loopback import Client, connected, serving, text

from .signed import AUDIENCE, ISSUER, NOW, jwk, jwks, pem, signed
from .wrong import WRONG

pytestmark = pytest.mark.anyio

CONFIG = Config(argon2_passes=1, argon2_memory=16 * 1024, argon2_lanes=2, hashing_workers=2)
CLAIMS = Claims(issuer=ISSUER, audience=AUDIENCE)
TOKEN = "a-canary-token-of-ada"

Answer = tuple[int, Any]


def private_service(*authenticators: ReadyMade) -> Service:
    service = Service("private")

    @service.method
    def who(context: Context) -> list[str | None]:
        return [context.user, *context.scopes]

    for number, authenticator in enumerate(authenticators):
        authenticator.declare(service, name=f"n{number}", namespace=f"n{number}")
    return service


def authorized(credentials: str, body: bytes = text("who"), more: bytes = b"") -> bytes:
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" + more
    return head + b"Authorization: %b\r\nContent-Length: %d\r\n\r\n%b" % (credentials.encode(), len(body), body)


async def call(server: Any, credentials: str) -> Answer:
    """One call over HTTP, on a connection of its own."""
    async with connected(server) as client:
        await client.send(authorized(credentials))
        return await client.response()


async def login(client: Client, **params: Any) -> Any:
    await client.say(text("auth.login", params, 7))
    return await client.next()


def accepted(*values: str) -> Answer:
    return 200, {"jsonrpc": "2.0", "result": list(values), "id": 1}


REFUSED: Answer = (401, {"jsonrpc": "2.0", "error": {"code": -32020, "message": "Unauthenticated"}, "id": None})

EXPIRED: Answer = (401, {"jsonrpc": "2.0", "error": {"code": -32022, "message": "Credentials expired"}, "id": None})


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    digest = token_digest(TOKEN).hex()
    (tmp_path / "tokens.toml").write_text(f"[[token]]\nsha256 = '{digest}'\nuser = 'ada'\nscopes = ['write']\n")
    hashed = make_hash(b"canary password", Parameters.of(CONFIG))
    (tmp_path / "passwords.toml").write_text(f"bob = {{ hash = '{hashed}', scopes = ['read'] }}\n")
    (tmp_path / "key.pem").write_bytes(pem())
    return tmp_path


async def test_each_kind_identifies_its_callers_over_http_and_websocket(
    files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = time.time()
    service = private_service(
        StaticTokens(files / "tokens.toml"),
        JsonWebTokens(files / "key.pem", CLAIMS),
        Passwords(files / "passwords.toml"),
    )
    token = signed(sub="eve", exp=now + 60, iat=now)
    expired = signed(sub="eve", exp=now - 60, iat=now - 90)
    async with serving(service, config=CONFIG) as server:
        assert await call(server, f"Bearer {TOKEN}") == accepted("ada", "write")
        assert await call(server, f"Bearer {token}") == accepted("eve", "read", "write")
        assert await call(server, basic("bob", "canary password")) == accepted("bob", "read")
        assert await call(server, f"Bearer {expired}") == EXPIRED
        assert await call(server, f"Bearer {TOKEN}x") == REFUSED
        assert await call(server, basic("bob", "canary passwort")) == REFUSED
        assert await call(server, basic("nobody", "canary password")) == REFUSED
        async with connected(server) as client:
            await client.upgrade()
            for params, result in (
                ({"method": "bearer", "token": token}, ["eve", "read", "write"]),
                ({"method": "password", "user": "bob", "password": "canary password"}, ["bob", "read"]),
                ({"method": "bearer", "token": TOKEN}, ["ada", "write"]),
            ):
                assert (await login(client, **params))["result"]["user"] == result[0]
                assert (await client.call("who"))["result"] == result
            assert (await login(client, method="bearer", token=expired))["error"]["code"] == -32022
            assert (await client.call("who"))["result"] == ["ada", "write"]
    reasons = [record.why for record in caplog.records if hasattr(record, "why")]
    assert reasons[0] == "n0: the token is not in the file; n1: it is not a JWT"
    for record in caplog.records:
        assert "canary" not in record.getMessage()
        assert token[-20:] not in record.getMessage()


async def test_each_wrong_token_gets_the_same_answer_and_only_the_log_says_why(
    files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    service = private_service(JsonWebTokens(files / "key.pem", CLAIMS, wall=lambda: NOW))
    reasons: list[str] = []
    service.on("auth.failed")(lambda event: reasons.append(event.why))
    limits = Config(max_auth_failures_per_address=1_000, max_token_bytes=120_000, max_head_bytes=150_000)
    tokens = {name: make() for name, (make, _) in WRONG.items() if make().isascii() and make()}
    async with serving(service, config=limits) as server:
        for token in tokens.values():
            assert await call(server, f"Bearer {token}") == REFUSED
    assert reasons == [f"n0: {WRONG[name][1]}" for name in tokens]
    lines = "".join(record.getMessage() for record in caplog.records)
    assert [name for name, token in tokens.items() if len(token) > 10 and token[-10:] in lines] == []


async def test_a_hash_that_does_not_fit_into_the_config_keeps_the_server_from_starting(files: Path) -> None:
    service = private_service(Passwords(files / "passwords.toml"))
    with pytest.raises(UsageError, match="needs 16384 bytes, more than argon2_memory = 8192"):
        await serve(service, port=0, config=Config(argon2_memory=8192, argon2_lanes=1))


async def test_the_headers_of_a_request_and_of_a_handshake_reach_an_authenticator_without_credentials() -> None:
    service = Service("tenants")
    seen: list[dict[str, str]] = []

    @service.authenticator("bearer")
    def bearer(credentials: Bearer, context: AuthContext) -> Identity | None:
        seen.append(dict(context.headers))
        return Identity(f"{context.headers['x-tenant']}/{credentials.token}")

    @service.method
    def who(context: Context) -> str | None:
        return context.user

    more = b"X-Tenant: acme\r\nCookie: a=b\r\nX-API-Key: c\r\n"
    async with serving(service) as server:
        async with connected(server) as client:
            await client.send(authorized("Bearer t1", more=more))
            assert (await client.response())[1]["result"] == "acme/t1"
        async with connected(server) as client:
            upgrade = (
                b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Authorization: Bearer t2\r\n" + more + b"\r\n"
            )
            await client.send(upgrade)
            assert (await client.take_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert (await client.call("who"))["result"] == "acme/t2"
    assert [sorted(headers) for headers in seen] == [
        ["content-length", "content-type", "host", "x-tenant"],
        ["connection", "host", "sec-websocket-key", "sec-websocket-version", "upgrade", "x-tenant"],
    ]


class Provider:
    """An identity provider on loopback, which a test rotates, breaks and slows down."""

    def __init__(self) -> None:
        self.keys = [jwk("rsa", kid="1")]
        self.status = 200
        self.go = Event()
        self.go.set()
        self.asked = 0
        self.arrived = Event()
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                provider.arrived.set()
                provider.go.wait(60)
                body = jwks(*provider.keys)
                self.send_response(provider.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/jwks"


@pytest.fixture
def provider() -> Iterator[Provider]:
    provider = Provider()
    thread = Thread(target=provider.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield provider
    provider.go.set()
    provider.server.shutdown()
    provider.server.server_close()
    thread.join()


async def test_keys_of_a_url_are_read_rotated_and_kept_while_the_provider_is_away(provider: Provider) -> None:
    now = time.time()
    tokens = JsonWebTokens(provider.url, CLAIMS)
    clock = {"now": 0.0}
    vars(tokens._store)["_now"] = lambda: clock["now"]
    service = private_service(tokens)

    def bearer(name: str, kid: str, **others: Any) -> str:
        return "Bearer " + signed(name, head={"kid": kid}, exp=now + 60, iat=now, **others)

    async with serving(service, config=Config(credential_cache=0.0)) as server:
        provider.go.clear()
        async with anyio.create_task_group() as group:
            answers: list[Answer] = []

            async def ask() -> None:
                answers.append(await call(server, bearer("rsa", "1")))

            for _ in range(3):
                group.start_soon(ask)
            await anyio.to_thread.run_sync(provider.arrived.wait)
            provider.go.set()
        assert answers == [accepted("ada", "read", "write")] * 3
        assert provider.asked == 1
        # The provider rotates its key: a token with the new kid has the keys read again, but once a minute at most.
        provider.keys = [jwk("rsa other", kid="2")]
        assert await call(server, bearer("rsa other", "2")) == REFUSED
        assert provider.asked == 1
        clock["now"] += UNKNOWN
        assert await call(server, bearer("rsa other", "2")) == accepted("ada", "read", "write")
        assert await call(server, bearer("rsa", "1")) == REFUSED
        assert provider.asked == 2
        # While it is away, the keys that were read before still count.
        provider.status = 500
        clock["now"] += UNKNOWN
        assert await call(server, bearer("rsa", "3")) == REFUSED
        assert provider.asked == 3
        assert await call(server, bearer("rsa other", "2")) == accepted("ada", "read", "write")


async def test_a_provider_that_cannot_be_reached_refuses_callers_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    service = private_service(JsonWebTokens(f"http://127.0.0.1:{port}/", CLAIMS))
    async with serving(service) as server:
        assert await call(server, f"Bearer {signed()}") == REFUSED
        async with connected(server) as client:
            assert (await client.post("connection.ping"))[0] == 200
    assert any(getattr(record, "why", "") == "n0: no key was read yet" for record in caplog.records)
    assert json.dumps([record.getMessage() for record in caplog.records]).count("Connection refused") == 1
