"""Scenes about authenticators that take their time, fail or resist, and about cookies."""

from __future__ import annotations

import re
from typing import Any

import anyio
from msgspec.json import encode
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.adapters.simulation.storms.scenes.words import call, frame, get, post, sample, upgrade
from posthouse.core.operations.operations import Refused
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.context import AuthContext, Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity


def verified(stage: Stage, **options: Any) -> Service:
    """A service whose authenticator does what the token says."""
    service = sample()

    @service.method
    def who(context: Context) -> str | None:
        return context.user

    @service.authenticator("bearer", **options)
    async def bearer(credentials: Bearer, context: AuthContext[Any]) -> Any:
        stage.note(f"verifies {credentials.token}")
        try:
            match credentials.token:
                case "slow":
                    await anyio.sleep(2.0)
                case "resists":
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(60.0)
                case "raises":
                    raise ValueError
                case "why":
                    return Refused("it is too old")
                case "no user":
                    return Identity()
                case "number":
                    return 7
        finally:
            stage.note(f"has verified {credentials.token}")
        return Identity(credentials.token)

    return service


def bearer(token: str) -> str:
    """The header with this token."""
    return f"Authorization: Bearer {token}"


@scene("what authenticators may return")
def _returns(stage: Stage) -> None:
    stage.serve(verified(stage), config=Config(log_lines=2, log_interval=5.0))
    for token in ("ada", "why", "why", "raises", "raises", "raises", "number", "slow"):
        stage.client(token).send(post(call("who"), bearer(token)), 0.1)
    stage.client("ada").send(post(call("who"), bearer("ada")))
    stage.wait(6.0)


@scene("authenticators that run when their client goes")
def _gone(stage: Stage) -> None:
    stage.serve(verified(stage), config=Config(authentication_timeout=1.0, max_external_operations=2))
    client = stage.client("leaves")
    client.send(post(call("who"), bearer("slow")))
    client.end(0.2)
    socket = stage.client("socket")
    socket.send(upgrade(bearer("resists")), 0.2)
    stage.client("third").send(post(call("who"), bearer("ada")), 0.2)
    stage.wait(1.5)
    stage.client("fourth").send(post(call("who"), bearer("ada")), 0.2)
    stage.wait(1.0)


@scene("several credentials of one request")
def _several(stage: Stage) -> None:
    service = verified(stage)
    for name in ("auth.failed", "auth.succeeded"):
        service.on(name)(
            lambda event: stage.note(type(event).__name__, event.authenticator, getattr(event, "reason", ""))
        )
    stage.serve(service)
    for header, offered in (
        ("ada", "YWRh"),
        ("ada", "Ym9i"),
        ("why", "YWRh"),
        ("ada", "d2h5"),
        ("ada", "?"),
        ("ada", ""),
    ):
        stage.note(f"-- {header}, {offered}")
        protocols = f"Sec-WebSocket-Protocol: posthouse.v1.json, posthouse.bearer.{offered}"
        client = stage.client()
        client.send(upgrade(bearer(header), protocols))
        client.send(frame(call("who")))


@scene("a shut-down while authenticators run")
def _shut_down(stage: Stage) -> None:
    stage.serve(verified(stage), config=Config(drain_timeout=2.0, cleanup_grace=0.5))
    for token in ("slow", "resists"):
        stage.client(token).send(post(call("who"), bearer(token)))
    stage.do(lambda: stage.server.shut_down(0.2))
    stage.wait(20.0)


@scene("a server that is cancelled while authenticators run")
def _cancelled(stage: Stage) -> None:
    stage.serve(verified(stage), config=Config(cleanup_grace=0.5))
    for token in ("slow", "resists"):
        stage.client(token).send(post(call("who"), bearer(token)))
    stage.cancel()
    stage.wait(20.0)


@scene("passwords that are hashed in threads")
def _hashing(stage: Stage) -> None:
    service = sample()

    @service.method
    def who(context: Context) -> str | None:
        return context.user

    @service.authenticator("basic", hashing=True)
    def basic(credentials: Basic) -> Identity | None:
        stage.note(f"hashes {credentials.password}")
        if credentials.password == "raises":
            raise ValueError
        return Identity(credentials.user) if credentials.password == "right" else None

    config = Config(hashing_workers=1, max_hashing_queue=1, max_auth_failures=2, max_auth_failures_per_address=4)
    stage.serve(service, config=config)
    for secret in ("YWRhOnJpZ2h0", "Ym9iOnJpZ2h0", "ZXZlOnJpZ2h0", "ZGFuOnJpZ2h0"):
        stage.client(secret).link.up.write(post(call("who"), f"Authorization: Basic {secret}"))
    stage.wait(0.5)
    for secret in ("YWRhOndyb25n", "YWRhOndyb25n", "YWRhOndyb25n", "YWRhOnJpZ2h0", "YWRhOnJhaXNlcw=="):
        stage.client(secret).send(post(call("who"), f"Authorization: Basic {secret}"), 0.3)
    stage.wait(1.0)
    for secret in ("YWRhOndyb25n", "Ym9iOndyb25n", "ZXZlOndyb25n", "ZGFuOndyb25n", "Ym9iOnJpZ2h0"):
        stage.client(secret).send(post(call("who"), f"Authorization: Basic {secret}"), 0.3)
    stage.wait(70.0)
    stage.client("at last").send(post(call("who"), "Authorization: Basic YWRhOnJpZ2h0"), 0.3)


@scene("log-ins of a connection")
def _log_ins(stage: Stage) -> None:
    stage.serve(verified(stage), config=Config(max_auth_failures=3))
    socket = stage.client("socket")
    socket.send(upgrade())
    log_in = '{"jsonrpc":"2.0","id":1,"method":"auth.%s","params":%s}'
    texts = (
        call("who").decode(),
        log_in % ("login", '{"method":"bearer","token":"ada"}'),
        call("who").decode(),
        log_in % ("login", '{"method":"bearer","token":"bob"}'),
        log_in % ("refresh", '{"method":"bearer","token":"bob"}'),
        log_in % ("refresh", '{"method":"bearer","token":"ada"}'),
        log_in % ("logout", "{}"),
        log_in % ("logout", "[]"),
        log_in % ("refresh", '{"method":"bearer","token":"ada"}'),
        call("who").decode(),
        *(log_in % ("login", params) for params in ("{}", "[]", '{"method":"bearer"}', '{"method":7}', '"x"')),
        *(log_in % ("login", f'{{"method":"{name}","token":"ada"}}') for name in ("password", "basic", "", "BEARER")),
        log_in % ("login", '{"method":"bearer","token":"ada","cookie":true}'),
        log_in % ("login", '{"method":"bearer","token":"why"}'),
        log_in % ("login", '{"method":"bearer","token":"raises"}'),
    )
    for text in texts:
        socket.send(frame(text.encode()), 0.05)
    for _ in range(6):
        socket.send(frame((log_in % ("login", '{"method":"bearer","token":"why"}')).encode()), 0.05)
    stage.wait(1.0)


@scene("a cookie from its log-in to its end")
def _cookies(stage: Stage) -> None:
    config = Config(session_idle=10.0, session_lifetime=25.0, max_sessions=3, max_sessions_per_user=2)
    stage.serve(verified(stage), config=config)

    def log_in(token: str, *headers: str) -> str:
        before = len(stage.lines)
        params = {"method": "bearer", "token": token, "cookie": True}
        body = encode({"jsonrpc": "2.0", "id": 1, "method": "auth.login", "params": params})
        stage.client(token, peer=("127.0.0.1", 9)).send(post(body, *headers))
        found = re.search(r"__Host-posthouse=([^;]*)", "".join(stage.lines[before:]))
        return found[1] if found else ""

    def who(cookie: str, *headers: str, method: str = "who") -> None:
        client = stage.client("page", peer=("127.0.0.1", 9))
        client.send(post(call(method), f"Cookie: a=b; __Host-posthouse={cookie}; c", *headers, "Connection: close"))

    first = log_in("ada")
    for headers in (
        (),
        ("Sec-Fetch-Site: same-origin",),
        ("Sec-Fetch-Site: cross-site",),
        ("Origin: http://localhost:8000",),
    ):
        who(first, *headers)
    who("wrong")
    who("")
    second, third = log_in("ada"), log_in("bob")
    who(first)
    log_in("ada")
    for cookie in (first, second, third):
        who(cookie)
    log_in("eve")
    stage.wait(9.0)
    who(second)
    stage.wait(9.0)
    for cookie in (second, third):
        who(cookie)
    stage.wait(8.0)
    who(second)
    last = log_in("ada")
    page = stage.client("socket", peer=("127.0.0.1", 9))
    page.send(upgrade(f"Cookie: __Host-posthouse={last}", "Origin: http://localhost:8000"))
    page.send(frame(call("who")))
    who(last, method="auth.logout")
    who(last)
    page.send(frame(call("who")))
    stage.client("far").send(post(call("who"), f"Cookie: __Host-posthouse={last}; __Host-posthouse={last}"))
    log_in("ada", "Cookie: __Host-posthouse=old")


@scene("several people behind one socket")
def _behind_one_socket(stage: Stage) -> None:
    stage.serve(verified(stage))
    proxy = stage.client("proxy")
    for headers in ((bearer("ada"),), (bearer("bob"),), (), (bearer("why"),)):
        proxy.send(post(call("who"), *headers), 0.1)
    stage.client("pipelined").send(b"".join(post(call("who"), bearer(token)) for token in ("ada", "bob", "ada")))


@scene("large bodies of people who must be verified first")
def _announced(stage: Stage) -> None:
    service = verified(stage)
    service.on("connection.closed")(lambda event: stage.note("closed", event.kind, event.reason))
    limits: dict[str, Any] = {"max_message_bytes_unauthenticated": 64, "max_body_bytes": 400, "max_message_bytes": 400}
    stage.serve(service, config=Config(require_authentication=True, body_timeout=2.0, **limits))
    large = call("who", pad="x" * 100)
    chunks = "Transfer-Encoding: chunked"
    head = f"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{bearer('ada')}\r\n"
    stage.client("large").send(post(large, bearer("ada")))
    stage.client("refused").send(post(large, bearer("why")))
    for name, body in (("garbled", b"nothing\r\n"), ("too large", b"1f4\r\n" + b"x" * 500), ("unfinished", b"1\r\n{")):
        client = stage.client(name)
        client.send(f"{head}{chunks}\r\n\r\n".encode(), 0.1)
        client.send(body, 0.1)
    stage.wait(3.0)
    stage.client("health").send(get("/health"))


@scene("memory is short: those who are not verified go first")
def _memory_is_short(stage: Stage) -> None:
    stage.serve(verified(stage), config=Config(memory_budget=3000))
    stage.client("idle").send(upgrade(bearer("ada")), 0.1)
    for name in ("first", "second", "third"):
        stage.client(name).send(post(call("who", pad="x" * 1000), bearer("slow")), 0.1)
    stage.wait(3.0)
    stage.client("after").send(post(call("who"), bearer("bob")))


@scene("users who are revoked while their authenticators run")
def _revoked_meanwhile(stage: Stage) -> None:
    stage.serve(verified(stage))
    stage.client("call").send(post(call("who"), bearer("slow")), 0.5)
    stage.client("socket").send(upgrade(bearer("slow")), 0.5)
    stage.do(lambda: stage.note("revoked:", stage.server.revoke("slow")))
    stage.wait(2.0)
    stage.client("after").send(post(call("who"), bearer("slow")))
    stage.wait(3.0)
