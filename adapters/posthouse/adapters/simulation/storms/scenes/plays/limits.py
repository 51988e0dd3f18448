"""Scenes about limits: each at its value, one below and one above, and the times that it counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import fields
from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.adapters.simulation.storms.scenes.words import call, frame, get, line, plain, post, upgrade
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

Act = Callable[[Stage], object]


def limited(name: str, **config: Any) -> Callable[[Act], Act]:
    """A scene with a server that has these limits. A client `a` may connect."""

    def declare(act: Act) -> Act:
        def play(stage: Stage) -> None:
            stage.pipes("unused")
            stage.serve(plain(), config=Config(**config), host="127.0.0.1")
            act(stage)

        scene(name)(play)
        return act

    return declare


def each(stage: Stage, *sent: bytes, seconds: float = 0.05) -> None:
    """Each of these from a client of its own."""
    for number, data in enumerate(sent):
        stage.client(f"client {number}").send(data, seconds)


def socket(stage: Stage, name: str = "a", *headers: str, capacity: int = 1 << 20) -> Any:
    """A WebSocket."""
    client = stage.client(name, capacity=capacity)
    client.send(upgrade(*headers))
    return client


@scene("the smallest and greatest value of each limit")
def _ranges(stage: Stage) -> None:
    for field in fields(Config):
        taken = []
        values: tuple[Any, ...] = (
            -1,
            0,
            1,
            200,
            201,
            2**53,
            2**53 + 1,
            -0.5,
            0.5,
            True,
            None,
            "x",
            ("unix",),
            ("10.0.0.1",),
            (),
        )
        for value in values:
            try:
                Config(**{field.name: value})
                taken.append(value)
            except UsageError as error:
                if value == -1:
                    stage.note(error)
        stage.note(field.name, field.default, taken)


@limited("heads of n - 1, n and n + 1 bytes", max_head_bytes=100)
def _head_bytes(stage: Stage) -> None:
    for size in (99, 100, 101):
        base = get("/nowhere", "Connection: close")
        each(stage, base.replace(b"\r\n\r\n", b"\r\nA: " + b"x" * (size - len(base) - 5) + b"\r\n\r\n"))
    each(stage, b"GET /" + b"x" * 94, b"GET /" + b"x" * 95, b"GET /" + b"x" * 96)


@limited("heads of n - 1, n and n + 1 fields", max_headers=5)
def _headers(stage: Stage) -> None:
    for number in (3, 4, 5):
        each(stage, get("/nowhere", *["A: b"] * number))


@limited("targets of n - 1, n and n + 1 bytes", max_target_bytes=10)
def _target(stage: Stage) -> None:
    each(stage, *(get("/" + "x" * (size - 1)) for size in (9, 10, 11)))


@limited("bodies of n - 1, n and n + 1 bytes", max_body_bytes=60)
def _body(stage: Stage) -> None:
    for size in (59, 60, 61):
        body = call("echo", "x").ljust(size)
        each(stage, post(body), post(body, "Expect: 100-continue"))
        chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
        head = post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        each(stage, head + chunks)


@limited("bodies without chunks", allow_chunked=False)
def _unchunked(stage: Stage) -> None:
    each(stage, post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked"))


@limited("a body that comes too slowly", body_timeout=3.0, min_body_rate=100.0)
def _slow_body(stage: Stage) -> None:
    client = stage.client()
    client.send(post(b" " * 1000)[:-990], 1.5)
    for _ in range(4):
        client.send(b" " * 100, 0.6)
    other = stage.client("b")
    other.send(post(b" " * 1000)[:-700], 1.9)
    other.send(b" " * 100, 2.0)


@limited("a head that comes too slowly", head_timeout=2.0)
def _slow_head(stage: Stage) -> None:
    stage.client("silent")
    stage.client("begun").send(b"GET", 1.9)
    stage.client("late").send(b"GET / HT", 0.2)
    stage.wait(3.0)


@limited("the time between two requests", keep_alive_timeout=1.0)
def _keep_alive(stage: Stage) -> None:
    client = stage.client()
    client.send(get("/nowhere"), 0.9)
    client.send(get("/nowhere"), 0.9)
    client.send(b"GET", 3.0)


@limited("the time for an answer behind the end of the input", half_close_timeout=1.0)
def _half_close(stage: Stage) -> None:
    for seconds in (0.9, 1.2):
        client = stage.client(f"{seconds}")
        client.send(post(call("wait", "x", seconds)) + post(call("echo", "behind")), 0.0)
        client.end(2.0)


@limited("messages of n - 1, n and n + 1 bytes", max_message_bytes=60)
def _message(stage: Stage) -> None:
    for size in (59, 60, 61):
        text = call("echo", "x").ljust(size)
        socket(stage, f"{size}").send(frame(text))
        socket(stage, f"{size} in two").send(frame(text[:30], 0x01) + frame(text[30:], 0x80))


@limited("fragments of one message", max_fragments=2, message_timeout=1.0)
def _fragments(stage: Stage) -> None:
    text = call("echo", "x")
    for number in (1, 2, 3):
        pieces = [text[place::1][: len(text) // number + 1] for place in range(0, len(text), len(text) // number + 1)]
        client = socket(stage, f"{number}")
        for place, piece in enumerate(pieces):
            client.send(frame(piece, (0x01 if place == 0 else 0x00) | (0x80 if place == len(pieces) - 1 else 0)))
    client = socket(stage, "slow")
    client.send(frame(text[:5], 0x01), 0.9)
    client.send(frame(text[5:9], 0x00), 0.3)
    client.send(frame(text[9:], 0x80), 2.0)


@limited("pings at their rate, and above it", control_rate=1.0, control_burst=3)
def _pings(stage: Stage) -> None:
    client = socket(stage)
    for number in range(4):
        client.send(frame(b"%d" % number, 0x89), 0.4)
    client.send(b"".join(frame(b"%d" % number, 0x89) for number in range(8)), 2.0)
    other = socket(stage, "b")
    other.send(b"".join(frame(b"", 0x8A) for _ in range(12)), 1.0)


@limited("compressed answers from n bytes on", min_compress_bytes=60)
def _compress(stage: Stage) -> None:
    client = socket(stage, "a", "Sec-WebSocket-Extensions: permessage-deflate")
    empty = len(call("big", "")) - 20
    for size in range(20, 28):
        client.send(frame(call("big", size)))
    stage.note(empty)


@limited("the depth of a message", max_depth=4)
def _depth(stage: Stage) -> None:
    client = socket(stage)
    for depth in (1, 2, 3, 4):
        client.send(frame(call("echo", "x", extra=None)[:-1].replace(b'"x"', b"[" * depth + b"]" * depth) + b"}"))


@limited("ids and names of methods", max_id_bytes=10, max_method_bytes=10)
def _names(stage: Stage) -> None:
    client = socket(stage)
    for size in (7, 8, 9, 10):
        client.send(frame(call("echo", "x", id="i" * size)))
    for size in (9, 10, 11):
        client.send(frame(call("m" * size)))
    client.send(frame(call("echo", "x", id=1234567890)) + frame(call("echo", "x", id=12345678901)))


@limited("batches of n - 1, n and n + 1 entries", max_batch=3, max_batch_reply_bytes=200, max_response_bytes=150)
def _batch(stage: Stage) -> None:
    client = socket(stage)
    for size in (2, 3, 4):
        client.send(frame(b"[" + b",".join(call("echo", "x", id=number) for number in range(size)) + b"]"))
    for size in (20, 50, 60, 70, 110, 116, 117, 118, 119, 120):
        client.send(frame(call("big", size)))
        client.send(frame(b"[" + call("big", size) + b"," + call("big", size, id=2) + b"]"))


@limited("invalid messages", max_bad_messages=2)
def _bad(stage: Stage) -> None:
    client = socket(stage)
    for _ in range(2):
        client.send(frame(b"7"), 31.0)
    client.send(frame(b"7"), 1.0)
    client.send(frame(b"7"), 1.0)
    client.send(frame(b"7"), 1.0)


@limited("calls that wait", max_calls_per_connection=1, max_waiting_calls=2, max_waiting_bytes=200)
def _waiting(stage: Stage) -> None:
    client = socket(stage)
    for number in range(5):
        client.send(frame(call("wait", "x", 0.5, id=number)))
    stage.wait(3.0)
    client.send(frame(call("wait", "x", 0.5)))
    for size in (90, 300):
        client.send(frame(call("echo", "x" * size, id=size)))


@limited("calls of all clients", max_calls=2)
def _calls(stage: Stage) -> None:
    for name in "abc":
        socket(stage, name).send(frame(call("wait", name, 0.5)))
    stage.wait(1.0)


@limited("the rate of calls", call_rate=2.0)
def _rate(stage: Stage) -> None:
    client = socket(stage)
    for number in range(6):
        client.send(frame(call("echo", "x", id=number)), 0.3)
    for number in range(60):
        client.send(frame(call("echo", "x", id=number)), 0.2)
    stage.client("b").send(post(call("echo", "x")) * 4)


@limited("connections at their limit", max_connections=2)
def _connections(stage: Stage) -> None:
    for name in "abc":
        socket(stage, name)
    stage.client("d").send(post(call("echo", "x")))


@limited("connections of an address", max_connections_per_address=2, observe=("accept_rate_per_address",))
def _addresses(stage: Stage) -> None:
    for name in "abc":
        socket(stage, name)
    stage.client("d", peer=("10.0.0.8", 1)).send(post(call("echo", "x")))


@limited("the rate of accepted sockets", accept_rate_per_address=1.0)
def _accepted(stage: Stage) -> None:
    for number in range(5):
        stage.client(f"{number}").send(get("/nowhere", "Connection: close"), 0.4)


@limited("heartbeats", heartbeat_interval=2.0, heartbeat_timeout=1.0)
def _heartbeats(stage: Stage) -> None:
    socket(stage, "silent")
    client = socket(stage, "alive")
    for _ in range(4):
        client.send(frame(b"", 0x8A), 1.0)
    stage.wait(5.0)


@limited("idle connections", idle_timeout=1.0)
def _idle(stage: Stage) -> None:
    socket(stage, "silent")
    client = socket(stage, "calling")
    client.send(frame(call("wait", "x", 2.0)), 2.5)
    client.send(frame(b"", 0x89), 2.0)


@limited(
    "pushes to a client that does not read",
    write_ahead=100,
    max_queued_pushes=2,
    max_queued_pushes_bytes=400,
    max_push_age=1.0,
)
def _pushes(stage: Stage) -> None:
    for size, times in ((10, 4), (200, 3), (10, 1)):
        client = socket(stage, f"{size}", capacity=300)
        client.pause()
        for number in range(times):
            client.send(frame(call("tell", f"news{number}", size, id=number)))
        stage.wait(2.0)
        client.resume()


@limited("replies to a client that does not read", write_ahead=100, max_queued_replies_bytes=500, write_timeout=2.0)
def _replies(stage: Stage) -> None:
    client = socket(stage, capacity=200)
    client.pause()
    for number in range(4):
        client.send(frame(call("big", 300, id=number)), 0.2)
    stage.wait(4.0)
    other = stage.client("b", capacity=100)
    other.pause()
    other.send(post(call("big", 5000)), 1.0)
    other.resume()
    other.pause()
    stage.wait(4.0)


@limited("closing takes its time", close_timeout=1.0)
def _closing(stage: Stage) -> None:
    client = socket(stage)
    client.send(frame(b"\xff\xff", 0x82), 3.0)
    polite = socket(stage, "b")
    polite.send(frame(b"\xff\xff", 0x82))
    polite.send(frame(b"\x03\xeb", 0x88))
    polite.end()


@scene("lines and framed messages of n - 1, n and n + 1 bytes")
def _pipes(stage: Stage) -> None:
    clients = [stage.pipes(name) for name in ("lines", "headers")]
    config = Config(max_message_bytes=60, max_head_bytes=200, stdio_grace=0.5, idle_timeout=5.0)
    stage.serve(plain(), pipes=[pipes for _, pipes in clients], config=config)
    lines, headers = (client for client, _ in clients)
    for size in (59, 60, 61, 62):
        text = call("echo", "x").ljust(size)
        lines.send(line(text))
        lines.send(text[:50])
        lines.send(text[50:] + b"\r\n")
        headers.send(b"Content-Length: %d\r\n\r\n%b" % (size, text))
    stage.wait(6.0)
