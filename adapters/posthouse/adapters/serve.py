"""The front door in code: a service, served. Everything that the command can do, `serve` can.

It checks what it was asked for, builds the gateway and its switchboard, and lets one runner drive them until the last
client is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any, Literal, TypedDict, Unpack

import anyio
from anyio.abc import TaskStatus
from posthouse.core.config import Config
from posthouse.core.peers import ANONYMOUS, Identity
from posthouse.core.service import Service

from .clock import Clock
from .listeners import Bound


class Options(TypedDict, total=False):
    """What `serve` takes beside the service; `run` takes the same."""

    host: str | Sequence[str] | None
    port: int
    unix: str | PathLike[str] | None
    pipes: Sequence[tuple[int, int]]
    tls_cert: str | PathLike[str] | None
    tls_key: str | PathLike[str] | None
    config: Config
    allow_hosts: Sequence[str]
    allow_origins: Sequence[str]
    dev: bool
    binary: bool
    pipe_identity: Identity
    signals: bool
    clock: Clock
    started: Callable[[Server], object] | None


class Server:
    """A server that runs: what `started` is given. Its methods may be called from any thread.

    `bound` is where it listens, in the order in which it was asked to.
    """

    bound: tuple[Bound, ...]

    def shut_down(self, grace: float | None = None) -> None:
        """Begin to leave: refuse new calls, tell peers, let calls end within `grace` seconds (None: `drain_grace`),
        close. `serve` then returns."""
        raise NotImplementedError


async def serve(
    service: Service,
    *,
    host: str | Sequence[str] | None = None,
    port: int = 8000,
    unix: str | PathLike[str] | None = None,
    pipes: Sequence[tuple[int, int]] = (),
    tls_cert: str | PathLike[str] | None = None,
    tls_key: str | PathLike[str] | None = None,
    config: Config = Config(),
    allow_hosts: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
    dev: bool = False,
    binary: bool = False,
    pipe_identity: Identity = ANONYMOUS,
    signals: bool = False,
    clock: Clock = Clock(),
    started: Callable[[Server], object] | None = None,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until it was told to shut down and has drained, or until it is cancelled. On asyncio and on trio.

    - `host`: an address or name, or several; None is 127.0.0.1, unless there is a `unix` path or a pipe.
    - `port`: 0 picks a free one. `unix`: the path of a socket that only this user may connect to; a stale one is
      replaced. `pipes`: descriptors to read from and to write to; where there is nothing else to serve, the end of
      the last one ends the server.
    - `tls_cert`, `tls_key`: PEM files; the key may be in the certificate's file.
    - `allow_hosts`: names under which clients may call it; needed where it is not bound to a loopback address, which
      allows the loopback names and the address itself. `allow_origins`: exact origins of web pages.
    - `dev`: everybody has every scope; only on loopback. `pipe_identity`: who is at the other end of a pipe.
    - `signals`: SIGTERM and SIGINT shut down, a second one exits at once with 128 + n; in the main thread only.
    - `started` is called, and `task_status` told, when it accepts.

    Raises UsageError for what was asked wrongly, OSError for an address that cannot be had.
    """
    raise NotImplementedError


def run(service: Service, *, backend: Literal["asyncio", "trio"] = "asyncio", **options: Unpack[Options]) -> None:
    """`serve` in an event loop of its own, with signals handled. Returns when it has drained."""
    options.setdefault("signals", True)

    async def main() -> None:
        await serve(service, **options)

    loop: dict[str, Any] = {"backend": backend}
    anyio.run(main, **loop)
