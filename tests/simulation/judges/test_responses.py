"""The heads of responses: which are valid, and the rule that each other one breaks."""

from __future__ import annotations

import pytest
from posthouse.adapters.simulation.judges.responses import read_response

ALWAYS = b"\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff"
JSON = b"\r\nContent-Type: application/json\r\nContent-Length: 2"
TEXT = b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON, (200, 2, False, True)),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\nConnection: close", (200, 2, True, True)),
        (b"HTTP/1.1 204 No Content" + ALWAYS, (204, 0, False, False)),
        (b"HTTP/1.1 404 Not Found" + ALWAYS + TEXT, (404, 2, False, False)),
        (b"HTTP/1.1 503 Service Unavailable" + ALWAYS + JSON + b"\r\nRetry-After: 1", (503, 2, False, True)),
        (b"HTTP/1.1 401 Unauthorized" + ALWAYS + JSON + b"\r\nWWW-Authenticate: Bearer", (401, 2, False, True)),
        (
            b"HTTP/1.1 401 Unauthorized" + ALWAYS + JSON + b"\r\nWWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic",
            (401, 2, False, True),
        ),
        (b"HTTP/1.1 405 Method Not Allowed" + ALWAYS + TEXT + b"\r\nAllow: POST", (405, 2, False, False)),
        (
            b"HTTP/1.1 426 Upgrade Required"
            + ALWAYS
            + TEXT
            + b"\r\nConnection: close\r\nUpgrade: websocket\r\nConnection: Upgrade",
            (426, 2, True, False),
        ),
        (b"HTTP/1.1 100 Continue", (100, 0, False, False)),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade", (101, 0, False, False)),
    ],
)
def test_a_valid_head_is_read(raw: bytes, expected: tuple[int, int, bool, bool]) -> None:
    response = read_response(raw)
    assert (response.status, response.length, response.last, response.in_json) == expected
    assert response.interim is (response.status < 200)


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b"HTTP/1.0 200 OK" + ALWAYS + JSON, "no valid status line"),
        (b"HTTP/1.1 200" + ALWAYS + JSON, "no valid status line"),
        (b"HTTP/1.1 600 OK" + ALWAYS + JSON, "no valid status line"),
        (b"HTTP/1.1 200 Fine" + ALWAYS + JSON, "another reason than its status"),
        (b"HTTP/1.1 299 OK" + ALWAYS + JSON, "another reason than its status"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\nA : b", "a line that is no field"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\n folded", "a line that is no field"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\nA: b\nB: c", "a line that is no field"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\nA:\x00", "a line that is no field"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\ncontent-length: 2", "a field twice"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\nTransfer-Encoding: chunked", "chunked"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\nDate: x", "a Date, which is not promised"),
        (b"HTTP/1.1 200 OK" + JSON, "lacks a field that is promised"),
        (b"HTTP/1.1 503 Service Unavailable" + ALWAYS + JSON, "lacks a field that its status demands"),
        (b"HTTP/1.1 429 Too Many Requests" + ALWAYS + JSON, "lacks a field that its status demands"),
        (b"HTTP/1.1 401 Unauthorized" + ALWAYS + JSON, "lacks a field that its status demands"),
        (b"HTTP/1.1 405 Method Not Allowed" + ALWAYS + TEXT, "lacks a field that its status demands"),
        (b"HTTP/1.1 426 Upgrade Required" + ALWAYS + TEXT, "lacks a field that its status demands"),
        (b"HTTP/1.1 426 Upgrade Required" + ALWAYS + TEXT + b"\r\nUpgrade: websocket", "no option upgrade"),
        (b"HTTP/1.1 503 Service Unavailable" + ALWAYS + JSON + b"\r\nRetry-After: 0.5", "no number of seconds"),
        (b"HTTP/1.1 204 No Content" + ALWAYS + b"\r\nContent-Length: 0", "without a body has a length"),
        (b"HTTP/1.1 100 Continue\r\nContent-Length: 0", "a 100 .Continue. has fields"),
        (b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0", "without a body has a length"),
        (b"HTTP/1.1 200 OK" + ALWAYS + b"\r\nContent-Type: application/json", "no valid Content-Length"),
        (b"HTTP/1.1 200 OK" + ALWAYS + b"\r\nContent-Type: application/json\r\nContent-Length: 02", "no valid Content"),
        (b"HTTP/1.1 200 OK" + ALWAYS + b"\r\nContent-Length: 2", "no known Content-Type"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\nConnection: keep-alive", "unknown option"),
        (b"HTTP/1.1 200 OK" + ALWAYS + JSON + b"\r\nConnection: close, close", "unknown option"),
    ],
)
def test_a_head_that_breaks_a_rule_is_refused(raw: bytes, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        read_response(raw)
