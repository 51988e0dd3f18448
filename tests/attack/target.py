"""The reference server that is attacked: a process of its own, whose service can be told to misbehave.

    python -m tests.attack.target CONFIG.json [asyncio | trio]

CONFIG.json holds the limits that are not the defaults. It prints its URL when it accepts, and logs to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, Literal

import anyio
from posthouse.adapters import Server, run
from posthouse.adapters.command import logs
from posthouse.core import Config, Service

from tests.abuse.sockets import GOOD, add_raising

service = Service("target", public=True)
add_raising(service)

servers: list[Server] = []
"""The one that runs, when it does."""


@service.method
def echo(value: Any) -> Any:
    """The value itself."""
    return value


@service.method(timeout=0.05)
async def hold() -> None:
    """Never return, until the deadline."""
    await anyio.sleep_forever()


@service.method
async def work(seconds: float) -> float:
    """Return after so long."""
    await anyio.sleep(seconds)
    return seconds


@service.method
def broadcast(size: int) -> int:
    """Send everybody news of so many bytes. To how many they went."""
    return servers[0].broadcast("news", ["x" * size])


@service.method
def stats() -> dict[str, int]:
    """What was counted."""
    return servers[0].stats()


@service.method
def usage() -> dict[str, int]:
    """What the process has of what it must give back."""
    health = servers[0].health()
    return {
        "connections": health.connections,
        "sockets": health.sockets,
        "calls": health.calls,
        "waiting": health.waiting,
        "descriptors": len(os.listdir("/dev/fd")),
        "threads": threading.active_count(),
    }


@service.method
def memory() -> int:
    """Bytes that are held for peers."""
    return servers[0].health().memory


def started(server: Server) -> None:
    """Tell whoever started this process that it accepts."""
    servers.append(server)
    sys.stdout.write(f"{server.bound[0].url}\n")
    sys.stdout.flush()


def main(file: str, backend: Literal["asyncio", "trio"]) -> None:
    """Serve until told to leave."""
    logs.configure("info", "text")
    config = Config.from_mapping(json.loads(Path(file).read_text(encoding="utf-8")))
    run(service, backend=backend, port=0, config=config, allow_origins=[GOOD.decode()], started=started)


if __name__ == "__main__":
    main(sys.argv[1], "trio" if sys.argv[2:] == ["trio"] else "asyncio")
