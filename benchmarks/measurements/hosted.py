"""What a call costs an ASGI server: with our application, and with those that are written in frameworks."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Final

from benchmarks.figures import Question, Questions
from benchmarks.servers.catalogue import HOSTED, available

from .calls import HTTP, NEW_HEADS, WEBSOCKET, at, started

POINTS: Final = (HTTP, NEW_HEADS, WEBSOCKET)


def beside_frameworks(runs: int) -> dict[str, Question]:
    """Calls over HTTP and over WebSockets."""
    questions = Questions()
    with ExitStack() as stack:
        hosts = [started(server, HTTP, stack) for server in available(*HOSTED)]
        for point in POINTS:
            questions.ask(f"asgi {point.name}", partial(at, point, hosts, runs))
    return questions
