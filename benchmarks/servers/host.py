"""A server in a process of its own, as the process that measures it sees it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.machine import cpu_seconds, on_server_core, resident_bytes

from .announcement import Usage
from .catalogue import Server

ROOT: Final = Path(__file__).parents[2]
RINGS: Final = os.pathsep.join(str(ROOT / ring) for ring in ("core", "transports", "adapters"))
"""Where this project's packages are found without being installed."""

STILL: Final = 0.02
IDLE: Final = 0.2
"""A server has nothing left to do if it takes less than this share of its core for so many seconds."""


class Host:
    """A running server."""

    def __init__(self, server: Server, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self.server: Final = server
        self._process: Final = process
        self._questions: Final = process.stdin
        self._answers: Final = process.stdout
        self.port: Final = int(self._answers.readline())

    def cpu(self) -> float:
        """Return the CPU seconds that it has used so far."""
        seconds = cpu_seconds(self._process.pid)
        return self._usage().cpu if seconds is None else seconds

    def resident(self) -> int:
        """Return its resident bytes."""
        size = resident_bytes(self._process.pid)
        return self._usage().resident if size is None else size

    def shares(self) -> dict[str, int]:
        """Return the samples by folder since the last question."""
        return msgspec.json.decode(self._ask("shares"), type=dict[str, int])

    def rest(self, most: float = 3.0) -> None:
        """Wait until it has nothing left to do, at most so many seconds."""
        ends = time.perf_counter() + most
        before = -1.0
        while time.perf_counter() < ends:
            used = self.cpu()
            if used - before < STILL * IDLE:
                return
            before = used
            time.sleep(STILL)

    def _usage(self) -> Usage:
        return msgspec.json.decode(self._ask(""), type=Usage)

    def _ask(self, question: str) -> str:
        self._questions.write(question + "\n")
        self._questions.flush()
        return self._answers.readline()


@contextmanager
def host(server: Server, *options: str) -> Iterator[Host]:
    """Start a server, and end it by ending its input."""
    with on_server_core():
        process = subprocess.Popen(
            [*server.started_by(), *options],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": RINGS},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    with process:
        yield Host(server, process)
