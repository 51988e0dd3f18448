"""What the client's WebSocket codec makes of a server: its answer to the handshake, and its frames."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports import Ended, HeadRead, OpeningRequest, Send, Text, WebSocketClient
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import CLOSE, FIN, MASKED, PING, RSV1, TEXT, frame
from posthouse.transports.websocket.handshake import accept_for, key_from

from tests.fuzz.conduct import Play
from tests.fuzz.cutting import Sent, read, written
from tests.fuzz.target import Planted, Target

CONFIG = Config(max_head_bytes=400, max_message_bytes=300, max_fragments=4, frames_per_turn=3, min_compress_bytes=20)

SCRIPTED, IS_OPEN, DEFLATES, ENDS_INPUT, CLOSES, SENDS = range(6)

COMPRESSED = 0x80
SIZE = 0x7F

ENDS = (None, 1002, 1006, 1007, 1008, 1009)
"""How it ends by itself; else with what the server's close frame says."""

ACCEPT = b"Sec-WebSocket-Accept: " + accept_for(key_from(bytes(16))) + b"\r\n"
AGREED = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
OPENED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + ACCEPT


def run(data: bytes) -> None:
    """Any bytes of a server open the connection, or `Ended(None)` says that they did not; then they become messages.

    A server's bytes lead to `HeadRead` once, before all else; to `Text` within the limit; to `Heard`, pongs, and one
    close frame; to one `Ended` with the server's code, or 1002, 1006, 1007, 1008 or 1009, and to `Shut`. Nothing
    raises, what is held is bounded, all that is sent is masked, and pieces say the same as the whole.

    With the option `SCRIPTED` what follows the head is a list of (first byte, size, payload) that is framed here.
    """
    sent = read(data)
    wire = OPENED + AGREED * sent.option(DEFLATES) + b"\r\n" if sent.option(IS_OPEN) else b""
    wire += framed(sent.wire) if sent.option(SCRIPTED) else sent.wire
    sent = Sent(sent.options, sent.sizes, wire)
    said = play(sent)
    if sent.option(SENDS) or sent.option(CLOSES):
        return  # what was said to the server when depends on where its bytes were cut
    assert said == play(sent.whole()), "pieces mean something else than the whole"


def framed(script: bytes) -> bytes:
    """The frames of a script."""
    frames = []
    at = 0
    while at + 1 < len(script):
        first, size = script[at], script[at + 1]
        payload = script[at + 2 : at + 2 + (size & SIZE)]
        at += 2 + (size & SIZE)
        frames.append(frame(first, deflate(payload) if size & COMPRESSED else payload))
    return b"".join(frames)


def play(sent: Sent) -> list[Any]:
    """What the codec says."""
    most = CONFIG.max_message_bytes
    codec = WebSocketClient(CONFIG, OpeningRequest(b"a", deflate=sent.option(DEFLATES)), entropy=bytes, now=0.0)
    longest = max((len(piece) for piece in sent.pieces()), default=0)
    stage = Play(codec, most_text=most, most_held=max(CONFIG.max_head_bytes, 2 * most + 600) + longest)
    opened = False

    def react(output: object) -> None:
        nonlocal opened
        if isinstance(output, HeadRead):
            opened = True
            if sent.option(SENDS):
                with suppress(UsageError):  # the server's close frame may have come with its answer
                    codec.send(b"x" * 30)
                codec.ping(b"p")
            if sent.option(CLOSES):
                codec.close(1000, 0.0)
        elif isinstance(output, Text):
            assert opened, "a text comes before the handshake"

    stage.react = react
    stage.feed(sent.pieces())
    if sent.option(ENDS_INPUT):
        stage.end_input()
    stage.leave()
    said = stage.conduct.meaning
    assert stage.conduct.ended, "it is shut and was never ended"
    assert (codec.opened is None) == (codec.rejected is not None) == (not opened), "it is neither open nor rejected"
    judge_end(said, opened=opened)
    request, *frames = [output.data for output in said if isinstance(output, Send)]
    assert request.startswith(b"GET /ws HTTP/1.1\r\n")
    assert all(written[1] & MASKED for written in frames), "a frame that is not masked"
    assert not any(written[0] == FIN | CLOSE for written in frames[:-1]), "something is sent behind our close frame"
    return said


def judge_end(said: list[Any], *, opened: bool) -> None:
    """Is the end one that a server can bring about?"""
    [code] = [output.code for output in said if isinstance(output, Ended)]
    assert (code is None) != opened, "it ended as if it had been open, or never"
    by_server = code is not None and (1000 <= code <= 1013 or 3000 <= code <= 4999)
    assert code in ENDS or by_server, f"it ended with {code}"


TARGET = Target(
    name="websocket_client",
    run=run,
    seeds=(
        written(OPENED + b"\r\n" + frame(FIN | TEXT, b"[]"), ENDS_INPUT, sizes=b"\x30\x01\x07"),
        written(OPENED + AGREED + b"\r\n" + frame(FIN | RSV1 | TEXT, deflate(b"abc" * 20)), DEFLATES),
        written(b"\x01\x02[1\x89\x01p\x80\x01]\x88\x02\x03\xe8", SCRIPTED, IS_OPEN, SENDS, sizes=b"\x50\x01\x02"),
        written(b"\xc1\x83abc\x82\x01x\x8a\x00", SCRIPTED, IS_OPEN, DEFLATES, CLOSES),
        written(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n"),
        written(frame(FIN | PING, b"p" * 125) + frame(FIN | TEXT, b"x" * 301), IS_OPEN),
    ),
    tokens=(
        OPENED,
        ACCEPT,
        AGREED,
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"Sec-WebSocket-Protocol: posthouse.v1.json\r\n",
        b"Sec-WebSocket-Extensions: ",
        b"; server_max_window_bits=10",
        b"\r\n\r\n",
        b"\r\n",
        b"\x81\x02[]",
        b"\x01\x01a",
        b"\x00\x01b",
        b"\x80\x01c",
        b"\x89\x01p",
        b"\x88\x02\x03\xe8",
        b"\x88\x00",
        b"\xc1\x83abc",
        b"\x82\x01x",
        b"\x81\x7e\x01\x2d",
        b"\x81\x7f\x00\x00\x00\x00\x00\x00\x01\x2c",
        b"\xc3\xa9",
        b"\xed\xa0\x80",
        b"x" * 127,
    ),
    boundary=re.compile(rb"(?s)\r\n|[\x00-\x02\x80-\x82\x88-\x8a\xc1\x41]."),
    planted=Planted(
        what="a pong is sent after our close frame",
        file="transports/posthouse/transports/client/websocket.py",
        before="if isinstance(event, Ping) and self._state is OPEN:",
        after="if isinstance(event, Ping):",
    ),
    max_len=900,
)
