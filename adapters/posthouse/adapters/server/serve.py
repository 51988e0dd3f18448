"""`serve`: a service, served. Everything that the command can do, `serve` can.

`serve` checks its arguments, opens the entrances for clients, and builds the gateway and its switchboard. `drive`
builds the parts of the adapter around them, and lets one runner drive them until the shut-down has ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from contextvars import ContextVar
from functools import partial
from os import PathLike
from typing import Any, Final, Literal, Never, Unpack

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct
from posthouse.adapters.callers import possible_callers, warning
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.lifespans import LifespanError, Lifespans
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.handlers.served_context import AwaitedRequests
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.handlers.state.views import takes_contexts
from posthouse.adapters.handlers.tasks import Tasks
from posthouse.adapters.handlers.watchdog import Watchdog
from posthouse.adapters.handlers.workers import Workers
from posthouse.adapters.journal import JournalFile, record
from posthouse.adapters.journal.file import DEFAULT_BYTES
from posthouse.adapters.loop.named import named_loop
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import DEBUG, ERROR, INFO, LISTENING, WARNING, is_logged, report
from posthouse.adapters.system.clock import Clock
from posthouse.adapters.system.machine import Machine
from posthouse.adapters.system.system import System, TlsContext
from posthouse.adapters.version import installed_version
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import EventName
from posthouse.core.values.peers import ALL_SCOPES, ANONYMOUS, Address, Identity, SocketId
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.switchboard import Switchboard

from .accepting import Acceptor
from .actions import performers
from .arguments import Options, check_arguments, check_backend
from .endpoints import Endpoints
from .hosts import allowed_names, check_hosts, hosts_to_bind
from .listeners import Listener, listen_tcp, listen_unix
from .server import Server
from .signals import end_process, on_signals
from .stdio import Pipes

Watch = Callable[[Runner, Endpoints, Runs, Events], object]
"""Gets the parts of each server that is ready to run."""


class Build(Struct, frozen=True):
    """How servers are built. A simulation builds them for a machine of its own, with a gateway that it checks.

    `policy` stands for the one that follows from the arguments. `write` takes each line of a journal; `events` are told
    in any case, and with `tell_exchanges` those of every exchange.
    """

    machine: Callable[[Clock], System] = Machine
    gateway: type[Gateway] = Gateway
    policy: Policy | None = None
    write: Callable[[bytes], object] | None = None
    events: tuple[EventName, ...] = ()
    tell_exchanges: bool = False
    watch: Watch | None = None


BUILD: Final[ContextVar[Build]] = ContextVar("build")
"""How `serve` builds a server in this context, if not as usual."""


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
    access_log: bool = False,
    clock: Clock = Clock(),
    journal: str | PathLike[str] | None = None,
    journal_bytes: int = DEFAULT_BYTES,
    started: Callable[[Server], object] | None = None,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
    **unknown: Never,
) -> None:
    """Serve until a shut-down has ended, or until this is cancelled. Runs on asyncio and on trio.

    - `host`: an address or name, or several; `()` opens no port. None: 127.0.0.1, unless there is a `unix` path or a
      pipe.
    - `port`: 0 picks a free one. `unix`: the path of a socket that only this user may connect to; a stale one is
      replaced. `pipes`: pairs of descriptors, to read from and to write to; they are closed in the end. If there is
      nothing else to serve, the server ends when its last pipe ends.
    - `tls_cert`, `tls_key`: PEM files; the key may be in the certificate's file.
    - `allow_hosts`: the only names by which clients may call; required unless every address is a loopback address.
      Default: the loopback names and the addresses themselves. `allow_origins`: exact origins of web pages
      from other hosts or ports; those from the server's own may call anyway.
    - `dev`: every caller has every scope, and pages of every loopback origin may call; only on loopback.
      `pipe_identity`: the identity of the peer of a pipe.
    - `signals`: SIGTERM and SIGINT shut down, a second one exits at once with 128 + n. The process then ends in time:
      it exits with 1 if a handler resists its cancellation or blocks the event loop. And while it serves, its garbage
      collector leaves out what existed at its start. In the main thread only.
    - `access_log`: one line of the logger `posthouse.access` (INFO) for each call and each refused request.
    - `journal`: a file in which all input is recorded, up to `journal_bytes`; the previous one is kept as `FILE.1`.
    - `started` is called, and `task_status` told, when the server accepts.

    Lifespans of the service start when the addresses are bound, before any client is served. They end after the last
    call, within `drain_timeout`.

    Raises UsageError for arguments that do not fit together, OSError for an address or a file that cannot be opened or
    a certificate that cannot be read, LifespanError for a lifespan that fails: at its start, or while it serves or at
    its end, and then when the shut-down has ended.
    """
    given = {"host": host, "port": port, "pipes": pipes, "config": config, "dev": dev, "signals": signals}
    named = {"allow_hosts": allow_hosts, "allow_origins": allow_origins, "started": started, "access_log": access_log}
    check_arguments(service, Options.__annotations__, {**given, **named, **unknown})
    build = BUILD.get(Build())
    system = build.machine(clock)
    hosts = hosts_to_bind(host, elsewhere=unix is not None or bool(pipes))
    check_hosts(system.sockets, hosts, allow_hosts, dev=dev)
    if tls_key is not None and tls_cert is None:
        raise UsageError("tls_key needs tls_cert: TLS needs a certificate")
    if signals and not system.signals.available():
        raise UsageError("signals=True needs the main thread: use signals=False, and end the server with shut_down")
    tls = None if tls_cert is None else system.sockets.tls(tls_cert, tls_key)
    identity = ANONYMOUS
    if dev:
        identity = pipe_identity = Identity(scopes=(ALL_SCOPES,))
        report(WARNING, "dev", "development mode: every caller has every scope")
    with ExitStack() as stack:
        stack.enter_context(named_loop())
        listeners = listen_tcp(system.sockets, hosts, port, secure=tls is not None)
        for listener in listeners:
            stack.callback(listener.close)
        if unix is not None:
            listeners.append(listen_unix(system.sockets, os.fspath(unix)))
            stack.callback(listeners[-1].close)
        bound = tuple(listener.bound for listener in listeners)
        policy = build.policy or Policy(
            allowed_names(bound, allow_hosts),
            tuple(allow_origins),
            identity,
            loopback_origins=dev,
            secure=tls is not None,
        )
        callers = possible_callers(
            sockets=bool(bound), identity=identity, pipes=bool(pipes), pipe_identity=pipe_identity
        )
        uncallable = warning(service, callers)
        if uncallable is not None:
            service_name, methods = uncallable.service, uncallable.methods
            report(WARNING, "methods.uncallable", uncallable.text, service=service_name, methods=methods)
        write = build.write
        if journal is not None:
            file = JournalFile(journal, journal_bytes)
            stack.callback(file.close)
            write = file.write
        events = ("call.ended", *build.events) if access_log else build.events
        about: dict[str, str | float] = {"version": installed_version(), "started_at": system.wall()}
        wall, entropy = system.wall() - system.now(), system.entropy
        if write is None:
            # An orderly exchange is only of interest to hooks, and in the log at DEBUG.
            told = build.tell_exchanges or is_logged(DEBUG) or takes_contexts(service)
            core = build.gateway(service, config, wall=wall, entropy=entropy, events=events, tell_exchanges=told)
            board = Switchboard(core, policy, about)
        else:
            board = record(
                service,
                config,
                policy,
                write,
                wall=wall,
                entropy=entropy,
                events=events,
                about=about,
                gateway=build.gateway,
            )
        runner = Runner(board, system)
        stack.callback(runner.close)
        server = Server(runner, bound)
        if signals:
            stack.enter_context(on_signals(system, server.shut_down, config.drain_timeout))

        def accepts() -> None:
            for at in bound:
                report(INFO, LISTENING, "listening on {url}", url=at.url)
            if signals:
                stack.enter_context(system.collector())
            task_status.started(server)
            if started is not None:
                started(server)

        entrances = Entrances(listeners, tls, pipes, pipe_identity)
        ended = await drive(service, server, entrances, accepts, access_log=access_log)
    if ended.left and signals:
        _log(ended.errors)
        end_process(system.signals)
    if ended.errors:
        _log(ended.errors[1:])
        raise ended.errors[0]


def run(
    service: Service, *, backend: Literal["asyncio", "uvloop", "trio"] = "asyncio", **options: Unpack[Options]
) -> None:
    """Run `serve` in an event loop of its own, with `signals` if this is the main thread. Returns when a shut-down has
    ended."""
    options.setdefault("signals", Machine().signals.available())
    check_backend(backend)
    began = False

    async def main() -> None:
        nonlocal began
        began = True
        await serve(service, **options)

    loop: dict[str, Any] = {"backend": backend}
    if backend == "uvloop":
        loop = {"backend": "asyncio", "backend_options": {"use_uvloop": True}}
    try:
        anyio.run(main, **loop)
    except RuntimeError:
        if began:
            raise
        raise UsageError("an event loop runs in this thread already: use `await serve(…)` instead of run") from None


class Entrances(Struct, frozen=True):
    """The ways in for clients: listening sockets, with TLS or without, and pipes."""

    listeners: Sequence[Listener]
    tls: TlsContext | None = None
    pipes: Sequence[tuple[int, int]] = ()
    pipe_identity: Identity = ANONYMOUS


class Ended(Struct, frozen=True):
    """The end of a server: the names of handlers, hooks and lifespans that resist their cancellation, and the errors of
    lifespans."""

    left: Sequence[str]
    errors: Sequence[LifespanError]


async def drive(
    service: Service, server: Server, entrances: Entrances, accepts: Callable[[], None], *, access_log: bool = False
) -> Ended:
    """Run everything that a server has, from its beginning to its end. `accepts` is called when clients may come."""
    runner = server._runner
    config = runner.board.config
    drained = anyio.Event()
    watchdog = Watchdog(runner.now, runner.send_written, config.watchdog_warn, config.watchdog_log)
    workers = Workers(runner.system.threads, config.blocking_workers, config.max_blocking_queue)
    tasks = Tasks(runner)
    states = States()
    events = Events(service, runner, tasks, watchdog, states, access_log=access_log)
    requests = AwaitedRequests(runner)
    lifespans = server._lifespans = Lifespans(
        service.lifespans, server, states, partial(_start_lifespan, tasks), partial(server.shut_down, 0.0)
    )
    endpoints = Endpoints()
    acceptor = Acceptor(entrances.listeners, runner, endpoints, entrances.tls)
    runs = Runs(runner, tasks, events, requests, watchdog, workers)
    runner.actions.update(performers(endpoints, runs, requests, server._calls, events, acceptor, drained.set))
    if (watch := BUILD.get(Build()).watch) is not None:
        watch(runner, endpoints, runs, events)
    with ExitStack() as stack:
        for cleanup in (requests.close, server._calls.close, workers.close, endpoints.abort, acceptor.close):
            stack.callback(cleanup)
        stack.callback(server._ended.set)
        stack.callback(watchdog.start(runner.system.threads))
        async with anyio.create_task_group() as group:
            group.start_soon(runner.run)
            until, started = None, False
            try:
                started = await lifespans.start()
                if started:
                    acceptor.start()
                    _open_pipes(entrances, runner, endpoints)
                    runner.flush_outbox()
                    accepts()
                    await drained.wait()
                    endpoints.abort()  # hooks hear of clients that have not left by now
                    runner.flush_outbox()
                    events.finish()
                    with anyio.move_on_after(config.close_timeout):
                        await events.finished.wait()
                began = runner.now() if events.draining_since is None else events.draining_since
                until = began + config.drain_timeout
            finally:
                cancelled = until is None
                until = until or runner.now() + config.cleanup_grace
                left = await runs.stop(min(config.cleanup_grace, until - runner.now()))
                left += await events.stop()
                server._calls.close()
                if cancelled:
                    group.cancel_scope.cancel()  # no more input: the states are about to end
                    runner.release_threads()
                left += await lifespans.stop(until - runner.now())
                errors = list(lifespans.errors())
                if cancelled:
                    _log(errors)
                if started:
                    events.report_end()
                group.cancel_scope.cancel()
    return Ended(left, errors)


def _start_lifespan(tasks: Tasks, begin: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    tasks.start(tasks.fresh(), begin, name)


def _log(errors: Sequence[LifespanError]) -> None:
    for error in errors:
        report(ERROR, "lifespan.failed", str(error), raised=error.__cause__)


def _open_pipes(entrances: Entrances, runner: Runner, endpoints: Endpoints) -> None:
    pipes = entrances.pipes
    left = len(pipes)

    def forget(socket: SocketId) -> None:
        nonlocal left
        endpoints.forget(socket)
        left -= 1
        if not left and not entrances.listeners:
            runner.poller.call_soon(lambda: runner.board.shut_down(runner.now()))

    for source, sink in pipes:
        id = runner.board.opened(Address(transport="pipe"), runner.now(), identity=entrances.pipe_identity)
        if id is None:
            raise UsageError(f"{len(pipes)} pipes exceed the connection limits of the config")
        endpoints.by_id[id] = pipe = Pipes(id, source, sink, runner, forget)
        pipe.start()
