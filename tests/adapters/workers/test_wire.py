"""The lines between a worker and its supervisor."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from posthouse.adapters.workers.wire import Wire


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    one, other = socket.socketpair()
    yield Wire(one), other
    one.close()
    other.close()


def test_a_value_is_a_line_and_lines_may_come_in_pieces(ends: tuple[Wire, socket.socket]) -> None:
    wire, other = ends
    wire.tell({"status": "healthy"})
    assert other.recv(100) == b'{"status":"healthy"}\n'
    assert wire.hear() == []
    other.sendall(b'{"a": 1}\n[2')
    assert wire.hear() == [{"a": 1}]
    other.sendall(b']\n"three"\n')
    assert wire.hear() == [[2], "three"]


def test_a_line_that_is_not_json_is_left_out(ends: tuple[Wire, socket.socket]) -> None:
    wire, other = ends
    other.sendall(b"rubbish\n\n1\n")
    assert wire.hear() == [1]


def test_the_end_of_the_other_is_heard(ends: tuple[Wire, socket.socket]) -> None:
    wire, other = ends
    other.close()
    assert wire.hear() is None
    wire.tell("nobody")
    wire.close()
    assert wire.hear() is None


def test_while_the_other_takes_nothing_lines_are_left_out_and_none_is_cut(ends: tuple[Wire, socket.socket]) -> None:
    wire, other = ends
    for number in range(2000):
        wire.tell({"number": number, "filler": "x" * 1000})
    other.setblocking(False)
    received = b""
    for _ in range(2):
        with pytest.raises(BlockingIOError):
            while True:
                received += other.recv(1 << 20)
        wire.tell({"number": "last"})
    lines = received.split(b"\n")
    assert [line.startswith(b'{"number":') and line.endswith(b"}") for line in lines[:-1]] == [True] * (len(lines) - 1)
    assert 0 < len(lines) < 2000
