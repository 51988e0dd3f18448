"""What a server tells the process that measures it: its port, and on request how much it has used.

The first line of output is the port. Each line of input is a question: an empty line asks for the usage; `shares` asks
for the samples, if the server takes them. The answer is one line of JSON. The end of input ends the process.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

STATM: Final = Path("/proc/self/statm")


class Usage(msgspec.Struct, frozen=True):
    """CPU seconds of user and system, and resident bytes (their maximum so far on systems other than Linux)."""

    cpu: float
    resident: int


def usage() -> Usage:
    """Return what this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    if STATM.exists():
        resident = int(STATM.read_text().split()[1]) * resource.getpagesize()
    else:
        resident = used.ru_maxrss
    return Usage(used.ru_utime + used.ru_stime, resident)


def announce(port: int, shares: Callable[[], Mapping[str, int]] = dict) -> None:
    """Tell the port. Then answer questions, in a thread that otherwise sleeps."""
    print(port, flush=True)

    def answer() -> None:
        for question in sys.stdin:
            told: object = shares() if question.strip() == "shares" else usage()
            print(msgspec.json.encode(told).decode(), flush=True)
        os._exit(0)

    threading.Thread(target=answer, daemon=True).start()


def listening() -> socket.socket:
    """Return a socket that listens on a free loopback port. Its port is announced."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    announce(listener.getsockname()[1])
    return listener
