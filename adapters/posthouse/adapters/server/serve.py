"""`serve`: a service, served. Everything that the command can do, `serve` can.

`serve` checks its arguments, opens the entrances for clients, and builds the gateway and its switchboard. `driving.py`
builds the parts of the adapter around them, and lets one runner drive them until the shut-down has ended.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from os import PathLike
from typing import Any, Literal, Never, Unpack

import anyio
from anyio.abc import TaskStatus
from msgspec.structs import replace
from posthouse.adapters.authenticators.ready_made import ReadyMade, check_installed
from posthouse.adapters.callers import possible_callers, warning
from posthouse.adapters.handlers.state.views import takes_contexts
from posthouse.adapters.journal import JournalFile, record
from posthouse.adapters.journal.file import DEFAULT_BYTES
from posthouse.adapters.loop.named import named_loop
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.metrics.exposition import Exposition
from posthouse.adapters.report import DEBUG, INFO, LISTENING, WARNING, is_logged, report
from posthouse.adapters.store.store import Store
from posthouse.adapters.system.clock import Clock
from posthouse.adapters.system.machine import Machine
from posthouse.adapters.version import installed_version
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ALL_SCOPES, ANONYMOUS, Identity
from posthouse.transports.paths import Paths
from posthouse.transports.policy import Policy

from .arguments import Options, check_arguments, check_backend
from .build import BUILD, Build
from .driving import Entrances, drive, log_errors
from .entrances.certificates import Certificates, certificate_files
from .entrances.hosts import allowed_names, check_hosts, hosts_to_bind, warn_of_trust
from .entrances.listeners import UNIX_MODE, adopt, listen_tcp, listen_unix
from .entrances.probing import listen_for_probes
from .opened_store import opened
from .server import Server
from .signals import end_process, on_signals


async def serve(
    service: Service,
    *,
    host: str | Sequence[str] | None = None,
    port: int = 8000,
    unix: str | PathLike[str] | None = None,
    unix_mode: int = UNIX_MODE,
    unix_group: str | None = None,
    fds: Sequence[int] = (),
    pipes: Sequence[tuple[int, int]] = (),
    tls_cert: str | PathLike[str] | None = None,
    tls_key: str | PathLike[str] | None = None,
    tls_passphrase: str | None = None,
    tls_passphrase_file: str | PathLike[str] | None = None,
    config: Config = Config(),
    allow_hosts: Sequence[str] = (),
    allow_origins: Sequence[str] = (),
    rpc_path: str = "/rpc",
    ws_path: str = "/ws",
    root_path: str = "",
    metrics: str | None = None,
    dev: bool = False,
    pipe_identity: Identity = ANONYMOUS,
    signals: bool = False,
    access_log: bool = False,
    clock: Clock = Clock(),
    journal: str | PathLike[str] | None = None,
    journal_bytes: int = DEFAULT_BYTES,
    store: Store | None = None,
    started: Callable[[Server], object] | None = None,
    task_status: TaskStatus[Server] = anyio.TASK_STATUS_IGNORED,
    **unknown: Never,
) -> None:
    """Serve until a shut-down has ended, or until this is cancelled. Runs on asyncio and on trio.

    - `host`: an address or name, or several; `()` opens no port. None: 127.0.0.1, unless there is a `unix` path, a
      descriptor or a pipe.
    - `port`: 0 picks a free one. `unix`: the path of a socket that only this user may connect to; a stale one is
      replaced. `unix_mode` and `unix_group` let others connect, too.
    - `fds`: descriptors of sockets that listen already, such as those of a process manager. `pipes`: pairs of
      descriptors, to read from and to write to. Both are closed in the end. If there is nothing else to serve, the
      server ends when its last pipe ends.
    - `tls_cert`, `tls_key`: PEM files; the key may be in the certificate's file. They are read again when they have
      changed, for new clients. `tls_passphrase`: that of an encrypted key; `tls_passphrase_file`: a file with it.
    - `allow_hosts`: the only names by which clients may call; required unless every address is a loopback address.
      Default: the loopback names and the addresses themselves. `allow_origins`: exact origins of web pages
      from other hosts or ports; those from the server's own may call anyway.
    - `rpc_path` takes calls, `ws_path` opens WebSockets: also `/`, or the same path. `root_path`: all paths are below
      this one, those of probes too, for a proxy that passes on whole paths.
    - `metrics`: an address such as "127.0.0.1:9100" where only `/metrics`, `/stats` and `/health` are answered. Calls
      are then measured (`Config.measure_calls`). On another address than loopback, its callers need the scope `admin`.
    - `dev`: every caller has every scope, and pages of every loopback origin may call; only on loopback.
      `pipe_identity`: the identity of the peer of a pipe.
    - `signals`: SIGTERM and SIGINT shut down, a second one exits at once with 128 + n. SIGHUP reads the
      certificate again. The process then ends in time:
      it exits with 1 if a handler resists its cancellation or blocks the event loop. And while it serves, its garbage
      collector leaves out what existed at its start. In the main thread only.
    - `access_log`: one line of the logger `posthouse.access` (INFO) for each call and each refused request.
    - `journal`: a file in which all input is recorded, up to `journal_bytes`; the previous one is kept as `FILE.1`.
    - `store`: what keeps users, tokens and sessions, such as a `SqliteStore`. None: they end with the server.
    - `started` is called, and `task_status` told, when the server accepts.

    Lifespans of the service start when the addresses are bound, before any client is served. They end after the last
    call, within `drain_timeout`.

    Raises UsageError for arguments that do not fit together, OSError for an address or a file that cannot be opened or
    a certificate that cannot be read, LifespanError for a lifespan that fails: at its start, or while it serves or at
    its end, and then when the shut-down has ended.
    """
    given: dict[str, object] = {"host": host, "port": port, "unix_mode": unix_mode, "fds": fds, "pipes": pipes}
    given |= {"config": config, "dev": dev, "signals": signals, "store": store, "metrics": metrics}
    named = {"allow_hosts": allow_hosts, "allow_origins": allow_origins, "started": started, "access_log": access_log}
    check_arguments(service, Options.__annotations__, {**given, **named, **unknown})
    paths = Paths(rpc_path, ws_path, root_path)
    build = BUILD.get(Build())
    system = build.machine(clock)
    hosts = hosts_to_bind(host, elsewhere=unix is not None or bool(fds) or bool(pipes))
    check_hosts(system.sockets, hosts, allow_hosts, dev=dev)
    warn_of_trust(config)
    files = certificate_files(tls_cert, tls_key, tls_passphrase, tls_passphrase_file)
    if signals and not system.signals.available():
        raise UsageError("signals=True needs the main thread: use signals=False, and end the server with shut_down")
    if service.accounts.users:
        check_installed("a service with users", "passwords", "argon2")
    for authenticator in service.authenticators.values():
        if isinstance(authenticator.function, ReadyMade):
            authenticator.function.prepare(config)
    tls = None if files is None else Certificates(system.sockets.tls, files, system.now)
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
            listeners.append(listen_unix(system.sockets, os.fspath(unix), mode=unix_mode, group=unix_group))
            stack.callback(listeners[-1].close)
        for descriptor in fds:
            listeners.append(adopt(system.sockets, descriptor, secure=tls is not None))
            stack.callback(listeners[-1].close)
            if listeners[-1].bound.host:
                check_hosts(system.sockets, (listeners[-1].bound.host,), allow_hosts, dev=dev)
        bound = tuple(listener.bound for listener in listeners)
        if metrics is not None:
            config = replace(config, measure_calls=True)
            listeners.append(listen_for_probes(system.sockets, metrics))
            stack.callback(listeners[-1].close)
            if listeners[-1].bound.host:
                check_hosts(system.sockets, (listeners[-1].bound.host,), allow_hosts, dev=dev)
        policy = build.policy or Policy(
            allowed_names(bound, allow_hosts),
            tuple(allow_origins),
            identity,
            loopback_origins=dev,
            secure=tls is not None,
            paths=paths,
        )
        callers = possible_callers(
            service,
            sockets=bool(bound) or build.hosted,
            identity=policy.identity if build.hosted else identity,
            pipes=bool(pipes),
            pipe_identity=pipe_identity,
        )
        uncallable = warning(service, (*callers, *build.callers))
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
            if store is not None:
                core.use_external_store(store.durability)
            board = build.board(core, policy, about, direct=build.direct)
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
                board=build.board,
                direct=build.direct,
                store=None if store is None else store.durability,
            )
        runner = Runner(board, system)
        stack.callback(runner.close)
        server = Server(runner, bound, Exposition(about), None if metrics is None else listeners[-1].bound)
        if signals:
            hang_up = None if tls is None else partial(runner.poller.call_soon, tls.read_again)
            waker, seconds = runner.poller.waker, config.drain_timeout
            stack.enter_context(on_signals(system, server.shut_down, waker, seconds, hang_up=hang_up))

        def accepts() -> None:
            for at in bound:
                report(INFO, LISTENING, "listening on {url}", url=at.url)
            if server.metrics is not None:
                report(INFO, LISTENING, "metrics are at {url}/metrics", url=server.metrics.url)
            if signals:
                stack.enter_context(system.collector())
            task_status.started(server)
            if started is not None:
                started(server)

        entrances = Entrances(listeners, tls, pipes, pipe_identity)
        async with opened(store, config.cleanup_grace):
            ended = await drive(service, server, entrances, accepts, store, access_log=access_log)
    if ended.left and signals:
        log_errors(ended.errors)
        end_process(system.signals)
    if ended.errors:
        log_errors(ended.errors[1:])
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
