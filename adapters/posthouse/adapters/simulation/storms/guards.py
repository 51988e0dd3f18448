"""The sample service with authenticators, and clients that log in, refresh and log out: rightly, wrongly, and again.

This module does not know which faults links and server have.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from copy import copy
from functools import partial
from typing import Any, Final

import anyio
from msgspec.structs import replace
from posthouse.adapters.invariants import must
from posthouse.adapters.invariants.canary import marked, unmarked
from posthouse.adapters.simulation.chance import Stream
from posthouse.adapters.simulation.clients.client import Client
from posthouse.adapters.simulation.clients.pending import PendingCall
from posthouse.adapters.simulation.clients.protocols.http import HttpProtocol
from posthouse.adapters.simulation.clients.protocols.pages import Credentials
from posthouse.adapters.simulation.clients.protocols.protocol import HttpReply
from posthouse.adapters.simulation.served.deployment import WALL
from posthouse.adapters.simulation.world import World
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import CREDENTIALS_EXPIRED, FORBIDDEN, INVALID_PARAMS, UNAUTHENTICATED
from posthouse.core.values.peers import Identity
from posthouse.transports.credentials import BEARER_PROTOCOL
from posthouse.transports.fields import Fields
from posthouse.transports.switchboard.codec_outputs import STATS_SCOPES

from .service import service as sample_service

LIVES: Final = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 15.0)
"""Seconds from the start of a storm until a token expires."""

HASHING_LIMITS: Final[dict[str, tuple[Any, ...]]] = {"hashing_workers": (1, 2), "max_hashing_queue": (0, 1)}
"""Small limits of the threads that hash passwords."""

USERS: Final = {
    "ada": Identity("ada", ("vault",)),
    "ada too": Identity("ada", ("broadcast",)),
    "bob": Identity("bob", STATS_SCOPES),
    "eve": Identity("eve", expires_at=1.0),
    **{f"ada {life}": Identity("ada", ("vault",), expires_at=WALL + life, issued_at=WALL + life / 2) for life in LIVES},
}
"""The users by the tokens that stand for them. One has several, with other scopes, or which expire. The credentials of
one have expired."""

BRIEF: Final = tuple(f"ada {life}" for life in LIVES)
LATE: Final = "late "
"""Before a token: its authenticator takes a while to accept it."""

JOINED: Final = "~"
"""Stands for the space of a token in a head. With a space, the head cannot be read."""

TOKENS: Final = (
    "ada",
    "ada",
    "ada too",
    "bob",
    "eve",
    "wrong",
    "slow ada",
    "late ada",
    "raises",
    "a-token-that-is-too-long",
)

PASSWORDS: Final = (("ada", "right"), ("bob", "right"), ("ada", "wrong"))

ADMINS: Final = (
    b"Bearer " + marked("bob").encode(),
    b"Basic " + b64encode(f"bob:{marked('right')}".encode()),
)
"""The credentials with which the counters of the server may be read."""

STATS_STATUSES: Final = (200, 400, 401, 403, 408, 414, 421, 429, 431, 503)

WRONG_PARAMS: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"method": "bearer"},
    {"method": "bearer", "token": 7},
    {"method": "bearer", "token": marked("ada"), "user": "ada"},
    {"method": "password", "user": "ada", "token": marked("ada")},
    {"method": "carrier pigeon", "token": marked("ada")},
)
"""The params of log-ins that cannot be read."""

WRONG: Final = "auth.wrong"
"""The name of a log-in that cannot be read, for the check of its outcome."""

GUESSING: Final = 700
"""How often, in a thousand turns, clients log in where they guess passwords."""

DEMANDING: Final = 500
"""In how many guarded storms, in a thousand, authentication is required."""
DEMANDED: Final = 400
"""How often, in a thousand turns, clients log in where they must."""

SCARCE: Final = 200
"""In how many guarded storms, in a thousand, memory is so short that some must go."""

NOTHING, BEARER, BASIC, OFFERED = 0, 1, 2, 4
"""The places of credentials in a head."""

BROWSERS: Final = 250
"""How many connections in a thousand are those of a browser, which sends the cookie that it got."""

BROWSING: Final = 400
"""How often, in a thousand turns, a browser logs in with a cookie, or out if it has one."""

COOKIES: Final = 500
"""How many heads in a thousand have a cookie, perhaps beside other credentials."""

FETCHED: Final[tuple[Fields, ...]] = (
    (),
    ((b"Sec-Fetch-Site", b"same-origin"),),
    ((b"Sec-Fetch-Site", b"cross-site"),),
)
"""What a browser says of the page that caused a request, or nothing."""

LOGIN_CODES: Final = (UNAUTHENTICATED, FORBIDDEN, CREDENTIALS_EXPIRED, INVALID_PARAMS)
"""The errors that a log-in may have for its own reasons."""


def guarded() -> Service:
    """A copy of the sample service that has authenticators."""
    service = copy(sample_service)
    service.authenticators = {}
    service.document = service._frozen = None

    @service.authenticator("bearer", name="first", namespace="tokens")
    async def first(credentials: Bearer) -> Identity | None:
        token = unmarked(credentials.token).replace(JOINED, " ")
        if token == "raises":
            raise ValueError
        if token.startswith(("slow ", LATE)):
            await anyio.sleep(0.3)
        return USERS.get(token.removeprefix(LATE))

    @service.authenticator("bearer", name="second", namespace="others")
    def second(credentials: Bearer) -> Identity | None:
        token = unmarked(credentials.token).replace(JOINED, " ")
        return USERS["ada"] if token == "slow ada" else None

    @service.authenticator("basic", namespace="tokens", hashing=True)
    def basic(credentials: Basic) -> Identity | None:
        return USERS[credentials.user] if unmarked(credentials.password) == "right" else None

    return service


def revoke_under_load(world: World, clients: Iterable[Client], stream: Stream, raging: Callable[[], bool]) -> None:
    """Let clients log in, and revoke a user meanwhile, whether it is known or not."""
    for client in clients:
        if stream.happens(500) and not isinstance(client.protocol, HttpProtocol):
            client.call("auth.login", method="bearer", token=marked(LATE + stream.pick(("ada", "bob"))))
    user, namespace = stream.pick(("ada", "ada", "bob")), stream.pick(("tokens", "tokens", "others", ""))
    not_before = stream.pick((None, None, WALL + world.now - 2.0 + stream.choose(4)))
    world.after(stream.pick((0.0, 0.1, 0.3)), partial(_revoke, world, raging, user, namespace, not_before))


def _revoke(world: World, raging: Callable[[], bool], user: str, namespace: str, not_before: float | None) -> None:
    server = world.server
    if raging() and server.started and not (server.ended or world.process.clock.asleep):
        server.revoke(user, namespace=namespace, not_before=not_before)


def beside_hashes(config: Config, *, guarded: bool) -> Config:
    """The limits of a server that may hash passwords. If a small memory budget was drawn, it is what hashes leave."""
    if not guarded or config.memory_budget == Config().memory_budget:
        return config
    return replace(config, memory_budget=config.memory_budget + config.hashing_workers * config.argon2_memory)


def draw_limits(stream: Stream, config: Config, log_ins: int) -> tuple[Config, int]:
    """Limits of callers, and how often clients log in, in a thousand turns."""
    if log_ins == GUESSING and stream.happens(500):
        config = replace(config, credential_cache=0.0, max_auth_failures_per_address=3)
    if stream.happens(SCARCE):
        config = replace(config, memory_budget=3_000)
    if not stream.happens(DEMANDING):
        return config, log_ins
    size = stream.pick((100, 300, 2_000, config.max_message_bytes_unauthenticated))
    config = replace(config, require_authentication=True, max_message_bytes_unauthenticated=size)
    return config, max(log_ins, DEMANDED)


def guess(client: Client, stream: Stream) -> tuple[str, PendingCall]:
    """Log in with a password or a token that may be right."""
    params: dict[str, Any] = {"method": "bearer", "token": marked(stream.pick(("bob", "wrong", "no")))}
    if stream.happens(700):
        user, password = stream.pick(("ada", "ada", "bob")), stream.pick(("right", "wrong", "no", "never"))
        params = {"method": "password", "user": user, "password": marked(password)}
    return "auth", client.call("auth.login", params=params | _asks_for_cookie(client, stream))


def browse(client: Client, stream: Stream) -> tuple[str, PendingCall] | None:
    """The turn of a browser: it logs in with a cookie, or out. None: it does something else, or the client is none."""
    if not isinstance(client.protocol, HttpProtocol) or client.protocol.cookies is None:
        return None
    if not stream.happens(BROWSING):
        return None
    if client.protocol.cookies and stream.happens(500):
        return "auth", client.call("auth.logout")
    return "auth", client.call("auth.login", method="bearer", token=marked(stream.pick(("ada", "bob"))), cookie=True)


def draw_credentials(raging: Callable[[], bool], jar: list[bytes], stream: Stream) -> Credentials:
    """The credentials of a request or a handshake: none, one kind, or several, of one user or of two. In the second
    phase of a storm there are none: the server must answer everybody. The `jar` has the cookies of all clients."""
    if not raging():
        return Credentials()
    if stream.happens(BROWSERS):
        return Credentials(jar=jar, own=[])
    kind = stream.pick((NOTHING, NOTHING, BEARER, BASIC, OFFERED, BEARER + OFFERED, BASIC + OFFERED))
    cookies: Fields = ()
    if stream.happens(COOKIES):
        kind = stream.pick((NOTHING, NOTHING, NOTHING, kind))
        known = [*jar[-4:], b"__Host-posthouse=stolen"]
        more = stream.pick((b"", b"a=b; ", b"__host-posthouse=x; "))
        cookies = ((b"Cookie", more + known[stream.choose(len(known))]), *stream.pick(FETCHED[:2]))
    token, joint = marked(stream.pick(TOKENS)), stream.pick((JOINED, JOINED, " "))
    headers: Fields = ()
    if kind & BEARER:
        headers = ((b"Authorization", b"Bearer " + token.replace(" ", joint).encode()),)
    elif kind & BASIC:
        user, password = stream.pick(PASSWORDS)
        word = b64encode(f"{user}:{marked(password)}".encode())
        headers = ((b"Authorization", b"Basic " + word), *stream.pick(FETCHED))
    offers: tuple[bytes, ...] = ()
    if kind & OFFERED:
        other = stream.pick((token, token, marked(stream.pick(TOKENS))))
        offers = (BEARER_PROTOCOL + urlsafe_b64encode(other.encode()).rstrip(b"="),)
    return Credentials((*headers, *(each for each in cookies if each not in headers)), offers, jar)


def check_stats(identity: Identity, reply: HttpReply) -> None:
    """Raise Violation unless a client, who is this one without credentials, may get this answer of `/stats`."""
    must(reply.status in STATS_STATUSES, "answering: /stats has a status that it cannot have", reply.status)
    if reply.status not in (200, 401, 403) or reply.page.foreign or reply.page.sent.own is not None:
        return
    given = dict(reply.page.sent.headers)
    if not given:
        may = not identity.missing(STATS_SCOPES)
        must((reply.status == 200) is may, "answering: /stats does not depend on the scope", reply.status, identity)
        return
    refused = b'"error"' in (reply.body or b"")
    must(refused or reply.status != 401, "answering: credentials were accepted, and their user is not", *given)
    admin = given.get(b"Authorization") in ADMINS
    must(admin or reply.status != 200 or b"Cookie" in given, "answering: /stats is read without its scope", *given)
    must(not admin or reply.status != 403 or len(given) > 1, "answering: /stats is not read with its scope", *given)


def _asks_for_cookie(client: Client, stream: Stream) -> dict[str, Any]:
    over_http = isinstance(client.protocol, HttpProtocol)
    return {"cookie": True} if stream.happens(700 if over_http else 30) else {}


def act(client: Client, stream: Stream) -> tuple[str, PendingCall]:
    """Log in, refresh or log out. Returns the name by which to check the call, and the call."""
    method = stream.pick(("auth.login", "auth.login", "auth.refresh", "auth.logout"))
    params: dict[str, Any] = {}
    if method != "auth.logout":
        if stream.happens(100):
            return WRONG, client.call(method, params=stream.pick(WRONG_PARAMS))
        if stream.happens(700):
            params = {"method": "bearer", "token": marked(stream.pick(TOKENS if stream.happens(600) else BRIEF))}
        else:
            user, password = stream.pick(PASSWORDS)
            params = {"method": "password", "user": user, "password": marked(password)}
        params |= _asks_for_cookie(client, stream)
    return "auth", client.call(method, params=params)
