"""Pages from elsewhere, names that were bound anew, and what a peer would like to see in our headers."""

from __future__ import annotations

import pytest
from posthouse.core import UsageError
from posthouse.transports.policy import Policy

from tests.transports.board import Board, call, post

from .attacker import UPGRADE, answers, status

STATS = b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n"
CALL = post(call("add", b"[40,2]"))

ALLOWED = Policy(origins=("https://app.example",))


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"null", b"https://app.example.evil.example", b"http://app.example", b"*"]
)
def test_row_30_a_page_from_elsewhere_opens_no_websocket(origin: bytes) -> None:
    board = Board(policy=ALLOWED)
    socket = board.open()
    answer = board.feed(socket, UPGRADE % (b"Origin: %b\r\n" % origin))
    assert status(answer) == 403
    assert origin not in answer
    assert board.half_closed == [socket]
    assert board.board.health(0.0).connections == 0


def test_row_30_a_page_of_an_allowed_origin_and_who_is_no_page_open_one() -> None:
    board = Board(policy=ALLOWED)
    for origin in (b"Origin: https://app.example\r\n", b""):
        assert status(board.feed(board.open(), UPGRADE % origin)) == 101


@pytest.mark.parametrize(
    "host", [b"evil.example", b"evil.example:8000", b"localhost.evil.example", b"127.0.0.1.nip.io"]
)
@pytest.mark.parametrize("opening", [STATS, CALL, UPGRADE % b""], ids=["probe", "call", "upgrade"])
@pytest.mark.parametrize("origin", [b"", b"Origin: http://%b\r\n"], ids=["no origin", "its own origin"])
@pytest.mark.parametrize("dev", [False, True])
def test_row_31_a_name_that_was_bound_anew_to_this_address_reaches_nothing(
    host: bytes, opening: bytes, origin: bytes, dev: bool
) -> None:
    board = Board(policy=Policy(loopback_origins=dev))
    socket = board.open()
    named = b"Host: %b\r\n" % host + (origin % host if origin else b"")
    assert status(board.feed(socket, opening.replace(b"Host: localhost\r\n", named))) == 421
    assert board.half_closed == [socket]
    assert board.board.stats()["calls.made"] == 0


@pytest.mark.parametrize(
    ("media", "origin", "expected"),
    [
        (b"text/plain", b"https://evil.example", 403),
        (b"text/plain", None, 415),
        (b"application/x-www-form-urlencoded", None, 415),
        (b"multipart/form-data; boundary=x", None, 415),
        (b"application/json", b"https://evil.example", 403),
        (b"application/json", b"null", 403),
        (b"application/json; charset=utf-16", None, 415),
        (b"application/jsonp", None, 415),
        (b"application/json", b"http://localhost:8000", 403),
        (b"application/json", b"http://127.0.0.1", 403),
        (None, None, 415),
        (b"application/json", b"https://app.example", 200),
        (b"Application/JSON; charset=UTF-8", None, 200),
    ],
)
def test_row_32_a_form_or_a_page_from_elsewhere_calls_nothing(
    media: bytes | None, origin: bytes | None, expected: int
) -> None:
    board = Board(policy=ALLOWED)
    more = b"" if origin is None else b"Origin: %b\r\n" % origin
    kind = b"" if media is None else b"Content-Type: %b\r\n" % media
    opening = CALL.replace(b"Content-Type: application/json\r\n", kind + more)
    answer = board.feed(board.open(), opening)
    assert status(answer) == expected
    assert board.board.stats()["calls.made"] == (expected == 200)
    if origin is not None and expected == 200:
        assert b"Access-Control-Allow-Origin: https://app.example\r\n" in answer
        assert b"Vary: Origin\r\n" in answer
    else:
        assert b"Access-Control-" not in answer


PREFLIGHT = b"OPTIONS /rpc HTTP/1.1\r\nHost: localhost\r\nOrigin: %b\r\nAccess-Control-Request-Method: POST\r\n\r\n"


def test_row_33_a_preflight_is_answered_204_for_allowed_origins_alone_and_never_with_a_star_or_credentials() -> None:
    board = Board(policy=ALLOWED)
    allowed = board.feed(board.open(), PREFLIGHT % b"https://app.example")
    assert status(allowed) == 204
    assert b"Access-Control-Allow-Origin: https://app.example\r\n" in allowed
    assert b"*" not in allowed
    assert b"Credentials" not in allowed
    for origin in (b"https://evil.example", b"null", b"*", b"https://APP.example"):
        refused = board.feed(board.open(), PREFLIGHT % origin)
        assert status(refused) == 403
        assert b"Access-Control-" not in refused


def test_row_31_health_is_answered_whatever_the_name_and_tells_a_page_from_elsewhere_nothing() -> None:
    board = Board()
    for host in (b"evil.example", b"10.1.2.3:8000"):
        probe = b"GET /health HTTP/1.1\r\nHost: %b\r\nOrigin: http://other.example\r\n\r\n" % host
        answer = board.feed(board.open(), probe)
        assert status(answer) == 200
        assert b"Access-Control-" not in answer


SAME = b"Origin: http://localhost\r\n"


def test_rows_30_32_and_33_a_page_of_the_same_origin_calls_and_is_told_nothing_about_other_origins() -> None:
    board = Board()
    assert status(board.feed(board.open(), UPGRADE % SAME)) == 101
    for opening in (CALL.replace(b"Host", SAME + b"Host"), PREFLIGHT % b"http://localhost"):
        answer = board.feed(board.open(), opening)
        assert status(answer) in (200, 204)
        assert b"Access-Control-Allow-Origin" not in answer


def test_rows_30_32_and_33_in_development_a_page_of_any_loopback_origin_calls_and_reads_the_answer() -> None:
    board = Board(policy=Policy(loopback_origins=True))
    page = b"http://127.0.0.1:5173"
    assert status(board.feed(board.open(), UPGRADE % (b"Origin: %b\r\n" % page))) == 101
    for opening in (CALL.replace(b"Host", b"Origin: %b\r\nHost" % page), PREFLIGHT % page):
        answer = board.feed(board.open(), opening)
        assert status(answer) in (200, 204)
        assert b"Access-Control-Allow-Origin: http://127.0.0.1:5173\r\n" in answer
    for origin in (b"null", b"http://127.0.0.1.nip.io"):
        assert status(board.feed(board.open(), PREFLIGHT % origin)) == 403


# What we say ourselves


@pytest.mark.parametrize(
    "evil", ["https://a.example\r\nSet-Cookie: x=y", "https://a.example\n", "https://a\x00.example"]
)
def test_row_34_what_would_break_out_of_a_header_is_refused_inside_before_anything_is_written(evil: str) -> None:
    with pytest.raises(UsageError, match="origin"):
        Policy(origins=(evil,))
    with pytest.raises(UsageError, match="host"):
        Policy(hosts=(evil,))


@pytest.mark.parametrize(
    "evil", [b"\r\nSet-Cookie: x=y", b"\rSet-Cookie: x=y", b"\nSet-Cookie: x=y", b"\x00", b"\r\n x"]
)
def test_row_34_nothing_that_a_peer_puts_into_a_header_comes_back_in_one(evil: bytes) -> None:
    for header in (b"Origin: https://app.example", b"Sec-WebSocket-Protocol: posthouse.v1.json", b"Traceparent: 00"):
        for opening in (CALL, UPGRADE % b"", PREFLIGHT % b"https://app.example"):
            board = Board(policy=ALLOWED)
            before, blank, rest = opening.partition(b"\r\n\r\n")
            answer = board.feed(board.open(), before + b"\r\n" + header + evil + blank + rest)
            assert b"Set-Cookie" not in answer
            assert b"\x00" not in answer
            assert answers(answer) == 1
