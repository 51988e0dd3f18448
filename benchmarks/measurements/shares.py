"""Which folders take the CPU of our server, in a run of its own."""

from __future__ import annotations

from typing import Final

from benchmarks.figures import Question
from benchmarks.load.closed_loop import load
from benchmarks.servers.catalogue import SERVERS
from benchmarks.servers.host import host

from .calls import HTTP, NEW_HEADS, WEBSOCKET

SECONDS: Final = 3.0


def by_folder(_: int) -> dict[str, Question]:
    """Shares of the samples, over each transport."""
    with host(SERVERS["posthouse"], "--sampled") as running:
        questions = {}
        for point in (WEBSOCKET, HTTP, NEW_HEADS):
            load(running, point, 0.5)
            running.shares()
            load(running, point, SECONDS)
            samples = running.shares()
            total = max(1, sum(samples.values()))
            questions[f"shares {point.name}"] = {
                folder: {"share": [number / total]} for folder, number in sorted(samples.items())
            }
        return questions
