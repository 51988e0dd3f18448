"""A module with a small application, for ASGI servers that are processes of their own."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress

PROGRAM = """
from posthouse.adapters.asgi import asgi
from posthouse.core import Service

service = Service("small", public=True)

@service.method
async def add(a: int, b: int) -> int:
    return a + b

app = asgi(service)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[str]) -> None:
    """Return when the port accepts: not every server says so."""
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
    raise AssertionError("it has ended")
