"""`run` with several processes: the program starts once more for each worker, and serves when it comes to `run` again.

So a worker has the program's code as it is when it starts. The processes share the listening sockets, and the first one
supervises the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from threading import current_thread, main_thread
from typing import Any, Final, Literal, Unpack

from posthouse.adapters.report import INFO, LISTENING, report
from posthouse.adapters.server.arguments import Options, check_arguments, check_backend
from posthouse.adapters.server.entrances.hosts import check_hosts, hosts_to_bind
from posthouse.adapters.server.entrances.listeners import UNIX_MODE, Listener, listen_unix
from posthouse.adapters.server.entrances.probing import listen_for_probes
from posthouse.adapters.server.serve import run as run_alone
from posthouse.adapters.server.server import Server
from posthouse.adapters.system.machine import MachineSockets
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

from .places import listen_for_places
from .roster import Patience, Roster
from .supervisor import Supervisor
from .worker import Attendance

SOCKETS: Final = "POSTHOUSE_SOCKETS"
"""The environment variable with the descriptors of a worker's listening sockets: those for clients, `/`, and that for
metrics."""

SPARE: Final = 5.0
"""Seconds beyond `drain_timeout` in which a worker must have ended."""

LISTENERS: Final = ("host", "port", "unix", "unix_mode", "unix_group", "fds", "metrics")
"""The arguments that concern the supervisor. A worker gets its sockets instead."""


def one_process(service: Service) -> str | None:
    """Why this service needs one process, or None."""
    if service.accounts.stored:
        return f"service {service.name} has sessions or users, which one process keeps"
    return f"service {service.name} has topics, which one process keeps" if len(service.topics) else None


def run(
    service: Service,
    *,
    processes: int = 1,
    backend: Literal["asyncio", "uvloop", "trio"] = "asyncio",
    **options: Unpack[Options],
) -> None:
    """Run `serve` in an event loop of its own, with `signals` if this is the main thread. Returns when a shut-down has
    ended.

    With several `processes`, this program is started once more for each of them, and this one supervises them: it
    restarts those that die, replaces them one after the other at SIGHUP, and ends with them. `run` must be called in
    the main thread, and what stands before it runs in each process. It exits with 1 if the service cannot be served.
    """
    if type(processes) is not int or processes < 1:
        raise UsageError(f"processes is {processes!r}, but must be a whole number of at least 1")
    if processes == 1:
        run_alone(service, backend=backend, **options)
    elif SOCKETS in os.environ:
        _run_worker(service, backend, options)
    else:
        _supervise(service, processes, backend, options)


def _supervise(service: Service, count: int, backend: str, options: Options) -> None:
    if current_thread() is not main_thread():
        raise UsageError("processes needs the main thread: call run there")
    check_backend(backend)
    check_arguments(service, Options.__annotations__, options, taker="run")
    reason = one_process(service)
    if reason is not None:
        raise UsageError(f"{reason}: leave out processes")
    for name in ("journal", "pipes", "store"):
        if options.get(name):
            raise UsageError(f"{name} is for one process: leave out processes")
    sockets, config = MachineSockets(), options.get("config", Config())
    unix, fds, metrics = options.get("unix"), list(options.get("fds", ())), options.get("metrics")
    hosts = hosts_to_bind(options.get("host"), elsewhere=unix is not None or bool(fds))
    check_hosts(sockets, hosts, options.get("allow_hosts", ()), dev=options.get("dev", False))
    with ExitStack() as stack:
        secure = options.get("tls_cert") is not None
        places = listen_for_places(stack, sockets, count, hosts, options.get("port", 8000), secure=secure)
        shared: list[Listener] = []
        if unix is not None:
            mode, group = options.get("unix_mode", UNIX_MODE), options.get("unix_group")
            shared.append(listen_unix(sockets, os.fspath(unix), mode=mode, group=group))
            stack.callback(shared[-1].close)
        probes = [] if metrics is None else [listen_for_probes(sockets, metrics)]
        for each in probes:
            stack.callback(each.close)

        def clients(place: int) -> list[int]:
            return [listener.socket.fileno() for listener in (*places[place], *shared)] + fds

        def descriptors(place: int) -> list[int]:
            return clients(place) + [each.socket.fileno() for each in probes]

        def variables(place: int) -> dict[str, str]:
            told = clients(place), [each.socket.fileno() for each in probes]
            return {SOCKETS: "/".join(" ".join(map(str, each)) for each in told)}

        def serves() -> None:
            for listener in (*places[0], *shared):
                report(INFO, LISTENING, "listening on {url}", url=listener.bound.url)

        again = [sys.executable, *sys.orig_argv[1:]]
        roster = Roster(count, Patience(stop=config.drain_timeout + SPARE))
        status = Supervisor(roster, lambda place: again, descriptors, serves=serves, variables=variables).run()
    if status:
        raise SystemExit(status)


def _run_worker(service: Service, backend: Any, options: Options) -> None:
    served: dict[str, Any] = {name: value for name, value in options.items() if name not in LISTENERS}
    served |= _sockets(os.environ)
    attendance, started = Attendance(os.environ), options.get("started")
    served["started"] = _both(attendance.begin, started)
    run_alone(service, backend=backend, **served)


def _sockets(environment: Mapping[str, str]) -> dict[str, Any]:
    clients, _, probes = environment[SOCKETS].partition("/")
    return {"fds": [int(word) for word in clients.split()], "metrics": f"fd:{probes}" if probes else None}


def _both(begin: Callable[[Server], object], started: Callable[[Server], object] | None) -> Callable[[Server], None]:
    def both(server: Server) -> None:
        begin(server)
        if started is not None:
            started(server)

    return both
