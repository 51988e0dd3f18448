"""Attacks on how a connection opens: slow heads, pages from elsewhere, too many sockets, too few descriptors."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing

from posthouse.core.values.config import Config

from tests.abuse.attacker import status
from tests.abuse.sockets import EVIL, GOOD
from tests.adapters.loopback import UPGRADE, post, text

from .field import Field, attack, require
from .peer import Peer

CALL = post(text("connection.ping"))
STATS = b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
PREFLIGHT = b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Method: POST\r\n\r\n"

SOCKETS = 500
PER_ADDRESS = 20
DESCRIPTORS = 160
BACK_WITHIN = 1.0
"""Seconds in which a server must serve newcomers once there are descriptors again."""


@attack(1, f"{SOCKETS} sockets send a request's head byte by byte", limits=Config(head_timeout=1.5))
def heads_that_drip(field: Field) -> str:
    """They send as long as they may, and wait for the answer."""
    with ExitStack() as stack:
        peers = [stack.enter_context(field.connect()) for _ in range(SOCKETS)]
        for byte in b"POST":
            for peer in peers:
                peer.send(bytes([byte]))
        answered = [status(peer.rest()) for peer in peers]
    late = answered.count(408)
    require(late == SOCKETS, f"only {late} of {SOCKETS} were answered 408")
    return f"all {SOCKETS} answered 408 and closed"


def refused(field: Field, request: bytes, expected: int, *lines: bytes) -> bytes:
    """The head of the answer to a request, after which the server must close and say nothing more."""
    with field.connect() as peer:
        answered, head = peer.ask(request, *lines)
        require(answered == expected, f"answered {answered} in place of {expected}")
        require(peer.rest() == b"", "something was said behind the refusal")
    return head


def allowed(field: Field, request: bytes, expected: int, *lines: bytes) -> bytes:
    """The head of the answer to a request that may pass."""
    with field.connect() as peer:
        answered, head = peer.ask(request, *lines)
    require(answered == expected, f"what may pass was answered {answered} in place of {expected}")
    return head


@attack(30, "WebSocket handshakes with the Origin of another page, and with `null`")
def websockets_from_elsewhere(field: Field) -> str:
    """A page that the user has open beside ours."""
    for origin in (EVIL, b"null"):
        refused(field, UPGRADE, 403, b"Origin: " + origin)
    if field.own is not None:
        allowed(field, UPGRADE, 101, b"Origin: " + GOOD)
    return "403 and closed"


@attack(31, "a handshake, a call and a look at `/stats` of a page whose name now stands for the server's address")
def rebound_names(field: Field) -> str:
    """A name of the attacker's that now stands for our address."""
    for request in (UPGRADE, CALL, STATS):
        with field.connect() as peer:
            name = b"evil.example:%d" % field.place.port
            peer.send(request.replace(b"Host: localhost", b"Host: %b\r\nOrigin: http://%b" % (name, name)))
            answered, _ = peer.status()
            require(answered == 421, f"answered {answered} in place of 421")
            require(peer.rest() == b"", "something was said behind the refusal")
    return "421 and closed, three times"


@attack(32, "calls that a page from elsewhere posts, as JSON and as the form that needs no leave")
def posts_from_elsewhere(field: Field) -> str:
    """What a page can send without reading the answer."""
    form = CALL.replace(b"application/json", b"text/plain")
    heads = [refused(field, CALL, 403, b"Origin: " + EVIL), refused(field, form, 403, b"Origin: " + EVIL)]
    refused(field, form, 415)
    require(not any(b"Access-Control" in head for head in heads), "the page may read the refusal")
    if field.own is not None:
        allowed(field, CALL, 200, b"Origin: " + GOOD)
    return "403; 415 for the form without an Origin"


@attack(33, "preflights of a page from elsewhere, and of one that is allowed", own=True)
def preflights(field: Field) -> str:
    """A browser's question, whether the page may call."""
    refused(field, PREFLIGHT, 403, b"Origin: " + EVIL)
    head = allowed(field, PREFLIGHT, 204, b"Origin: " + GOOD)
    require(b"Access-Control-Allow-Origin: " + GOOD in head, "the origin that may call is not told so")
    require(b"*" not in head and b"Credentials" not in head, "too much is allowed")
    return "403; 204 for the allowed origin, by its name and without credentials"


@attack(
    40,
    f"one address opens 100 sockets where {PER_ADDRESS} are allowed, those of the good client among them",
    limits=Config(max_connections_per_address=PER_ADDRESS),
    own=True,
)
def too_many_sockets(field: Field) -> str:
    """The good client comes from the same address: it was there before."""
    with ExitStack() as stack:
        peers = [stack.enter_context(field.connect()) for _ in range(100)]
        served = [serves(peer) for peer in peers].count(True)
    free = PER_ADDRESS - 2
    require(served == free, f"{served} were served where {free} may be")
    serves_again(field)
    return f"{free} served, {100 - free} closed without a byte; once they had left, served again"


def serves(peer: Peer) -> bool:
    """Is this connection served?"""
    try:
        answered, _ = peer.ask(CALL)
    except (ConnectionError, TimeoutError):
        return False
    return answered == 200


def serves_again(field: Field) -> None:
    """Newcomers must be served soon."""
    until = time.monotonic() + BACK_WITHIN
    while True:
        with field.connect() as peer:
            if serves(peer):
                return
        require(time.monotonic() < until, f"nobody new was served within {BACK_WITHIN:g} s")


@attack(
    41,
    f"300 sockets to a process that may have {DESCRIPTORS} descriptors",
    descriptors=DESCRIPTORS,
    own=True,
)
def descriptors_that_run_out(field: Field) -> str:
    """They stay in the backlog, until the server has a descriptor for them, or are closed unread."""
    line = "no file descriptors left"
    with ExitStack() as stack:
        live = stack.enter_context(field.websocket())
        for _ in range(300):
            connection = stack.enter_context(closing(socket.socket()))
            connection.setblocking(False)
            connection.connect_ex((field.place.host, field.place.port))
        until = time.monotonic() + 10.0
        while line not in field.logged():
            require(time.monotonic() < until, "the server did not notice")
            require("result" in live.call("echo", [1]), "who was connected was not answered")
    serves_again(field)
    lines = field.logged().count(line)
    require(lines == 1, f"{lines} lines in the log")
    return "who was connected was answered all the time; one line in the log; served again within 1 s"
