"""A secret goes through a server in every way, and comes out of it in none."""

from __future__ import annotations

import logging
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anyio import connect_tcp
from argon2 import PasswordHasher
from msgspec import Struct
from msgspec.json import encode
from posthouse.adapters.authenticators import Claims, JsonWebTokens, Passwords, StaticTokens
from posthouse.core import (
    EVENTS,
    AuthContext,
    AuthSucceeded,
    Basic,
    Bearer,
    Config,
    Context,
    Event,
    Identity,
    Service,
    UsageError,
)

from tests.secrecy.search import CANARY, Search

from .authenticators.signed import AUDIENCE, ISSUER, NOW, pem, signed
from .loopback import UPGRADE, Client, post, serving, text

pytestmark = pytest.mark.unmeasured

STATIC = f"static-{CANARY}-55aa"
RIGHT = f"right-{CANARY}-7f3a"
WRONG = f"wrong-{CANARY}-91bc"


class Key(Struct):
    user: str
    key: str


class Seen:
    """Everything that may be seen from outside, but by the caller itself."""

    def __init__(self) -> None:
        self.logged: list[str] = []
        self.events: list[Event] = []
        self.told: list[bytes] = []
        self.answered: list[bytes] = []


def guarded(seen: Seen, folder: Path) -> Service:
    """A service with an authenticator of each kind, ready-made ones too, and a method that shows all of its context."""
    service = Service("guarded", public=True)
    (folder / "keys.pem").write_bytes(pem())
    digest = sha256(STATIC.encode()).hexdigest()
    (folder / "tokens.toml").write_text(f'[[token]]\nsha256 = "{digest}"\nuser = "ada"\n')
    hashed = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(RIGHT)
    (folder / "passwords.toml").write_text(f'bob = "{hashed}"\n')
    claims = Claims(issuer=ISSUER, audience=AUDIENCE)
    JsonWebTokens(folder / "keys.pem", claims, wall=lambda: NOW).declare(service, name="jwt", namespace="idp")
    StaticTokens(folder / "tokens.toml").declare(service, name="static", namespace="static")
    Passwords(folder / "passwords.toml").declare(service, name="argon2", namespace="argon2")

    @service.method
    def look(context: Context) -> list[str]:
        shown = [context, context.headers, context.connection_state, context.user, context.scopes]
        return [repr(each) for each in shown] + [str(context.headers)]

    @service.authenticator("bearer", namespace="tokens")
    async def bearer(credentials: Bearer, context: AuthContext) -> Identity | None:
        seen.logged += [repr(credentials), repr(context), repr(dict(context.headers))]
        return Identity("ada") if credentials.token == RIGHT else None

    @service.authenticator("basic", namespace="passwords", blocking=True)
    def basic(credentials: Basic) -> Identity | None:
        seen.logged.append(repr(credentials))
        if credentials.user == "raises":
            raise ValueError("the table is broken")
        return Identity("ada", ("admin", "broadcast")) if credentials.password == RIGHT else None

    @service.authenticator("key", namespace="keys")
    def key(credentials: Key) -> Identity | None:
        return Identity("ada") if credentials.key == RIGHT else None

    for name in EVENTS:
        service.on(name)(seen.events.append)
    return service


@pytest.fixture
def seen() -> Iterator[Seen]:
    """What is logged goes there, with every attribute of each record."""
    seen = Seen()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.logged.append(f"{self.format(record)} {record.__dict__}")

    handler, logger = Handler(), logging.getLogger("posthouse")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield seen
    logger.removeHandler(handler)
    logger.setLevel(level)


def basic(user: str, password: str) -> bytes:
    return b"Basic " + b64encode(f"{user}:{password}".encode())


def tokens() -> Iterator[str]:
    """Tokens of an identity provider, good and bad, with a secret in a claim, in the head, and where neither can be."""
    yield signed(jti=RIGHT)
    yield signed(jti=WRONG, aud=WRONG)
    yield signed(jti=WRONG, exp=1)
    yield signed(sub=[WRONG])
    yield signed(head={"kid": WRONG})
    yield signed(head={"crit": [WRONG]})
    yield signed(jti=WRONG)[:-8] + "AAAAAAAA"
    yield f"{WRONG}.{WRONG}.{WRONG}"
    yield STATIC


def headers() -> Iterator[tuple[bytes, bytes]]:
    """The fields of requests that carry a secret, in every way that clients have."""
    for token in tokens():
        yield b"Authorization", b"Bearer " + token.encode()
    for secret in (RIGHT.encode(), WRONG.encode(), b"%b-%b" % (WRONG.encode(), b"x" * 9_000)):
        yield b"Authorization", b"Bearer " + secret
        yield b"authorization", b"bearer   " + secret
        yield b"Authorization", b"Bearer %b %b" % (secret, secret)
        yield b"Authorization", b"Digest username=%b" % secret
        yield b"Authorization", secret
        yield b"Authorization", b"Basic " + secret
        yield b"Authorization", basic("ada", secret.decode())
        yield b"Authorization", basic("raises", secret.decode())
        yield b"Authorization", basic("nobody", secret.decode())
        yield b"Authorization", basic("bob", secret.decode())
        yield b"Authorization", b"Basic " + b64encode(secret)
        yield b"Cookie", b"__Host-posthouse=%b; other=%b" % (secret, secret)
        for name in (b"Proxy-Authorization", b"X-Api-Key", b"X-Auth-Token", b"Posthouse-Session", b"X-CSRF-Token"):
            yield name, secret


def log_ins() -> Iterator[dict[str, Any]]:
    """The params of log-ins, good and bad."""
    for token in tokens():
        yield {"method": "bearer", "token": token}
    for secret in (RIGHT, WRONG):
        yield {"method": "bearer", "token": secret}
        yield {"method": "password", "user": "ada", "password": secret}
        yield {"method": "password", "user": "raises", "password": secret}
        yield {"method": "key", "user": "ada", "key": secret}
        yield {"method": "bearer", "token": [secret]}
        yield {"method": "bearer", "token": {"value": secret}}
        yield {"method": "password", "password": secret}
        yield {"method": "password", "user": "ada", "password": secret * 200}


LIMITS = Config(
    max_auth_failures=None,
    max_auth_failures_per_address=None,
    max_auth_failures_per_user=None,
    max_bad_messages=None,
)


async def call_over_http(seen: Seen, port: int) -> None:
    """Requests whose heads carry secrets."""
    body = text("look")
    for name, value in headers():
        client = Client(await connect_tcp("127.0.0.1", port))
        await client.send(post(body).replace(b"\r\n", b"\r\nConnection: close\r\n%b: %b\r\n" % (name, value), 1))
        seen.answered.append(await client.rest())
        await client.stream.aclose()
    for target in (b"/rpc?access_token=%b", b"/%b", b"/rpc?x=%b", b"/ws?token=%b#%b"):
        client = Client(await connect_tcp("127.0.0.1", port))
        filled = target.replace(b"%b", WRONG.encode())
        await client.send(b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % filled)
        seen.answered.append(await client.rest())
        await client.stream.aclose()


async def open_websockets(seen: Seen, port: int) -> None:
    """Handshakes whose heads carry secrets."""
    offered = [b"posthouse.bearer." + urlsafe_b64encode(each.encode()).rstrip(b"=") for each in (RIGHT, WRONG, STATIC)]
    protocols = [
        (b"Sec-WebSocket-Protocol", each) for each in (*offered, *(b"posthouse.v1.json, " + each for each in offered))
    ]
    for name, value in (*headers(), *protocols):
        client = Client(await connect_tcp("127.0.0.1", port))
        await client.send(UPGRADE.replace(b"\r\n", b"\r\n%b: %b\r\n" % (name, value), 1))
        answer = await client.take_until(b"\r\n\r\n")
        seen.answered.append(answer)
        if answer.startswith(b"HTTP/1.1 101 "):
            await client.say(text("look"))
            seen.answered.append((await client.hear())[1])
        await client.stream.aclose()


async def log_in(seen: Seen, port: int) -> None:
    """Log-ins over one WebSocket, plain and compressed, well-formed and torn."""
    client = Client(await connect_tcp("127.0.0.1", port))
    await client.upgrade()
    for method in ("auth.login", "auth.refresh"):
        for params in log_ins():
            await client.say(text(method, params))
            seen.answered.append((await client.hear())[1])
            await client.say(text("look"))
            seen.answered.append((await client.hear())[1])
    # Texts that are no log-ins, but were meant as such.
    for torn in (b'{"jsonrpc":"2.0","method":"auth.login","params":{"token":"%b"', b'["auth.login","%b"]', b"auth %b"):
        await client.say(torn.replace(b"%b", WRONG.encode()))
        seen.answered.append((await client.hear())[1])
    await client.stream.aclose()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.anyio
async def test_row_29_no_secret_is_in_a_log_an_event_an_answer_a_statistic_or_a_journal(
    seen: Seen, tmp_path: Path
) -> None:
    journal = tmp_path / "journal"
    service = guarded(seen, tmp_path)
    async with serving(service, journal=journal, config=LIMITS, access_log=True) as server:
        port = server.bound[0].port
        other = Client(await connect_tcp("127.0.0.1", port))
        await other.upgrade()
        await call_over_http(seen, port)
        await open_websockets(seen, port)
        await log_in(seen, port)
        admin = post(text("connection.stats")).replace(b"\r\n", b"\r\nAuthorization: %b\r\n" % basic("ada", RIGHT), 1)
        client = Client(await connect_tcp("127.0.0.1", port))
        await client.send(admin)
        status, statistics = await client.response()
        assert status == 200
        await client.post("message.broadcast", {"data": "over"})
        seen.told += [msgspec.json.encode(statistics), repr(server.stats()).encode()]
        await other.say(text("look"))
        seen.told.append((await other.hear())[1])
        for each in (client, other):
            await each.stream.aclose()
    accepted = {event.authenticator for event in seen.events if isinstance(event, AuthSucceeded)}
    assert accepted == {"bearer", "basic", "key", "jwt", "static", "argon2"}
    search = Search([CANARY])
    for place, found in {
        "log": [line.encode() for line in seen.logged],
        "events": [repr(event).encode() for event in seen.events],
        "answers": seen.answered,
        "others": seen.told,
        "journal": journal.read_bytes().splitlines(),
    }.items():
        assert found, place
        assert [each[:300] for each in found if search.finds(each)] == [], place


def json_web_tokens(file: Path) -> JsonWebTokens:
    return JsonWebTokens(file, Claims(issuer=None, audience=None))


@pytest.mark.parametrize(
    ("make", "content"),
    [
        (StaticTokens, f'[[token]]\nsha256 = "{RIGHT}"\nuser = "ada"\n'),
        (StaticTokens, f'[[token]]\ntoken = "{RIGHT}"\nuser = "ada"\n'),
        (StaticTokens, f'[[token]]\nsha256 = "{RIGHT}\n'),
        (StaticTokens, RIGHT),
        (Passwords, f'ada = "{RIGHT}"\n'),
        (Passwords, f'ada = {{password = "{RIGHT}"}}\n'),
        (Passwords, f"ada = {RIGHT}\n"),
        (json_web_tokens, encode({"keys": RIGHT}).decode()),
        (
            lambda file: JsonWebTokens(file, Claims(issuer=None, audience=None)),
            encode({"kty": "oct", "k": RIGHT}).decode(),
        ),
        (
            lambda file: JsonWebTokens(file, Claims(issuer=None, audience=None)),
            f"-----BEGIN PRIVATE KEY-----\n{RIGHT}\n",
        ),
        (json_web_tokens, RIGHT),
    ],
)
def test_a_file_with_a_secret_in_the_wrong_place_is_refused_without_it(
    make: Callable[[Path], object], content: str, tmp_path: Path
) -> None:
    file = tmp_path / "secrets"
    file.write_text(content)
    with pytest.raises(UsageError) as refused:
        make(file)
    assert not Search([CANARY]).finds(str(refused.value).encode()), str(refused.value)
