"""The client's side of HTTP/1.1: one response per request, at every split, bounded; and both sides joined."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.transports.client.http import ClientOutput, Http1Client
from posthouse.transports.client.responses import Failed, Response
from posthouse.transports.codec import Exchange, Probe, Send, Shut
from posthouse.transports.http.server import Http1
from posthouse.transports.policy import Policy

from tests.values import changeable

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}"


def asked(config: Config = Config(), method: bytes = b"GET") -> Http1Client:
    client = Http1Client(config, b"localhost")
    client.request(method, b"/health")
    client.output.clear()
    return client


def cuts(data: bytes) -> list[list[bytes]]:
    halves = [[data[:i], data[i:]] for i in range(1, len(data))]
    return [[data], [data[i : i + 1] for i in range(len(data))], *halves]


def receive(data: bytes, config: Config = Config(), method: bytes = b"GET", *, eof: bool = False) -> list[ClientOutput]:
    """What comes of these bytes, the same at every split."""
    outputs = []
    for pieces in cuts(data):
        client = asked(config, method)
        for piece in pieces:
            client.receive_data(piece)
        if eof:
            client.receive_eof()
        outputs.append(client.output)
    assert all(output == outputs[0] for output in outputs)
    return outputs[0]


def test_a_request_is_one_piece_of_bytes() -> None:
    client = Http1Client(Config(), b"localhost:8000")
    client.request(b"POST", b"/rpc", [(b"Content-Type", b"application/json")], b"{}")
    assert client.output == [
        Send(
            b"POST /rpc HTTP/1.1\r\nHost: localhost:8000\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\n\r\n{}"
        )
    ]
    assert not client.reusable


def test_a_request_without_a_body_says_so_where_one_is_expected() -> None:
    client = Http1Client(Config(), b"a")
    client.request(b"POST", b"/")
    assert client.output == [Send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")]
    client = Http1Client(Config(), b"a")
    client.request(b"GET", b"/")
    assert client.output == [Send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")]


def test_a_response_is_whole_and_the_connection_is_used_again() -> None:
    (response,) = receive(OK)
    assert response == Response(200, ((b"content-length", b"2"), (b"x-a", b"b")), b"{}")
    assert isinstance(response, Response)
    assert (response.header(b"x-a"), response.header(b"x-b")) == (b"b", None)
    client = asked()
    client.receive_data(OK)
    assert client.reusable
    client.output.clear()
    client.request(b"GET", b"/")
    client.receive_data(OK)
    assert client.output[1:] == [response]


def test_informational_responses_are_skipped() -> None:
    assert receive(b"HTTP/1.1 100 Continue\r\n\r\n" + OK) == receive(OK)


def test_chunks_and_bodies_up_to_the_end_of_input_are_read() -> None:
    (response,) = receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    assert isinstance(response, Response)
    assert response.body == b"{}"
    response, shut = receive(b"HTTP/1.1 200 OK\r\n\r\n{}", eof=True)
    assert (response, shut) == (Response(200, (), b"{}"), Shut())


@pytest.mark.parametrize(
    ("method", "head"),
    [(b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), (b"GET", b"HTTP/1.1 204 No\r\n\r\n")],
)
def test_a_response_that_has_no_body_ends_with_its_head(method: bytes, head: bytes) -> None:
    (response,) = receive(head, method=method)
    assert isinstance(response, Response)
    assert response.body == b""


def test_a_server_that_closes_is_not_asked_again() -> None:
    response, shut = receive(OK.replace(b"X-A: b", b"Connection: close"))
    assert (isinstance(response, Response), shut) == (True, Shut())
    client = asked()
    client.receive_data(OK)
    client.receive_eof()
    client.receive_eof()
    assert (client.output[1:], client.reusable) == ([Shut()], False)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "before it answered"),
        (b"HTTP/1.1 200 OK\r\nContent", "before it answered"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}", "before its response was whole"),
    ],
)
def test_a_response_that_is_cut_off_fails(data: bytes, reason: str) -> None:
    client = asked()
    if data:
        client.receive_data(data)
    client.receive_eof()
    failed, shut = client.output
    assert isinstance(failed, Failed)
    assert reason in failed.reason
    assert (shut, client.reusable) == (Shut(), False)


@pytest.mark.parametrize(
    "data",
    [b"SSH-2.0-x\r\n\r\n\r\n", b"HTTP/1.1 200 OK\r\nA b\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"],
)
def test_a_server_that_does_not_speak_http_fails(data: bytes) -> None:
    failed, shut = receive(data)
    assert isinstance(failed, Failed)
    assert shut == Shut()


def test_bytes_without_a_request_end_the_connection() -> None:
    response, shut = receive(OK + b"HTTP/1.1")
    assert (isinstance(response, Response), shut) == (True, Shut())
    client = Http1Client(Config(), b"a")
    client.receive_data(b"x")
    client.receive_data(b"x")
    assert client.output == [Shut()]


SMALL = Config(max_head_bytes=50, max_response_bytes=10)


@pytest.mark.parametrize(("size", "fails"), [(49, False), (50, False), (51, True), (90, True)])
def test_a_responses_head_has_a_size(size: int, fails: bool) -> None:
    frame = b"HTTP/1.1 204 OK\r\nX: \r\n\r\n"
    output = receive(frame[:-4] + b"x" * (size - len(frame)) + b"\r\n\r\n", SMALL)
    if fails:
        assert output == [Failed("the head of the server's response is too large"), Shut()]
    else:
        assert isinstance(output[0], Response)


def test_a_head_at_the_limit_without_an_end_fails() -> None:
    client = asked(SMALL)
    client.receive_data(b"x" * 49)
    assert client.output == []
    client.receive_data(b"x")
    assert client.output == [Failed("the head of the server's response is too large"), Shut()]
    assert client.buffered == 0


@pytest.mark.parametrize(("size", "fails"), [(9, False), (10, False), (11, True)])
def test_a_responses_body_has_a_size(size: int, fails: bool) -> None:
    output = receive(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size, SMALL)
    if fails:
        assert output == [Failed("the server's response is too large"), Shut()]
    else:
        assert isinstance(output[0], Response)


def test_a_failed_response_is_not_held() -> None:
    client = asked(SMALL)
    client.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n" + b"x" * 11)
    assert (client.buffered, client.reusable) == (0, False)
    client = asked(SMALL)
    client.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding:chunked\r\n\r\n1;" + b"x" * 60)
    assert (client.buffered, client.reusable) == (0, False)


def test_each_response_has_its_own_limits_and_between_two_no_bytes_are_held() -> None:
    client = asked(SMALL)
    response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding:chunked\r\n\r\na;%b\r\n%b\r\n0\r\n\r\n" % (b"x" * 40, b"y" * 10)
    for _ in range(4):
        client.receive_data(response)
        (whole,) = client.output
        assert isinstance(whole, Response)
        assert (whole.body, client.buffered, client.reusable) == (b"y" * 10, 0, True)
        client.request(b"GET", b"/")
        client.output.clear()


def test_a_request_that_cannot_be_made_is_misuse() -> None:
    client = asked()
    with pytest.raises(UsageError, match="another waits"):
        client.request(b"GET", b"/")
    client.receive_eof()
    with pytest.raises(UsageError, match="over"):
        client.request(b"GET", b"/")
    client = Http1Client(Config(), b"a")
    with pytest.raises(UsageError, match="character that none may have"):
        client.request(b"GET", b"/", [(b"A", b"b\r\nEvil: 1")])
    for method, target in ((b"G T", b"/"), (b"", b"/"), (b"GET", b""), (b"GET", b"/ HTTP/1.1\r\nEvil: 1")):
        with pytest.raises(UsageError, match="is not valid: a method is a token"):
            client.request(method, target)
    with pytest.raises(UsageError, match="CONNECT is not supported"):
        client.request(b"CONNECT", b"a:1")
    for name in (b"Host", b"CONTENT-LENGTH", b"transfer-encoding"):
        with pytest.raises(UsageError, match="the codec sets it itself"):
            client.request(b"GET", b"/", [(name, b"1")])
    assert (client.output, client.reusable) == ([], True)
    with pytest.raises(UsageError, match="character that none may have"):
        Http1Client(Config(), b"a\n").request(b"GET", b"/")


@pytest.mark.parametrize("header", [(b"Connection", b"close"), (b"connection", b" close\t")])
def test_a_request_with_connection_close_is_the_last(header: tuple[bytes, bytes]) -> None:
    client = Http1Client(Config(), b" a\t")
    client.request(b"GET", b"/", [header])
    assert client.output == [Send(b"GET / HTTP/1.1\r\nHost: a\r\n%b: close\r\n\r\n" % header[0])]
    client.receive_data(OK)
    response, shut = client.output[1:]
    assert (isinstance(response, Response), shut, client.reusable) == (True, Shut(), False)


def test_a_server_that_goes_on_in_another_protocol_has_not_answered() -> None:
    client = Http1Client(Config(), b"a")
    client.request(b"GET", b"/", [(b"Upgrade", b"x"), (b"Connection", b"upgrade")])
    client.receive_data(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + b"x" * 5000)
    assert client.output[1:] == [Failed("the server goes on in another protocol"), Shut()]
    assert (client.buffered, client.reusable) == (0, False)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\nHTTP/1.1 500 evil\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: y\nZ: z\r\n\r\n{}",
        b"HTTP/1.1 100 Continue\nA: b\r\n\r\n" + OK,
    ],
)
def test_a_bare_line_feed_in_a_head_ends_the_connection(data: bytes) -> None:
    assert receive(data) == [Failed("the lines of a head end with CR LF, and those of the server do not"), Shut()]


def test_buffered_counts_the_bytes_that_it_holds() -> None:
    client = asked()
    client.receive_data(OK[:10])
    assert client.buffered == 10
    client.receive_data(OK[10:-1])
    assert client.buffered == 1
    client.receive_data(OK[-1:])
    assert client.buffered == 0


def test_both_sides_speak_to_each_other() -> None:
    client, server = Http1Client(Config(), b"localhost"), Http1(Config(), Policy(), 0.0)
    json = [(b"Content-Type", b"application/json")]
    for method, target, headers, body in [
        (b"POST", b"/rpc", json, b'{"a":1}'),
        (b"GET", b"/health", [], b""),
        (b"HEAD", b"/health", [], b""),
        (b"GET", b"/nowhere", [], b""),
        (b"POST", b"/rpc", [*json, (b"Connection", b"close")], b"x" * 100_000),
    ]:
        client.request(method, target, headers, body)
        while client.output and isinstance(sent := client.output[0], Send):
            client.output.clear()
            server.receive_data(sent.data, 0.0)
            for output in server.output[:]:
                if isinstance(output, Exchange):
                    server.answer(output.data, None, None, 0.0)
                elif isinstance(output, Probe):
                    server.respond(200, b"{}", 0.0)
            for output in server.output:
                if isinstance(output, Send):
                    client.receive_data(output.data)
            server.output.clear()
            server.proceed(0.0)
        response = client.output.pop(0)
        assert isinstance(response, Response)
        assert response.status == (404 if target == b"/nowhere" else 200)
        assert response.body == body or target != b"/rpc"
    assert client.output == [Shut()]


@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([OK, OK[:20], OK[20:], b"\r\n\r\n"])), max_size=6))
def test_any_bytes_raise_nothing_and_are_bounded(pieces: list[bytes]) -> None:
    client = asked(SMALL)
    for piece in pieces:
        if piece:
            client.receive_data(piece)
        assert client.buffered <= 60 + 46
    client.receive_eof()
    assert client.output[-1] == Shut()


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.transports.client.http") == []
