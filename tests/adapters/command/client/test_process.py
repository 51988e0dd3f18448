"""Streams over the pipes of a process."""

from __future__ import annotations

from posthouse.adapters.command.client.deadline import Deadline
from posthouse.adapters.command.client.process import start_process


def test_a_process_that_is_gone_is_noticed_by_whoever_reads() -> None:
    stream = start_process("true", Deadline(20.0))
    assert stream.receive() == b""
    stream.send(b"x")
    assert stream.receive() == b""
    stream.close()
