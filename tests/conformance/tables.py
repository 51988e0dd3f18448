"""All tables, each with the transports that its cases travel over, and how one case of it is run.

A case passes when what was seen equals what the table has. How a table is asked is here once, for every place alike:
in memory, and over real sockets and pipes on each event loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec import Raw, Struct, json
from posthouse.core.values.config import Config
from posthouse.transports.codec import Text
from posthouse.transports.pipes.content_length import ContentLengthFraming
from posthouse.transports.pipes.newline import NewlineFraming
from posthouse.transports.websocket.frames import CLOSE, FIN, PING, TEXT

from tests.abuse.attacker import DEFLATE, frame
from tests.abuse.attacker import UPGRADE as OPENING

from .exchanges import EXCHANGES, FENCE, Broken
from .http_cases import CODES, REQUESTS, SMUGGLING, HttpCase
from .jsonrpc_cases import BATCHES, EDGES, EXAMPLES, IDS, ROW_18, Case, echoed
from .places import Place
from .stdio_cases import HEADERS, LINES, StdioCase
from .websocket_cases import CLOSES, FRAMES, HANDSHAKES, FrameCase
from .wires import Silence, Wire, read_all

Seen = Any
"""What came of a case, in a form that can be compared."""


class Check(Struct, frozen=True):
    """One case: `see` asks a place over a transport, and `expected` is what must be seen."""

    name: str
    expected: Seen
    see: Callable[[Place, str], Seen]

    def fault(self, place: Place, transport: str) -> str:
        """What is wrong, or nothing."""
        try:
            seen = self.see(place, transport)
        except Silence:
            return "the server said nothing more, and did not end"
        except (Broken, OSError) as error:
            return str(error)
        return "" if seen == self.expected else f"expected {shown(self.expected)}, saw {shown(seen)}"


def shown(seen: Seen) -> str:
    """A value in at most 300 characters."""
    text = repr(seen)
    return text if len(text) <= 300 else f"{text[:297]}..."


class Table(Struct, frozen=True):
    """Checks of one kind. `about` is the standard, or the part of it, that they are taken from."""

    name: str
    about: str
    transports: tuple[str, ...]
    checks: tuple[Check, ...]


# JSON-RPC, over everything


def without_data(reply: Any) -> Any:
    """A reply without the `data` of its errors."""
    if isinstance(reply, list):
        return [without_data(entry) for entry in reply]
    if isinstance(reply, dict) and "error" in reply:
        return {**reply, "error": {name: value for name, value in reply["error"].items() if name != "data"}}
    return reply


def answer(case: Case) -> Check:
    """The replies to a text: one, or none."""

    def see(place: Place, transport: str) -> Seen:
        replies = EXCHANGES[transport](place, case.sent, case.limits)
        return [without_data(json.decode(reply)) for reply in replies]

    return Check(case.name, [] if case.reply is None else [case.reply], see)


class Reply(Struct):
    """The id of a reply as it was written."""

    id: Raw


def same_id(id: bytes) -> Check:
    """The id that comes back."""

    def see(place: Place, transport: str) -> Seen:
        return [bytes(json.decode(reply, type=Reply).id) for reply in EXCHANGES[transport](place, echoed(id), Config())]

    return Check(id.decode(), [id], see)


# HTTP, as bytes

LAST: Final = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
"""The request behind each case."""


def http(case: HttpCase) -> Check:
    """The statuses of all answers, the one to the last request among them, and the headers that matter."""

    def see(place: Place, transport: str) -> Seen:
        with place.stream(case.limits) as wire:
            wire.send(case.sent + (b"" if case.alone or case.status == 101 else LAST))
            data = wire.receive()
            if case.status != 101 or not data.startswith(b"HTTP/1.1 101 "):
                data += read_all(wire)
        answers = split(data, bodiless=case.sent.startswith(b"HEAD"))
        headers = answers[-2 if case.kept else -1][1] if len(answers) > case.kept else {}
        return [status for status, _ in answers], {name: headers.get(name) for name in case.headers}

    statuses = list(case.answers or (case.status,)) + [200] * case.kept
    return Check(case.name, (statuses, case.headers), see)


def split(data: bytes, *, bodiless: bool) -> list[tuple[int, dict[str, str | None]]]:
    """The answers in it: status and headers. `bodiless`: the first has no body, whatever length it names."""
    answers: list[tuple[int, dict[str, str | None]]] = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        headers: dict[str, str | None] = {name.lower(): value for name, _, value in pairs}
        if not first.startswith("HTTP/1.1 "):
            raise Broken(f"no HTTP answer: {shown(first)}")
        if not bodiless:
            data = data[int(headers.get("content-length") or 0) :]
        bodiless = False
        answers.append((int(first.split(" ")[1]), headers))
    return answers


# WebSocket, as bytes


def frames(case: FrameCase) -> Check:
    """The frames that come, up to the server's close frame or the answer to a last call."""

    def see(place: Place, transport: str) -> Seen:
        with place.stream(case.limits) as wire:
            wire.send(OPENING % (DEFLATE if case.deflate else b""))
            received = bytearray()
            while b"\r\n\r\n" not in received:
                received += more(wire)
            opened, _, rest = bytes(received).partition(b"\r\n\r\n")
            if not opened.startswith(b"HTTP/1.1 101 ") or (b"permessage-deflate" in opened) is not case.deflate:
                raise Broken(f"no WebSocket as was asked for: {shown(opened)}")
            wire.send(case.sent + (b"" if case.ends else frame(FENCE)))
            return hear(wire, rest)

    return Check(case.name, list(case.frames), see)


def hear(wire: Wire, data: bytes) -> list[tuple[int, bytes]]:
    """Frames, until one is the last; without pings of the server's own and without the `data` of errors."""
    heard: list[tuple[int, bytes]] = []
    while True:
        while len(data) < 2 or len(data) < (size := whole(data)):
            data += more(wire)
        first, payload, data = data[0], data[start(data) : size], data[size:]
        if first == FIN | TEXT and b'"fence"' in payload:
            return heard
        if first == FIN | TEXT:
            payload = json.encode(without_data(json.decode(payload)))
        if first != FIN | PING:
            heard.append((first, payload))
        if first == FIN | CLOSE:
            return heard


def start(data: bytes) -> int:
    """Where the payload of the first frame begins."""
    return {126: 4, 127: 10}.get(data[1], 2)


def whole(data: bytes) -> int:
    """The size of the first frame, or of its beginning where that does not tell yet."""
    begin = start(data)
    if len(data) < begin:
        return begin
    return begin + (data[1] if begin == 2 else int.from_bytes(data[2:begin]))


def more(wire: Wire) -> bytes:
    """Some bytes. Raises Broken at their end."""
    data = wire.receive()
    if not data:
        raise Broken("the connection ended without a close frame")
    return data


# Pipes, as bytes


def framing(case: StdioCase, codec: Callable[[Config], NewlineFraming | ContentLengthFraming]) -> Check:
    """All replies until the server ends."""

    def see(place: Place, transport: str) -> Seen:
        with place.pipe(case.limits) as wire:
            wire.send(case.sent)
            wire.end()
            data = read_all(wire)
        reader = codec(Config())
        reader.receive_data(data, 0.0)
        return [without_data(json.decode(output.data)) for output in reader.output if isinstance(output, Text)]

    return Check(case.name, list(case.replies), see)


EVERYWHERE: Final = tuple(EXCHANGES)
ONE_WEBSOCKET: Final = ("WebSocket",)

TABLES: Final = (
    Table("examples", "JSON-RPC 2.0, section 7", EVERYWHERE, tuple(map(answer, EXAMPLES))),
    Table("requests", "JSON-RPC 2.0, sections 4 and 5", EVERYWHERE, tuple(map(answer, EDGES))),
    Table("batches", "JSON-RPC 2.0, section 6", EVERYWHERE, tuple(map(answer, BATCHES))),
    Table("ids", "JSON-RPC 2.0, section 5: byte for byte", EVERYWHERE, tuple(map(same_id, IDS))),
    Table("no JSON-RPC", "RFC 8259, and the limits", EVERYWHERE, tuple(map(answer, ROW_18))),
    Table("statuses", "error codes as HTTP says them", ("HTTP",), tuple(map(http, CODES))),
    Table("HTTP", "RFC 9110, RFC 9112, Fetch", ("HTTP",), tuple(map(http, REQUESTS))),
    Table("ambiguity", "RFC 9112: nothing that can be read in two ways", ("HTTP",), tuple(map(http, SMUGGLING))),
    Table("handshakes", "RFC 6455 section 4, RFC 7692 section 7.1", ONE_WEBSOCKET, tuple(map(http, HANDSHAKES))),
    Table("frames", "RFC 6455 sections 5 and 6, RFC 7692 section 7.2", ONE_WEBSOCKET, tuple(map(frames, FRAMES))),
    Table("close codes", "RFC 6455 section 7.4, and the limits", ONE_WEBSOCKET, tuple(map(frames, CLOSES))),
    Table("lines", "one JSON text per line", ("stdio, lines",), tuple(framing(case, NewlineFraming) for case in LINES)),
    Table(
        "headers",
        "the base protocol of LSP",
        ("stdio, Content-Length",),
        tuple(framing(case, ContentLengthFraming) for case in HEADERS),
    ),
)
"""Every table, in the order in which they are told."""
