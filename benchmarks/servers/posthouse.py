"""Posthouse as its users run it: `serve` with its limits, deadlines and heartbeats, on asyncio, uvloop or trio."""

from __future__ import annotations

from typing import Final

from posthouse.adapters import Server, run, serve
from posthouse.core import Config, Service

from .announcement import announce
from .sampling import Samples

CONFIG: Final = Config(max_connections=30_000)
"""The defaults, with room for as many connections as the measurements hold."""

service: Final = Service("benchmark", public=True)
servers: Final[list[Server]] = []
"""The server of this process, once it has started."""


@service.method
def echo(message: str) -> str:
    """Return the message."""
    return message


@service.method
def spread(text: str) -> int:
    """Send the notification `tick` to every connection."""
    return servers[0].broadcast("tick", [text])


def main(loop: str, sampled: bool) -> None:
    """Serve until the process is ended. `sampled`: take samples of the folders in which CPU time is spent."""
    samples = Samples()

    def started(server: Server) -> None:
        servers.append(server)
        announce(server.bound[0].port, samples.by_folder)
        if sampled:
            samples.start()

    if loop == "uvloop":
        import uvloop

        uvloop.run(serve(service, port=0, config=CONFIG, started=started))
    elif loop == "trio":
        run(service, backend="trio", port=0, config=CONFIG, started=started)
    else:
        run(service, backend="asyncio", port=0, config=CONFIG, started=started)
