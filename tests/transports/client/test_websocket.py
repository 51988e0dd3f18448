"""The client's side of a WebSocket, alone and joined to the server's by a fake wire."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports.client.websocket import OpeningRequest, WebSocketClient
from posthouse.transports.codec import ABNORMAL, Binary, Ended, Handshake, HeadRead, Heard, Output, Send, Shut, Text
from posthouse.transports.websocket.deflate import deflate
from posthouse.transports.websocket.frames import CLOSE, FIN, PING, PONG, RSV1, TEXT, close_payload, frame, masked_frame
from posthouse.transports.websocket.handshake import OFFER, SUBPROTOCOL, Opened, accept_for, judge
from posthouse.transports.websocket.server import WebSocket

from tests.values import changeable


def counter() -> Callable[[int], bytes]:
    """Entropy that a test can foretell: 00 01 02 ..."""
    drawn = iter(range(1 << 30))
    return lambda size: bytes(next(drawn) % 256 for _ in range(size))


KEY = b"AAECAwQFBgcICQoLDA0ODw=="
MASK = bytes((16, 17, 18, 19))
ACCEPTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection:Upgrade\r\n"
    b"SEC-WEBSOCKET-ACCEPT: %b\r\n\r\n" % accept_for(KEY)
)


def client(config: Config = Config(), *, deflate: bool = False) -> WebSocketClient:
    return WebSocketClient(config, OpeningRequest(b"h", deflate=deflate), entropy=counter(), now=0.0)


def drain(machine: WebSocketClient | WebSocket) -> list[Output]:
    outputs = list(machine.output)
    machine.output.clear()
    return outputs


def take(machine: WebSocketClient, data: bytes, now: float = 0.0) -> list[Output]:
    machine.receive_data(data, now)
    return drain(machine)


def opened(config: Config = Config()) -> WebSocketClient:
    machine = client(config)
    machine.receive_data(ACCEPTED, 0.0)
    machine.output.clear()
    return machine


def masked(first: int, payload: bytes = b"") -> Send:
    """What an opened client sends first."""
    return Send(masked_frame(first, payload, MASK))


# Handshake


def test_it_begins_with_its_request() -> None:
    (request,) = drain(client())
    assert isinstance(request, Send)
    assert request.data.startswith(b"GET /ws HTTP/1.1\r\nHost: h\r\n")
    assert b"Sec-WebSocket-Key: " + KEY in request.data


def test_an_opening_request_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.client.websocket") == []


def test_its_request_has_the_given_headers_and_offers_compression_by_default() -> None:
    def asked(**options: Any) -> bytes:
        (request,) = drain(WebSocketClient(Config(), OpeningRequest(b"h", **options), entropy=counter(), now=0.0))
        assert isinstance(request, Send)
        return request.data

    assert b"Sec-WebSocket-Extensions: permessage-deflate" in asked()
    assert b"Sec-WebSocket-Extensions" not in asked(deflate=False)
    assert b"Sec-WebSocket-Protocol: posthouse.v1.json\r\n" in asked()
    assert b"Sec-WebSocket-Protocol: chat\r\n" in asked(subprotocols=(b"chat",))
    assert b"\r\nOrigin: null\r\n" in asked(headers=((b"Origin", b"null"),))


def test_a_selection_that_it_did_not_offer_is_rejected() -> None:
    machine = WebSocketClient(
        Config(), OpeningRequest(b"h", deflate=False, subprotocols=()), entropy=counter(), now=0.0
    )
    assert machine.rejected is None
    for more, what in ((b"Extensions: %b" % OFFER, "extension"), (b"Protocol: %b" % SUBPROTOCOL, "subprotocol")):
        machine = WebSocketClient(
            Config(), OpeningRequest(b"h", deflate=False, subprotocols=()), entropy=counter(), now=0.0
        )
        machine.receive_data(ACCEPTED[:-2] + b"Sec-WebSocket-" + more + b"\r\n\r\n", 0.0)
        assert machine.rejected is not None
        assert f"selected a{'n' if what == 'extension' else ''} {what} that was not offered" in machine.rejected


def test_an_answer_may_be_as_long_as_any_head() -> None:
    size = len(ACCEPTED) - 4
    for limit, fits in ((size, True), (size - 1, False)):
        machine = client(Config(max_head_bytes=limit))
        machine.receive_data(ACCEPTED, 0.0)
        assert (machine.opened is not None) is fits


def test_an_answer_at_any_split_opens_it_and_what_follows_is_parsed() -> None:
    data = ACCEPTED + frame(FIN | TEXT, b"Hello")
    for cut in range(len(data)):
        machine = client()
        drain(machine)
        outputs = take(machine, data[:cut]) if cut else []
        outputs += take(machine, data[cut:])
        assert outputs == [HeadRead(), Text(b"Hello")]
        assert machine.opened == Opened(deflate=False, subprotocol=None)
        assert (machine.next_timeout(), machine.buffered) == (None, 0)


@pytest.mark.parametrize(
    "answer, reason",
    [
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "status 503"),
        (b"HTTP/1.1 101\r\n\r\n", "upgrades to something else"),
        (b"HTTP/2 101 Switching Protocols\r\n\r\n", "does not speak HTTP/1.1"),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "does not speak HTTP/1.1"),
        (b"\xff\x00\r\n\r\n", "does not speak HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000, "too long"),
        (b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000 + b"\r\n\r\n", "too long"),
    ],
)
def test_any_other_answer_is_a_rejection_that_says_why(answer: bytes, reason: str) -> None:
    machine = client()
    drain(machine)
    assert take(machine, answer) == [Ended(None), Shut(flush=False)]
    assert machine.rejected is not None
    assert reason in machine.rejected
    assert machine.opened is None
    assert (machine.next_timeout(), machine.buffered) == (None, 0)
    machine.receive_eof(0.0)
    assert take(machine, b"more") == []


def test_no_answer_is_a_rejection() -> None:
    machine = client()
    drain(machine)
    machine.receive_data(b"HTTP/1.1", 1.0)
    assert machine.buffered == 8
    machine.receive_eof(1.0)
    assert drain(machine) == [Ended(None), Shut(flush=False)]
    assert machine.rejected == "the server closed the connection before it answered"


def test_an_answer_that_takes_too_long_is_a_rejection() -> None:
    machine = client()
    drain(machine)
    assert machine.next_timeout() == 5.0
    machine.handle_timeout(4.999)
    assert drain(machine) == []
    machine.handle_timeout(5.0)
    assert drain(machine) == [Ended(None), Shut(flush=False)]
    assert machine.rejected == "the server did not answer within 5 s"


# Messages


def test_what_it_sends_is_masked_with_entropy() -> None:
    machine = opened()
    machine.send(b"Hello")
    assert drain(machine) == [Send(b"\x81\x85\x10\x11\x12\x13Xt~\x7f\x7f")]
    machine.send(Binary(b"\xff"))
    assert drain(machine) == [Send(b"\x82\x81\x14\x15\x16\x17\xeb")]
    machine.ping(b"?")
    assert drain(machine) == [Send(b"\x89\x81\x18\x19\x1a\x1b'")]


@pytest.mark.parametrize("size, compressed", [(99, False), (100, True)])
def test_it_compresses_where_that_was_agreed(size: int, compressed: bool) -> None:
    machine = client(Config(min_compress_bytes=100), deflate=True)
    offer = b"permessage-deflate; server_no_context_takeover"
    machine.receive_data(ACCEPTED[:-2] + b"Sec-WebSocket-Extensions: " + offer + b"\r\n\r\n", 0.0)
    drain(machine)
    payload = b"x" * size
    machine.send(payload)
    expected = masked(FIN | RSV1 | TEXT, deflate(payload)) if compressed else masked(FIN | TEXT, payload)
    assert drain(machine) == [expected]
    assert take(machine, frame(FIN | RSV1 | TEXT, deflate(b"Hello"))) == [Text(b"Hello")]


def test_it_sends_nothing_unless_it_is_open() -> None:
    machine = client()
    drain(machine)
    with pytest.raises(UsageError, match="opening"):
        machine.send(b"Hello")
    machine.ping()
    machine.close(1000, 0.0)
    assert drain(machine) == []


def test_it_is_ready_after_the_handshake_and_until_one_side_closes() -> None:
    machine = client()
    assert not machine.ready
    machine.receive_data(ACCEPTED, 0.0)
    assert machine.ready
    machine.close(1000, 0.0)
    assert not machine.ready
    other = opened()
    take(other, frame(FIN | CLOSE, close_payload(1000)))
    assert not other.ready


def test_pings_are_answered_and_every_turn_is_taken() -> None:
    machine = opened(Config(frames_per_turn=1))
    data = frame(FIN | PING, b"?") + frame(FIN | PONG, b"") + frame(FIN | TEXT, b"Hello")
    assert take(machine, data) == [Heard(), Send(b"\x8a\x81\x10\x11\x12\x13/"), Heard(), Text(b"Hello")]


def test_a_ping_has_the_given_payload_or_none() -> None:
    machine = opened()
    machine.ping(b"?")
    assert drain(machine) == [Send(b"\x89\x81\x10\x11\x12\x13/")]
    machine = opened()
    machine.ping()
    assert drain(machine) == [Send(b"\x89\x80\x10\x11\x12\x13")]


def test_a_ping_has_at_most_125_bytes() -> None:
    machine = opened()
    with pytest.raises(UsageError, match="a ping of 126 bytes: it may have at most 125"):
        machine.ping(b"x" * 126)
    assert machine.output == []
    machine.ping(b"x" * 125)
    assert drain(machine) == [masked(FIN | PING, b"x" * 125)]


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1006, 1014, 1015, 2999, 5000, 70000])
def test_a_code_that_no_close_frame_may_carry_is_refused_before_anything_changes(code: int) -> None:
    machine = opened()
    with pytest.raises(UsageError, match=f"close code {code}: give"):
        machine.close(code, 0.0)
    assert (machine.output, machine.next_timeout()) == ([], None)
    machine.close(4000, 0.0)
    assert drain(machine) == [Send(b"\x88\x82\x10\x11\x12\x13\x1f\xb1")]


def test_a_close_without_a_code_has_an_empty_payload() -> None:
    machine = opened()
    machine.close(1005, 0.0)
    assert drain(machine) == [Send(b"\x88\x80\x10\x11\x12\x13")]


def test_a_message_of_more_frames_than_a_turn_has_comes_at_once() -> None:
    machine = opened(Config(frames_per_turn=2))
    frames = [frame(TEXT, b"a"), *(frame(0, b"") for _ in range(5)), frame(FIN, b"b")]
    assert take(machine, b"".join(frames)) == [Text(b"ab")]
    assert machine.buffered == 0


# Closing


def test_its_close_waits_for_the_servers_and_then_for_the_end_of_tcp() -> None:
    machine = opened()
    machine.close(1000, 1.0)
    assert drain(machine) == [Send(b"\x88\x82\x10\x11\x12\x13\x13\xf9")]
    assert machine.next_timeout() == 6.0
    data = frame(FIN | TEXT, b"late") + frame(FIN | PING, b"") + frame(FIN | CLOSE, close_payload(1000))
    assert take(machine, data, 2.0) == [Text(b"late"), Heard(), Ended(1000)]
    assert machine.next_timeout() == 7.0
    assert take(machine, b"ignored", 3.0) == []
    machine.receive_eof(3.0)
    assert drain(machine) == [Shut()]
    assert machine.next_timeout() is None


def test_the_servers_close_is_answered() -> None:
    machine = opened()
    assert take(machine, frame(FIN | CLOSE, close_payload(1012))) == [
        Send(b"\x88\x82\x10\x11\x12\x13\x13\xe5"),
        Ended(1012),
    ]
    machine.handle_timeout(5.0)
    assert drain(machine) == [Shut(flush=False)]


def test_a_close_that_is_not_answered_ends_by_its_deadline() -> None:
    machine = opened()
    machine.close(1000, 0.0)
    drain(machine)
    machine.handle_timeout(5.0)
    assert drain(machine) == [Ended(ABNORMAL), Shut(flush=False)]


def test_a_server_that_breaks_the_rules_is_failed() -> None:
    machine = opened()
    assert take(machine, masked_frame(FIN | TEXT, b"Hello", MASK)) == [
        Send(b"\x88\x82\x10\x11\x12\x13\x13\xfb"),
        Ended(1002, "a frame breaks the WebSocket protocol"),
        Shut(),
    ]
    machine = opened()
    machine.close(1000, 0.0)
    drain(machine)
    assert take(machine, frame(FIN | 3, b"")) == [Ended(1002, "a frame breaks the WebSocket protocol"), Shut()]


def test_an_end_of_input_without_a_close_is_abnormal() -> None:
    machine = opened()
    machine.receive_eof(0.0)
    assert drain(machine) == [Ended(ABNORMAL), Shut()]


def test_the_end_of_input_within_a_message_drops_the_message() -> None:
    machine = opened()
    machine.receive_data(frame(TEXT, b"half") + frame(0, b"more")[:3], 0.0)
    assert machine.buffered > 0
    machine.receive_eof(0.0)
    assert machine.buffered == 0


# Both sides


class Pair:
    """A client and a server joined by a wire that cuts what goes over it into pieces of `step` bytes."""

    def __init__(self, config: Config, step: int, *, deflate: bool) -> None:
        self.step = step
        self.client = WebSocketClient(config, OpeningRequest(b"h", deflate=deflate), entropy=counter(), now=0.0)
        (request,) = drain(self.client)
        assert isinstance(request, Send)
        lines = request.data.split(b"\r\n")[1:-2]
        verdict = judge([(name.lower(), value) for name, _, value in (line.partition(b": ") for line in lines)])
        assert isinstance(verdict, Handshake)
        self.server = WebSocket(config, deflate=verdict.deflate, binary=True, now=0.0)
        answer = b"".join(b"%b: %b\r\n" % header for header in verdict.headers)
        self.to_client = b"HTTP/1.1 101 Switching Protocols\r\n" + answer + b"\r\n"
        self.to_server = b""
        self.at_client: list[Output] = []
        self.at_server: list[Output] = []

    def run(self) -> None:
        """Deliver, and let time that has passed pass, until nothing moves."""
        while self._collect():
            data, self.to_client = self.to_client[: self.step], self.to_client[self.step :]
            if data:
                self.client.receive_data(data, 0.0)
            data, self.to_server = self.to_server[: self.step], self.to_server[self.step :]
            if data:
                self.server.receive_data(data, 0.0)
            if (due := self.server.next_timeout()) is not None and due <= 0.0:
                self.server.handle_timeout(0.0)

    def _collect(self) -> bool:
        """Put what both sides send on the wire, and the rest aside. Is there anything to deliver?"""
        for output in drain(self.client):
            if isinstance(output, Send):
                self.to_server += output.data
            else:
                self.at_client.append(output)
        for output in drain(self.server):
            if isinstance(output, Send):
                self.to_client += output.data
            else:
                self.at_server.append(output)
        return bool(self.to_client or self.to_server)


@pytest.fixture
def no_entropy_but_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> bytes:
        raise AssertionError("entropy is injected")

    monkeypatch.setattr(os, "urandom", refuse)


@settings(max_examples=40)
@given(
    st.lists(st.text(max_size=60).map(str.encode), max_size=6),
    st.lists(st.binary(max_size=300).map(Binary), max_size=6),
    st.integers(1, 400),
    st.booleans(),
)
def test_each_side_gets_the_messages_that_the_other_sends(
    there: list[bytes], back: list[Binary], step: int, deflate: bool
) -> None:
    pair = Pair(Config(min_compress_bytes=10, frames_per_turn=2), step, deflate=deflate)
    pair.run()
    assert pair.client.opened == Opened(deflate, SUBPROTOCOL)
    for payload in there:
        pair.client.send(payload)
    pair.to_client += b"".join(pair.server.frame(payload) for payload in back)
    pair.server.heartbeat(0.0)
    pair.client.ping(b"there?")
    pair.run()
    assert [output.data for output in pair.at_server if isinstance(output, Text)] == there
    assert [output.data for output in pair.at_client if isinstance(output, Text)] == back
    assert Heard() in pair.at_client


@pytest.mark.usefixtures("no_entropy_but_ours")
@pytest.mark.parametrize("first", ["client", "server", "both"])
def test_both_sides_close_and_the_server_shuts_first(first: str) -> None:
    pair = Pair(Config(), 5, deflate=True)
    pair.run()
    pair.client.send(b"x" * 2000)
    pair.run()
    if first != "server":
        pair.client.close(1000, 0.0)
    if first != "client":
        pair.server.close(1000, 0.0)
    pair.run()
    assert pair.at_server[-2:] == [Ended(1000), Shut()]
    assert pair.at_client[-1] == Ended(1000)
    pair.client.receive_eof(0.0)
    assert drain(pair.client) == [Shut()]


@settings(max_examples=60)
@given(st.lists(st.binary(min_size=1, max_size=60), max_size=8), st.booleans())
def test_any_bytes_raise_nothing(pieces: list[bytes], open_first: bool) -> None:
    machine = opened() if open_first else client()
    for piece in pieces:
        machine.receive_data(piece, 0.0)
        assert machine.buffered <= 16 * 1024 + 60
    machine.receive_eof(0.0)
    machine.handle_timeout(1000.0)
    kinds = [type(output) for output in machine.output]
    assert (kinds.count(Ended), kinds.count(Shut)) == (1, 1)
