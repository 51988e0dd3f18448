"""One server from its beginning to its end: the parts of the adapter around a runner, in the order of their lives.

This module does not know addresses, policies or journals: `serve` has opened and built them.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import anyio
from msgspec import Struct
from posthouse.adapters.handlers.events import Events
from posthouse.adapters.handlers.lifespans import LifespanError, Lifespans
from posthouse.adapters.handlers.operations.hashes import Hashes
from posthouse.adapters.handlers.operations.store_requests import StoreRequests
from posthouse.adapters.handlers.operations.verifications import Verifications
from posthouse.adapters.handlers.runs import Runs
from posthouse.adapters.handlers.state.states import States
from posthouse.adapters.handlers.tasks import Tasks
from posthouse.adapters.handlers.watchdog import Watchdog
from posthouse.adapters.handlers.workers import Workers
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.report import ERROR, report
from posthouse.adapters.store.store import Store
from posthouse.core.service.service import Service
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import ANONYMOUS, Address, Identity, SocketId

from .actions import performers
from .build import BUILD, Build
from .entrances.accepting import Acceptor
from .entrances.certificates import Certificates
from .entrances.endpoints import Endpoints
from .entrances.listeners import Listener
from .entrances.stdio import Pipes
from .server import Server


class Entrances(Struct, frozen=True):
    """The ways in for clients: listening sockets, with TLS or without, and pipes."""

    listeners: Sequence[Listener]
    tls: Certificates | None = None
    pipes: Sequence[tuple[int, int]] = ()
    pipe_identity: Identity = ANONYMOUS


class Ended(Struct, frozen=True):
    """The end of a server: the names of handlers, hooks and lifespans that resist their cancellation, and the errors of
    lifespans."""

    left: Sequence[str]
    errors: Sequence[LifespanError]


async def drive(
    service: Service,
    server: Server,
    entrances: Entrances,
    accepts: Callable[[], None],
    store: Store | None = None,
    *,
    access_log: bool = False,
) -> Ended:
    """Run everything that a server has, from its beginning to its end. `accepts` is called when clients may come.
    `store` is open."""
    runner = server._runner
    config = runner.board.config
    drained = anyio.Event()
    watchdog = Watchdog(runner.now, runner.send_written, config.watchdog_warn, config.watchdog_log)
    workers = Workers(runner.system.threads, config.blocking_workers, config.max_blocking_queue)
    hashing = Workers(runner.system.threads, config.hashing_workers, config.max_hashing_queue)
    tasks = Tasks(runner)
    states = States()
    events = Events(service, runner, tasks, watchdog, states, access_log=access_log)
    requests = server._requests
    lifespans = server._lifespans = Lifespans(
        service.lifespans, server, states, partial(_start_lifespan, tasks), partial(server.shut_down, 0.0)
    )
    endpoints = server._endpoints
    acceptor = Acceptor(entrances.listeners, runner, endpoints, entrances.tls)
    runs = Runs(runner, tasks, events, requests, watchdog, workers)
    verifications = Verifications(runner, tasks, events, watchdog, workers, hashing)
    stored = StoreRequests(runner, tasks, events, store)
    hashes = Hashes(runner, tasks, hashing)
    runner.actions.update(
        performers(
            endpoints, runs, verifications, stored, hashes, requests, server._calls, events, acceptor, drained.set
        )
    )
    if (watch := BUILD.get(Build()).watch) is not None:
        watch(runner, endpoints, runs, events)
    with ExitStack() as stack:
        for cleanup in (
            requests.close,
            server._calls.close,
            workers.close,
            hashing.close,
            endpoints.abort,
            acceptor.close,
        ):
            stack.callback(cleanup)
        stack.callback(server._ended.set)
        stack.callback(watchdog.start(runner.system.threads))
        async with anyio.create_task_group() as group:
            group.start_soon(runner.run)
            until, started, unfit = None, False, None
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
                began = runner.now() if events.log.draining_since is None else events.log.draining_since
                until = began + config.drain_timeout
            except UsageError as error:
                unfit = error  # raised behind the group, which would wrap it
            finally:
                cancelled = until is None
                until = until or runner.now() + config.cleanup_grace
                left = await runs.stop(min(config.cleanup_grace, until - runner.now()))
                left += await verifications.stop(min(config.cleanup_grace, until - runner.now()))
                left += await stored.stop(min(config.cleanup_grace, until - runner.now()))
                hashes.stop()
                left += await events.stop()
                server._calls.close()
                if cancelled:
                    group.cancel_scope.cancel()  # no more input: the states are about to end
                    runner.release_threads()
                left += await lifespans.stop(until - runner.now())
                errors = list(lifespans.errors())
                if cancelled:
                    log_errors(errors)
                if started:
                    events.log.report_end()
                group.cancel_scope.cancel()
    if unfit is not None:
        raise unfit
    return Ended(left, errors)


def _start_lifespan(tasks: Tasks, begin: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    tasks.start(tasks.fresh(), begin, name)


def log_errors(errors: Sequence[LifespanError]) -> None:
    """A line for each lifespan that failed."""
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
