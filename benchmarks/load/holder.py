"""`python -m benchmarks.load.holder PORT NUMBER`: hold so many WebSockets open in a process of its own.

It answers pings and passes over everything else. It says `held` when all are open, and ends with its input. It gives
way to the process that measures.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.machine import allow_descriptors
from benchmarks.servers.host import RINGS, ROOT

from .plain import BURST, Plain, open_websockets
from .readiness import Readiness


def hold(port: int, number: int) -> None:
    """Hold until the input ends."""
    allow_descriptors()
    os.nice(10)
    readiness, by_descriptor = Readiness(), dict[int, Plain]()
    readiness.watch(sys.stdin)

    def listen(seconds: float) -> None:
        for descriptor, _ in readiness.wait(seconds):
            if descriptor == sys.stdin.fileno():
                os._exit(0)
            by_descriptor[descriptor].texts()

    while len(by_descriptor) < number:
        for plain in open_websockets(port, min(BURST, number - len(by_descriptor))):
            by_descriptor[plain.socket.fileno()] = plain
            readiness.watch(plain.socket)
        listen(0.0)
    print("held", flush=True)
    while True:
        listen(60.0)


@contextmanager
def held(port: int, number: int) -> Iterator[None]:
    """Hold so many connections while the context is entered."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load.holder", str(port), str(number)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": RINGS},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None and process.stdout is not None
        if process.stdout.readline() != "held\n":
            raise ConnectionError(f"{number} connections could not be opened")
        yield


if __name__ == "__main__":
    hold(int(sys.argv[1]), int(sys.argv[2]))
