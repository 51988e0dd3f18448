"""Every kind of secret goes through servers, and leaks are planted in them: the watch of the suite sees each leak."""

from __future__ import annotations

import logging
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from posthouse.adapters.authenticators import Claims, JsonWebTokens
from posthouse.adapters.journal import record
from posthouse.adapters.report import WARNING, report
from posthouse.core import (
    AuthFailed,
    Basic,
    Bearer,
    Config,
    Emit,
    Identity,
    Invoke,
    Service,
    Transmit,
    UsageError,
    Verify,
)
from posthouse.core.dispatch.logins import Logins
from posthouse.core.identity.arrivals import Arrivals
from posthouse.core.service.authenticators import Cookie
from posthouse.core.values.peers import ConnectionId
from posthouse.transports import Policy

from tests.adapters.authenticators.signed import AUDIENCE, ISSUER, NOW, SECRET, signed
from tests.adapters.loopback import ENVIRONMENT, ROOT
from tests.transports.board import HERE, Board, Browser, body, call, counter, post

from .hooks import watching
from .watch import Watch

TOKEN, PASSWORD = "the-token-of-ada", 'pass: "wört"'
LOG_IN = json.encode({"method": "password", "user": "ada", "password": PASSWORD, "cookie": True})

OTHERS: list[Browser] = []
"""Other clients, who speak WebSocket and compress."""


class Server:
    """A server whose journal is written, and which accepts all credentials."""

    def __init__(self) -> None:
        service = Service("secret", public=True)

        @service.authenticator("bearer", namespace="tokens")
        def bearer(credentials: Bearer) -> Identity | None:
            raise NotImplementedError

        @service.authenticator("basic", namespace="passwords")
        def basic(credentials: Basic) -> Identity | None:
            raise NotImplementedError

        @service.method
        def look() -> None:
            raise NotImplementedError

        self.board = record(service, Config(), Policy(), bool, wall=NOW, entropy=counter())

    def ask(self, text: bytes, *fields: bytes) -> bytes:
        """One request with these fields of a head: what its socket was sent."""
        board, sent = self.board, bytearray()
        socket = board.opened(HERE, 0.0)
        assert socket is not None
        board.received(socket, post(text, more=b"".join(b"%b\r\n" % field for field in fields)), 0.0)
        for action in board.outbox:
            if isinstance(action, Verify):
                board.conclude(action.operation, Identity("ada"), 0.0)
            elif isinstance(action, Invoke):
                board.complete(action.call, None, 0.0)
            sent += getattr(action, "data", b"")
        board.outbox.clear()
        board.closed(socket, 0.0)
        board.outbox.clear()
        return bytes(sent)


def live(folder: Path) -> None:
    """Every kind of secret goes through a server, and through one that speaks WebSocket."""
    server = Server()
    OTHERS[:] = [Browser(Board(), deflate=True)]
    server.ask(call("look"), b"Authorization: Bearer " + TOKEN.encode())
    server.ask(call("look"), b"Authorization: Bearer " + signed().encode())
    server.ask(call("look"), b"Authorization: Basic " + b64encode(f"ada:{PASSWORD}".encode()))
    answer = server.ask(call("auth.login", LOG_IN))
    assert b'"user":"ada"' in body(answer)
    cookie = answer.partition(b"Set-Cookie: ")[2].partition(b";")[0]
    assert b'"user":"ada"' in server.ask(call("connection.info"), b"Cookie: " + cookie)
    server.board.gateway.stats()
    (folder / "key").write_bytes(json.encode({"kty": "oct", "alg": "HS256", "k": urlsafe_b64encode(SECRET).decode()}))
    tokens = JsonWebTokens(folder / "key", Claims(issuer=ISSUER, audience=AUDIENCE), wall=lambda: NOW)
    assert isinstance(tokens(Bearer(signed("secret", "HS256"))), Identity)


Plant = Callable[[pytest.MonkeyPatch], None]


def when(owner: type, method: str, leak: Callable[..., object]) -> Plant:
    """A leak whenever this method was called, with its arguments."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        right = getattr(owner, method)

        def leaking(*arguments: Any, **named: Any) -> Any:
            result = right(*arguments, **named)
            leak(*arguments)
            return result

        patch.setattr(owner, method, leaking)

    return plant


def not_hidden(name: str) -> Plant:
    """The recorder hides nothing with this function."""
    return lambda patch: patch.setattr(f"posthouse.adapters.journal.recorder.{name}", lambda given, *_: given)


def log_token(arrivals: Arrivals, peer: object, credentials: Any, now: float) -> None:
    report(WARNING, "auth.failed", "a leak", reason=getattr(credentials, "token", None))


def log_exception(arrivals: Arrivals, peer: object, credentials: Any, now: float) -> None:
    if isinstance(credentials, Basic):
        try:
            raise ValueError(credentials.password.encode().hex()) from None
        except ValueError:
            logging.getLogger("other").exception("a leak")


def log_key(tokens: JsonWebTokens, credentials: Bearer) -> None:
    report(WARNING, "keys.read", "a leak", key=b64encode(tokens._store.keys[0].key).decode())


def tell_token(arrivals: Arrivals, peer: object, credentials: Any, now: float) -> None:
    token = getattr(credentials, "token", "")
    event = AuthFailed(ConnectionId(1), "", "http", HERE, None, "refused", now, token[token.rfind(".") + 1 :])
    arrivals._shared.outbox.append(Emit(event))


def raise_password(logins: Logins, caller: object, call: object, scheme: str, credentials: Basic, *more: Any) -> None:
    UsageError(f"{credentials.password!r} is wrong")


def count_cookie(arrivals: Arrivals, peer: object, credentials: Any, now: float) -> None:
    if isinstance(credentials, Cookie):
        arrivals._shared.stats.count(f"auth.{credentials.secret}")


def push_token(arrivals: Arrivals, peer: object, credentials: Any, now: float) -> None:
    for browser in OTHERS:
        browser.board.board.gateway._shared.outbox.append(Transmit(ConnectionId(1), json.encode(TOKEN * 99)))
        browser.send(call("later"))


LEAKS: dict[str, tuple[Plant, str]] = {
    "a token in a line of the log": (when(Arrivals, "connect", log_token), "the log"),
    "a password in an exception that another library logs, in hex": (
        when(Arrivals, "connect", log_exception),
        "the log",
    ),
    "a key in a line of the log, in base64": (when(JsonWebTokens, "__call__", log_key), "the log"),
    "the signature of a JWT in an event": (when(Arrivals, "connect", tell_token), "an event"),
    "a password in an error": (when(Logins, "begin", raise_password), "an error"),
    "a cookie in a statistic": (when(Arrivals, "connect", count_cookie), "a statistic"),
    "a token in a message to another": (when(Arrivals, "connect", push_token), "a message to a peer"),
    "a token in a frame to another, compressed": (when(Arrivals, "connect", push_token), "the bytes for a peer"),
    "a cookie in a journal": (not_hidden("hide_credentials"), "a journal"),
    "a password in a journal, as JSON in JSON": (not_hidden("hide_logins"), "a journal"),
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_seen_where_it_is(leak: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plant, place = LEAKS[leak]
    plant(monkeypatch)
    with watching() as watch:
        live(tmp_path)
    assert place in {found.partition(" is in ")[2].partition(": ")[0] for found in watch.leaks()}


def test_a_server_without_a_leak_is_quiet_though_every_kind_of_secret_went_in(tmp_path: Path) -> None:
    with watching() as watch:
        live(tmp_path)
    assert watch.leaks() == []
    assert {TOKEN, PASSWORD, SECRET} < watch.secrets.keys()
    assert len(watch.secrets) == 6, "those, a JWT and its signature, and a cookie"


def test_a_new_cookie_is_told_once() -> None:
    with watching() as watch:
        answer = Server().ask(call("auth.login", LOG_IN))
        assert watch.leaks() == []
        watch.frame(answer)
        (found,) = watch.leaks()
    assert found.partition(" is in ")[2].startswith("the bytes for a peer: ")


def test_a_short_credential_is_not_looked_for() -> None:
    watch = Watch()
    watch.credentials((Bearer("nine char"), Basic("a user whose name is known", "")))
    watch.out("the log", "nine char, a user whose name is known")
    assert watch.leaks() == []


def test_a_leak_makes_the_suite_red(tmp_path: Path) -> None:
    file = ROOT / "tests" / "secrecy" / "leaking.py"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(file)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert "2 passed, 2 errors" in done.stdout
    for leak in ("a token in a line of the log", "a cookie in a journal"):
        assert f"ERROR tests/secrecy/leaking.py::test_leak[{leak}]" in done.stdout
