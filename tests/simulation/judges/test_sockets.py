"""The judge of a connection that begins with HTTP and may go on with WebSocket."""

from __future__ import annotations

from posthouse.adapters.simulation.judges.sockets import SocketJudge

from .links import FACTS, end, violates
from .test_handshake import ACCEPTED, OPENING
from .test_websocket import CALL, RESULT, frame, masked

END = b"\r\n\r\n"


def test_a_websocket_is_judged_from_its_101_on() -> None:
    received = ACCEPTED + END + frame(0x81, RESULT)
    for cut in range(len(received)):
        judge = SocketJudge(FACTS)
        judge.sent(OPENING + END + masked(0x81, CALL))
        judge.received(received[:cut])
        judge.received(received[cut:])
        judge.sent(masked(0x88))
        judge.server_ended(end())
        judge.received(frame(0x88))
        judge.received_end()


def test_the_end_of_the_client_before_the_101_is_remembered() -> None:
    judge = SocketJudge(FACTS)
    judge.sent(OPENING + END)
    judge.sent_end()
    judge.server_ended(end())
    judge.received(ACCEPTED + END)
    judge.received_end()


def test_a_wrong_101_is_a_violation() -> None:
    judge = SocketJudge(FACTS)
    judge.sent(OPENING + END)
    with violates("websocket: a 101 does not have the Sec-WebSocket-Accept of its key"):
        judge.received(ACCEPTED[:-5] + b"AAAA=" + END)


def test_a_refused_handshake_leaves_http() -> None:
    judge = SocketJudge(FACTS)
    judge.sent(OPENING + END + b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
    always = b"\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    text = b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n\r\nno\n"
    judge.received(b"HTTP/1.1 426 Upgrade Required" + always + upgrade + text)
    judge.received(b"HTTP/1.1 404 Not Found" + always + text)
    with violates("a response answers no request"):
        judge.received(b"HTTP/1.1 404 Not Found" + always + text)
