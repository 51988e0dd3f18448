"""The servers under measurement, each alone in its process. All answer the same `echo` with the same bytes.

    python -m benchmarks.hosts posthouse | fastapi | starlette

Its first line of output is its port. For each line of input it then prints what the process has used so far, as JSON;
the end of its input ends it.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

STATM: Final = Path("/proc/self/statm")


class Usage(msgspec.Struct, frozen=True):
    """CPU seconds, user's and system's, and resident bytes (the most there ever were, where Linux is not)."""

    cpu: float
    resident: int


def usage() -> Usage:
    """What this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    if STATM.exists():
        resident = int(STATM.read_text().split()[1]) * resource.getpagesize()
    else:
        resident = used.ru_maxrss
    return Usage(used.ru_utime + used.ru_stime, resident)


def report(port: int) -> None:
    """Tell the port; then, from a thread that otherwise sleeps, answer questions until nobody is left to ask."""
    print(port, flush=True)

    def answer() -> None:
        for _ in sys.stdin:
            print(msgspec.json.encode(usage()).decode(), flush=True)
        os._exit(0)

    threading.Thread(target=answer, daemon=True).start()


def posthouse() -> None:
    """The anyio server as `serve` has it, on asyncio."""
    from posthouse.adapters import run

    from .core_alone import service

    run(service, port=0, started=lambda server: report(server.bound[0].port))


def uvicorn(application: Any) -> None:
    """An ASGI application on uvicorn, with the parsers that Posthouse stands on and without its access log."""
    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    report(listener.getsockname()[1])
    config = uvicorn.Config(
        application, http="h11", ws="wsproto", loop="asyncio", log_level="error", access_log=False, lifespan="off"
    )
    uvicorn.Server(config).run(sockets=[listener])


def fastapi() -> None:
    """See `fastapi_server.py`."""
    from .fastapi_server import application

    uvicorn(application)


def starlette() -> None:
    """See `starlette_server.py`."""
    from .starlette_server import application

    uvicorn(application)


HOSTS: Final[dict[str, Callable[[], None]]] = {"posthouse": posthouse, "fastapi": fastapi, "starlette": starlette}


if __name__ == "__main__":
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    HOSTS[sys.argv[1]]()
