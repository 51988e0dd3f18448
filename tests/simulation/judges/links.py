"""Judges under test, with the bytes of both sides as literals."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation.judges.judge import Facts, ServerEnd
from posthouse.core import Config

FACTS = Facts(
    Config(max_message_bytes=80, half_close_timeout=5.0, stdio_grace=5.0), "alice", origins=(b"https://app.example",)
)


def violates(sentence: str) -> AbstractContextManager[pytest.ExceptionInfo[Violation]]:
    """A violation with this sentence."""
    return pytest.raises(Violation, match=sentence)


def end(
    *, at: float = 1.0, delivered: int = 1 << 30, input_ended: float | None = None, full: bool = False
) -> ServerEnd:
    """The end of the server's output. By default everything that the client has sent was delivered."""
    return ServerEnd(at, delivered, input_ended, full)
