"""Attacks of who is connected: reading nothing, inflating, making handlers raise."""

from __future__ import annotations

from contextlib import ExitStack

from posthouse.core.values.config import Config

from tests.abuse.attacker import compressed
from tests.abuse.inflating import INFLATING
from tests.abuse.sockets import EXCEPTIONS, PRIVATE
from tests.adapters.loopback import UPGRADE, text

from .field import Field, attack, require

KIB = 1024
READERS = 20
NEWS = 8_000
"""Bytes of one broadcast."""

QUEUE = 256 * KIB
AHEAD = 2 * 64 * KIB
"""What may be held for one peer beside its queue: one socket's write-ahead, and one slice on its way."""

MOST_NEWS = 5_000
"""Broadcasts after which a peer that reads nothing must have been closed: no system takes in so much for it."""


@attack(
    8,
    f"one of {READERS + 1} clients that are sent news reads none of it",
    limits=Config(max_queued_pushes_bytes=QUEUE),
    own=True,
)
def reading_nothing(field: Field) -> str:
    """It takes in as little as a socket can, until it was closed; then it reads what is left, to see its close code."""
    breached = "limit.max_queued_pushes_bytes"
    with ExitStack() as stack:
        control = stack.enter_context(field.connect())
        readers = [stack.enter_context(field.websocket()) for _ in range(READERS)]
        deaf = stack.enter_context(field.connect(window=4096))
        deaf.send(UPGRADE)
        deaf.status()
        for sent in range(MOST_NEWS):
            require(control.result("broadcast", [NEWS]) >= READERS, "not everybody was sent the news")
            for reader in readers:
                require(reader.next()["method"] == "news", "a reader was not told")
            if sent % 20 == 0:
                held = control.result("memory")
                require(held <= QUEUE + AHEAD, f"{held} bytes were held")
                if breached in control.result("stats"):
                    break
        else:
            require(False, "it was never closed")
        code = deaf.close_code()
    require(code == 4100, f"closed with {code}")
    return f"close 4100; at most {(QUEUE + AHEAD) // KIB} KiB held; the {READERS} others heard everything"


@attack(13, "compressed messages: 100 MB of blanks, 500 KB of blanks, and what is no deflate")
def messages_that_inflate(field: Field) -> str:
    """Each on a connection of its own."""
    for name, (payload, code) in INFLATING.items():
        with field.websocket(deflate=True) as peer:
            peer.send(compressed(payload))
            seen = peer.close_code()
            require(seen == code, f"{name}: closed with {seen} in place of {code}")
    if field.own is not None:
        held = field.ask("memory")
        require(held < 2 * KIB * KIB, f"{held} bytes are held afterwards")
    return "1009, 1009 and 1007"


@attack(44, "calls of handlers that raise, plain, as tasks and in threads, each of seven exceptions", own=True)
def handlers_that_raise(field: Field) -> str:
    """SystemExit, KeyboardInterrupt, GeneratorExit and a cancellation that nobody asked for are among them."""
    names = [f"{place}.{error.__name__}" for error in EXCEPTIONS for place in ("inline", "thread", "task")]
    with field.websocket() as peer, field.websocket() as sibling:
        sibling.say(text("work", [0.5]))
        for name in names:
            answer = peer.call(name, id=name)
            error = answer.get("error", {})
            require(answer["id"] == name and error.get("code") == -32603, f"{name} was answered {answer}")
            require(list(error["data"]) == ["incident"] and PRIVATE not in str(answer), f"{name} tells {error}")
        require(sibling.next().get("result") == 0.5, "another's call was touched")
    return f"-32603 with an incident id, {len(names)} times; another's call ended as it should"
