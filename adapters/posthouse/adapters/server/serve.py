"""The front door in code: a service, served. Everything that the command can do, `serve` can.

It checks what it was asked for, builds the gateway and its switchboard, and lets one runner drive them until the last
client is gone.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from os import PathLike
from typing import Any, Final, Literal, TypedDict, Unpack

import anyio
from anyio.abc import TaskStatus
from posthouse.adapters.handlers.call_context import Asking
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.runs import Handlers
from posthouse.adapters.handlers.watchdog import Watchdog
from posthouse.adapters.handlers.workers import Workers
from posthouse.adapters.journal import JournalFile, record
from posthouse.adapters.journal.file import DEFAULT_BYTES
from posthouse.adapters.loop.clock import Clock
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import WARNING, report
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Drained
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import AcceptingStopped
from posthouse.core.values.peers import ALL_SCOPES, ANONYMOUS, Address, ConnectionId, Identity, Kind, SocketId
from posthouse.core.values.stats import Health
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.switchboard import Switchboard

from .accepting import Acceptor
from .listeners import Bound, Listener, is_loopback, listen_tcp, listen_unix, tls_context
from .signals import on_signals
from .sockets import Sockets
from .stdio import Pipes

LOOPBACK: Final = "127.0.0.1"
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
WILDCARDS: Final = ("0.0.0.0", "::")


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
    pipe_identity: Identity
    signals: bool
    clock: Clock
    journal: str | PathLike[str] | None
    journal_bytes: int
    started: Callable[[Server], object] | None


class Server:
    """A server that runs: what `started` is given. Its methods may be called from any thread.

    `bound` is where it listens, in the order in which it was asked to.
    """

    def __init__(self, runner: Runner, bound: tuple[Bound, ...]) -> None:
        self.bound: Final = bound
        self._runner: Final = runner
        self._board: Final = runner.board

    def shut_down(self, grace: float | None = None) -> None:
        """Begin to leave: refuse new calls, tell peers, let calls end within `grace` seconds (None: `drain_grace`),
        close. `serve` then returns. It may be called from a signal's handler."""
        runner = self._runner
        runner.poller.call_soon(lambda: self._board.shut_down(runner.now(), grace=grace))

    def notify(self, to: ConnectionId, method: str, params: object = None) -> bool:
        """Send a notification. False: the connection is gone or cannot be pushed to."""
        return self._runner.run_in_loop(lambda: self._board.notify(to, method, params, self._runner.now()), False)

    def broadcast(
        self,
        method: str,
        params: object = None,
        *,
        kinds: Iterable[Kind] | None = None,
        users: Iterable[str] | None = None,
    ) -> int:
        """Send a notification to every connection of these kinds and users (None: all). To how many it was sent."""
        runner, board = self._runner, self._board
        return runner.run_in_loop(lambda: board.broadcast(method, params, runner.now(), kinds=kinds, users=users), 0)

    def health(self) -> Health:
        """How it is."""
        board, runner = self._board, self._runner
        return runner.run_in_loop(lambda: board.health(runner.now()), None) or board.health(runner.now())

    def stats(self) -> dict[str, int]:
        """What was counted, by name."""
        return self._runner.run_in_loop(self._board.stats, None) or self._board.stats()


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
    pipe_identity: Identity = ANONYMOUS,
    signals: bool = False,
    clock: Clock = Clock(),
    journal: str | PathLike[str] | None = None,
    journal_bytes: int = DEFAULT_BYTES,
    started: Callable[[Server], object] | None = None,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until it was told to shut down and has drained, or until it is cancelled. On asyncio and on trio.

    - `host`: an address or name, or several; None is 127.0.0.1, unless there is a `unix` path or a pipe.
    - `port`: 0 picks a free one. `unix`: the path of a socket that only this user may connect to; a stale one is
      replaced. `pipes`: descriptors to read from and to write to, which are closed in the end; where there is nothing
      else to serve, the end of the last one ends the server.
    - `tls_cert`, `tls_key`: PEM files; the key may be in the certificate's file.
    - `allow_hosts`: the names under which clients may call it, and no others; needed where it is not bound to a
      loopback address. Without, those are the loopback names and the address itself. `allow_origins`: exact origins
      of web pages.
    - `dev`: everybody has every scope; only on loopback. `pipe_identity`: who is at the other end of a pipe.
    - `signals`: SIGTERM and SIGINT shut down, a second one exits at once with 128 + n; in the main thread only.
    - `journal`: a file that what comes in is recorded in, up to `journal_bytes`; the one before is kept as `FILE.1`.
    - `started` is called, and `task_status` told, when it accepts.

    Raises UsageError for what was asked wrongly, OSError for an address or a file that cannot be had or a certificate
    that cannot be read.
    """
    hosts = _hosts(host, unix, pipes)
    _check(hosts, allow_hosts, dev=dev)
    if tls_key is not None and tls_cert is None:
        raise UsageError("tls_key needs tls_cert: TLS needs a certificate")
    tls = None if tls_cert is None else tls_context(tls_cert, tls_key)
    identity = ANONYMOUS
    if dev:
        identity = pipe_identity = Identity(scopes=(ALL_SCOPES,))
        report(WARNING, "dev", "development mode: every caller has every scope")
    with ExitStack() as stack:
        listeners = listen_tcp(hosts, port, secure=tls is not None)
        for listener in listeners:
            stack.callback(listener.close)
        if unix is not None:
            listeners.append(listen_unix(os.fspath(unix)))
            stack.callback(listeners[-1].close)
        bound = tuple(listener.bound for listener in listeners)
        policy = Policy(_allowed(bound, allow_hosts), tuple(allow_origins), identity)
        wall = clock.wall() - clock.now()
        if journal is None:
            board = Switchboard(Gateway(service, config, wall=wall, entropy=clock.entropy), policy)
        else:
            file = JournalFile(journal, journal_bytes)
            stack.callback(file.close)
            board = record(service, config, policy, file.write, wall=wall, entropy=clock.entropy)
        runner = Runner(board, clock)
        stack.callback(runner.close)
        server = Server(runner, bound)
        if signals:
            stack.enter_context(on_signals(server.shut_down))

        def accepts() -> None:
            task_status.started(server)
            if started is not None:
                started(server)

        await drive(service, runner, listeners, tls, pipes, accepts, pipe_identity=pipe_identity)


async def drive(
    service: Service,
    runner: Runner,
    listeners: Sequence[Listener],
    tls: ssl.SSLContext | None,
    pipes: Sequence[tuple[int, int]],
    accepts: Callable[[], None],
    *,
    pipe_identity: Identity = ANONYMOUS,
) -> None:
    """Everything that a running server has, from its beginning to its end."""
    config = runner.board.config
    over = anyio.Event()
    runner.actions[Drained] = lambda _: over.set()
    watchdog = Watchdog(runner.now, config.watchdog_warn, config.watchdog_log)
    workers = Workers(config.blocking_workers, config.max_blocking_queue)
    events = Events(service, runner, watchdog)
    asking = Asking(runner)
    sockets = Sockets(runner)
    acceptor = Acceptor(listeners, runner, sockets, tls)
    events.subscribe(AcceptingStopped, acceptor.close)
    with ExitStack() as stack:
        for cleanup in (events.close, asking.close, workers.close, sockets.abort, acceptor.close):
            stack.callback(cleanup)
        watchdog.start()
        stack.callback(watchdog.stop)
        async with anyio.create_task_group() as group:
            Handlers(runner, group, events, asking, watchdog, workers)
            group.start_soon(runner.run)
            group.start_soon(events.run_hooks)
            _open_pipes(pipes, pipe_identity, runner, sockets, alone=not listeners)
            runner.flush_outbox()
            accepts()
            await over.wait()
            events.finish()
            with anyio.move_on_after(config.close_timeout):
                await events.finished.wait()
            group.cancel_scope.cancel()


def _open_pipes(
    pipes: Sequence[tuple[int, int]], identity: Identity, runner: Runner, sockets: Sockets, *, alone: bool
) -> None:
    left = len(pipes)

    def forget(socket: SocketId) -> None:
        nonlocal left
        sockets.forget(socket)
        left -= 1
        if alone and not left:
            runner.poller.call_soon(lambda: runner.board.shut_down(runner.now()))

    for source, sink in pipes:
        id = runner.board.opened(Address(transport="pipe"), runner.now(), identity=identity)
        if id is None:
            raise UsageError(f"{len(pipes)} pipes exceed the connection limits of the config")
        sockets.lines[id] = line = Pipes(id, source, sink, runner, forget)
        line.start()


def _hosts(
    host: str | Sequence[str] | None, unix: str | PathLike[str] | None, pipes: Sequence[tuple[int, int]]
) -> tuple[str, ...]:
    if host is None:
        return () if unix is not None or pipes else (LOOPBACK,)
    return (host,) if isinstance(host, str) else tuple(host)


def _check(hosts: tuple[str, ...], allow_hosts: Sequence[str], *, dev: bool) -> None:
    for host in hosts:
        if is_loopback(host):
            continue
        if dev:
            raise UsageError(
                f"dev=True is only for loopback addresses, not for {host}: it gives every caller every scope"
            )
        if not allow_hosts:
            raise UsageError(f"{host} is not a loopback address: list the host names of the server with allow_hosts")


def _allowed(bound: tuple[Bound, ...], allow_hosts: Sequence[str]) -> tuple[str, ...]:
    """The names under which clients may call. Behind a wildcard address there is no name to allow by itself."""
    if allow_hosts:
        return tuple(allow_hosts)
    addresses = [at.host.partition("%")[0] for at in bound if at.host not in ("", *WILDCARDS)]
    named = [f"[{address}]" if ":" in address else address for address in addresses]
    return tuple(dict.fromkeys((*LOOPBACK_NAMES, *named)))


def run(service: Service, *, backend: Literal["asyncio", "trio"] = "asyncio", **options: Unpack[Options]) -> None:
    """`serve` in an event loop of its own, with signals handled. Returns when it has drained."""
    options.setdefault("signals", True)

    async def main() -> None:
        await serve(service, **options)

    loop: dict[str, Any] = {"backend": backend}
    anyio.run(main, **loop)
