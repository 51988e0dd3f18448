"""Scenes of a client alone: its codec is given the bytes of servers that keep the rules, and of those that break them.

Each is given whole, and byte by byte: the outcome must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports.client.http import Http1Client
from posthouse.transports.client.responses import Response
from posthouse.transports.client.websocket import OpeningRequest, WebSocketClient
from posthouse.transports.codec import Binary, Send

CONFIG: Final = Config(max_head_bytes=300, max_response_bytes=20, max_message_bytes=20, close_timeout=2.0)

OK: Final = b"HTTP/1.1 200 OK\r\n"
TWO: Final = b"Content-Length: 2\r\n\r\nok"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"


def shown(output: list[Any]) -> str:
    """What a codec has put out."""
    texts = [str(each) if isinstance(each, Send) else repr(each) for each in output]
    output.clear()
    return "; ".join(texts)


def in_both_ways(
    stage: Stage, make: Callable[[], Any], give: Callable[[Any, bytes], object], data: bytes, end: Callable[[Any], Any]
) -> None:
    """Give bytes to a codec, whole and byte by byte, and note what it puts out."""
    seen = []
    for size in (len(data) or 1, 1):
        codec = make()
        shown(codec.output)
        for place in range(0, len(data), size):
            give(codec, data[place : place + size])
        held = codec.buffered
        seen.append(f"{shown(codec.output)} | held {held} | {end(codec)} | {shown(codec.output)}")
    stage.note(seen[0] if seen[0] == seen[1] else f"{seen[0]} BUT {seen[1]}")


RESPONSES: Final[dict[str, bytes]] = {
    "plain": OK + TWO,
    "named": b"HTTP/1.1 404 Not Found\r\nContent-Type: a\r\nX:  y z \r\n" + TWO,
    "no reason": b"HTTP/1.1 200\r\n" + TWO,
    "empty reason": b"HTTP/1.1 200 \r\n" + TWO,
    "no length": OK + b"\r\nuntil the end",
    "no length, too large": OK + b"\r\n" + b"x" * 21,
    "20 bytes": OK + b"Content-Length: 20\r\n\r\n" + b"x" * 20,
    "21 bytes": OK + b"Content-Length: 21\r\n\r\n" + b"x" * 21,
    "21 bytes, closing": OK + b"Connection: close\r\nContent-Length: 21\r\n\r\n" + b"x" * 21,
    "20 bytes, closing": OK + b"Connection: close\r\nContent-Length: 20\r\n\r\n" + b"x" * 20,
    "cut": OK + b"Content-Length: 3\r\n\r\nok",
    "cut, closing": OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nok",
    "a cut head": OK + b"Content-Le",
    "nothing": b"",
    "more": OK + TWO + OK,
    "more, closing": OK + b"Connection: close\r\n" + TWO + OK,
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "204 with a length": b"HTTP/1.1 204 No Content\r\n" + TWO,
    "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 30\r\n\r\n",
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + TWO,
    "103 twice": b"HTTP/1.1 103 Early\r\nA: b\r\n\r\n" * 2 + OK + TWO,
    "101": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nbytes",
    "1.0": b"HTTP/1.0 200 OK\r\n" + TWO,
    "1.0 until the end": b"HTTP/1.0 200 OK\r\n\r\nold",
    "2.0": b"HTTP/2.0 200 OK\r\n" + TWO,
    "no HTTP": b"SSH-2.0-x\r\n\r\n",
    "no status": b"HTTP/1.1 two OK\r\n" + TWO,
    "600": b"HTTP/1.1 600 X\r\n" + TWO,
    "two lengths": OK + b"Content-Length: 2\r\n" + TWO,
    "two other lengths": OK + b"Content-Length: 3\r\n" + TWO,
    "a list of lengths": OK + b"Content-Length: 2, 2\r\n\r\nok",
    "a negative length": OK + b"Content-Length: -2\r\n\r\nok",
    "a length with a sign": OK + b"Content-Length: +2\r\n\r\nok",
    "an empty length": OK + b"Content-Length:\r\n\r\nok",
    "a huge length": OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nok",
    "a length and chunks": OK + CHUNKED + TWO,
    "chunks": OK + CHUNKED + b"\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\n\r\n",
    "chunks with trailers": OK + CHUNKED + b"\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
    "chunks and more": OK + CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n" + OK,
    "chunks that end early": OK + CHUNKED + b"\r\n2\r\nok\r\n",
    "chunks without a size": OK + CHUNKED + b"\r\nxx\r\nok\r\n0\r\n\r\n",
    "chunks that are longer": OK + CHUNKED + b"\r\n1\r\nok\r\n0\r\n\r\n",
    "chunks of 20": OK + CHUNKED + b"\r\n14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n",
    "chunks of 21": OK + CHUNKED + b"\r\n15\r\n" + b"x" * 21 + b"\r\n0\r\n\r\n",
    "chunks of 10 and 11": OK + CHUNKED + b"\r\na\r\n" + b"x" * 10 + b"\r\nb\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n",
    "a long name of a chunk": OK + CHUNKED + b"\r\n2;" + b"x" * 290 + b"\r\nok\r\n0\r\n\r\n",
    "a longer name of a chunk": OK + CHUNKED + b"\r\n2;" + b"x" * 310 + b"\r\nok\r\n0\r\n\r\n",
    "long trailers": OK + CHUNKED + b"\r\n2\r\nok\r\n0\r\nA: " + b"b" * 400 + b"\r\n\r\n",
    "another coding": OK + b"Transfer-Encoding: gzip\r\n\r\nok",
    "line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "one line feed": b"HTTP/1.1 200 OK\nA: b\r\n" + TWO,
    "a folded field": OK + b"A: b\r\n c\r\n" + TWO,
    "a blank before a colon": OK + b"A : b\r\n" + TWO,
    "a field without a colon": OK + b"A\r\n" + TWO,
    "a control in a field": OK + b"A: \x01\r\n" + TWO,
    "a head of 300": OK + b"A: " + b"x" * (300 - len(OK + b"A: \r\n" + TWO) + 2) + b"\r\n" + TWO,
    "a head of 301": OK + b"A: " + b"x" * (301 - len(OK + b"A: \r\n" + TWO) + 2) + b"\r\n" + TWO,
    "a head of 320": OK + b"A: " + b"x" * 300,
    "a head of 300 that h11 reads": OK + b"Connection: a\r\nB: " + b"x" * 249 + b"\r\n" + TWO,
    "keep-alive": OK + b"Connection: keep-alive\r\n" + TWO,
    "upgrade": OK + b"Upgrade: h2c\r\n" + TWO,
}


@scene("a client over HTTP, and what servers answer")
def _http(stage: Stage) -> None:
    asked: tuple[tuple[bytes, Any], ...] = ((b"POST", ()), (b"HEAD", ()), (b"GET", ((b"Connection", b"Upgrade"),)))
    for method, headers in asked:

        def make(method: bytes = method, headers: Any = headers) -> Http1Client:
            client = Http1Client(CONFIG, b" host ")
            client.request(method, b"/rpc", headers, b"body" if method == b"POST" else b"")
            return client

        for name, data in RESPONSES.items():
            stage.note(f"-- {method.decode()} {name}")
            in_both_ways(stage, make, Http1Client.receive_data, data, ended_http)


def ended_http(client: Http1Client) -> bool:
    """End the input. Returns whether the client could have been used again."""
    reusable = client.reusable
    client.receive_eof()
    client.receive_eof()
    client.receive_data(b"x")
    return reusable


@scene("requests of a client over HTTP")
def _requests(stage: Stage) -> None:
    requests: tuple[tuple[bytes, bytes, Any, bytes], ...] = (
        (b"GET", b"/", (), b""),
        (b"GET", b"/a?b", ((b"A", b" b "), (b"c", b"d")), b"body"),
        (b"POST", b"/", (), b""),
        (b"PUT", b"*", (), b"x"),
        (b"G T", b"/", (), b""),
        (b"", b"/", (), b""),
        (b"GET", b"", (), b""),
        (b"GET", b"/ x", (), b""),
        (b"GET", b"/\x7f", (), b""),
        (b"CONNECT", b"/", (), b""),
        *((b"GET", b"/", ((name, b"x"),), b"") for name in (b"Host", b"content-length", b"Transfer-Encoding", b"a b")),
        *((b"GET", b"/", ((b"A", value),), b"") for value in (b"a\r\nb", b"\x00", b"", b"\xe4")),
    )
    for method, target, headers, body in requests:
        client = Http1Client(CONFIG, b"host:80")
        try:
            client.request(method, target, headers, body)
            stage.note(shown(client.output), client.reusable)
            client.request(method, target, headers, body)
        except UsageError as error:
            stage.note(method, target, "raises", error)
    client = Http1Client(CONFIG, b"host")
    for _ in range(2):
        client.request(b"GET", b"/")
        client.receive_data(OK + TWO)
        stage.note(client.reusable, client.buffered, shown(client.output))
    client.receive_data(OK)
    stage.note(client.reusable, shown(client.output))
    response = Http1Client(CONFIG, b"host")
    response.request(b"GET", b"/")
    response.receive_data(OK + b"A: first\r\na: second\r\n" + TWO)
    for answer in response.output:
        if isinstance(answer, Response):
            stage.note(answer.header(b"a"), answer.header(b"b"))


SWITCH: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n"
)
DEFLATE: Final = b"Sec-WebSocket-Extensions: permessage-deflate"

AGREED: Final = DEFLATE + b"; client_no_context_takeover; server_no_context_takeover\r\n"

HANDSHAKES: Final[dict[str, bytes]] = {
    "right": SWITCH,
    "in other letters": SWITCH.replace(b"websocket", b"WebSocket").replace(b"Upgrade\r", b"keep-alive, uPGRADE\r"),
    "another key": SWITCH.replace(b"ICX+", b"ICX-"),
    "no key": SWITCH.replace(b"Sec-WebSocket-Accept", b"X"),
    "two keys": SWITCH + b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n",
    "no upgrade": SWITCH.replace(b"Upgrade: websocket\r\n", b""),
    "another upgrade": SWITCH.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "no connection": SWITCH.replace(b"Connection: Upgrade\r\n", b""),
    "another connection": SWITCH.replace(b"Connection: Upgrade", b"Connection: close"),
    "200": SWITCH.replace(b"101 Switching Protocols", b"200 OK"),
    "401": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n",
    "1.0": SWITCH.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "no HTTP": b"SSH-2.0-x\r\n",
    "no reason": SWITCH.replace(b" Switching Protocols", b""),
    "a subprotocol": SWITCH + b"Sec-WebSocket-Protocol: posthouse.v1.json\r\n",
    "another subprotocol": SWITCH + b"Sec-WebSocket-Protocol: other\r\n",
    "two subprotocols": SWITCH + b"Sec-WebSocket-Protocol: posthouse.v1.json\r\n" * 2,
    "deflate": SWITCH + DEFLATE + b"\r\n",
    "deflate with bits": SWITCH + DEFLATE + b"; server_max_window_bits=9; client_max_window_bits=10\r\n",
    "deflate with takeover": SWITCH + DEFLATE + b"; client_no_context_takeover; server_no_context_takeover\r\n",
    "deflate with something": SWITCH + DEFLATE + b"; something\r\n",
    "deflate with many bits": SWITCH + DEFLATE + b"; server_max_window_bits=16\r\n",
    "deflate twice": SWITCH + DEFLATE + b", permessage-deflate\r\n",
    "another extension": SWITCH + b"Sec-WebSocket-Extensions: x\r\n",
    "too long": SWITCH + b"A: " + b"x" * 300 + b"\r\n",
}

FRAMES: Final[dict[str, bytes]] = {
    "a text": b"\x81\x02hi",
    "an empty text": b"\x81\x00",
    "bytes": b"\x82\x02hi",
    "two frames": b"\x01\x01h\x80\x01i",
    "a ping between": b"\x01\x01h\x89\x01p\x80\x01i",
    "a pong": b"\x8a\x00",
    "a text of 20": b"\x81\x14" + b"x" * 20,
    "a text of 21": b"\x81\x15" + b"x" * 21,
    "masked": b"\x81\x82\0\0\0\0hi",
    "a reserved bit": b"\xa1\x02hi",
    "a compressed text": b"\xc1\x04\xca\xc8\x04\x00",
    "an opcode": b"\x83\x00",
    "a long length": b"\x81\x7e\x00\x02hi",
    "a continuation": b"\x80\x02hi",
    "a text within a text": b"\x01\x01h\x81\x01i",
    "a long ping": b"\x89\x7e\x00\x7e" + b"x" * 126,
    "a ping in pieces": b"\x09\x00",
    "no UTF-8": b"\x81\x02\xc3\x28",
    "closed": b"\x88\x02\x03\xe8",
    "closed without a code": b"\x88\x00",
    "closed with a reason": b"\x88\x05\x03\xe8bye",
    "closed by half a code": b"\x88\x01\x03",
    "closed by a wrong code": b"\x88\x02\x03\xed",
    "closed by a code of its own": b"\x88\x02\x11\x30",
    "closed without UTF-8": b"\x88\x03\x03\xe8\xff",
    "a text behind the close frame": b"\x88\x02\x03\xe8\x81\x02hi",
    "an unfinished frame": b"\x81\x05hi",
    "a text behind a reserved bit": b"\xa1\x02hi\x81\x02hi",
    "a ping behind a text that is too large": b"\x81\x15" + b"x" * 21 + b"\x89\x00",
    "a ping behind a text without UTF-8": b"\x81\x02\xc3\x28\x89\x00",
    "a ping behind half a character": b"\x81\x01\xe2\x89\x00",
    "a character in two frames": b"\x01\x01\xc3\x80\x01\xa4",
    "half a character in two frames": b"\x01\x01\xc3\x80\x00",
    "a text of 20 in three frames": b"\x01\x08" + b"x" * 8 + b"\x00\x08" + b"x" * 8 + b"\x80\x04xxxx",
    "a text of 21 in three frames": b"\x01\x08" + b"x" * 8 + b"\x00\x08" + b"x" * 8 + b"\x80\x05xxxxx",
}


def socket(config: Config = CONFIG, **request: Any) -> WebSocketClient:
    """A client whose key and masks are known."""
    return WebSocketClient(config, OpeningRequest(b"host", **request), entropy=bytes, now=0.0)


def ended_socket(client: WebSocketClient) -> tuple[object, ...]:
    """End the input. Returns what the client says of itself before."""
    before = client.ready, client.opened, client.rejected, client.next_timeout()
    client.receive_eof(1.0)
    client.receive_eof(1.0)
    client.receive_data(b"\x81\x00", 1.0)
    return before


def give(client: WebSocketClient, data: bytes) -> None:
    """Give it bytes."""
    client.receive_data(data, 1.0)


@scene("a client of a WebSocket, and handshakes of servers")
def _handshakes(stage: Stage) -> None:
    for deflate in (True, False):
        for name, head in HANDSHAKES.items():
            stage.note(f"-- {name}, {deflate}")
            data = head + b"\r\n\x81\x02hi"
            in_both_ways(stage, partial(socket, deflate=deflate), give, data, ended_socket)


@scene("a client of a WebSocket, and frames of servers")
def _frames(stage: Stage) -> None:
    for extension in (b"", AGREED):
        for name, data in FRAMES.items():
            stage.note(f"-- {name}, {extension!r}")
            in_both_ways(stage, socket, give, SWITCH + extension + b"\r\n" + data, ended_socket)


@scene("what a client of a WebSocket sends")
def _sends(stage: Stage) -> None:
    requests: Sequence[dict[str, Any]] = (
        {},
        {"deflate": False, "subprotocols": ()},
        {"target": b"/a", "headers": ((b"A", b"b"),), "subprotocols": (b"a", b"b")},
        {"headers": ((b"A", b"b\r\n"),)},
        {"target": b"/a b"},
        {"headers": ((b"a b", b"c"),)},
    )
    for request in requests:
        try:
            stage.note(shown(socket(**request).output))
        except UsageError as error:
            stage.note(request, "raises", error)
    for extension in (b"", AGREED):
        client = socket(Config(min_compress_bytes=6, close_timeout=2.0))
        acts: tuple[Callable[[], object], ...] = (
            partial(client.send, b"early"),
            partial(give, client, SWITCH + extension + b"\r\n"),
            partial(client.send, b"small"),
            partial(client.send, b"larger"),
            partial(client.send, Binary(b"binary")),
            client.ping,
            partial(client.ping, b"x" * 125),
            partial(client.ping, b"x" * 126),
            partial(client.close, 1006, 2.0),
            partial(client.close, 999, 2.0),
            partial(client.close, 1000, 2.0),
            partial(client.send, b"late"),
            client.ping,
            partial(give, client, b"\x81\x02hi\x89\x00"),
            partial(client.close, 1001, 3.0),
            *(partial(client.handle_timeout, now) for now in (3.9, 4.0, 4.0)),
        )
        for act in acts:
            try:
                act()
            except UsageError as error:
                stage.note("raises", error)
            stage.note(client.ready, client.next_timeout(), client.buffered, shown(client.output))


@scene("deadlines of a client of a WebSocket")
def _deadlines(stage: Stage) -> None:
    opening = socket()
    for now in (4.9, 5.0, 6.0):
        opening.handle_timeout(now)
        stage.note(opening.next_timeout(), opening.rejected, shown(opening.output))
    for codes in ((1000, b"\x88\x02\x03\xe9"), (1005, b"\x88\x00"), (4999, b"\x88\x02\x03\xe8\x81\x00")):
        client = socket()
        give(client, SWITCH + b"\r\n")
        client.close(codes[0], 1.0)
        give(client, codes[1])
        stage.note(client.next_timeout(), shown(client.output))
        client.handle_timeout(3.0)
        client.receive_eof(3.0)
        stage.note(client.next_timeout(), shown(client.output))
