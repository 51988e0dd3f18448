"""`posthouse serve --workers` and `--reload`: the same command, once more for each worker, on shared sockets."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from threading import Event, Thread
from typing import Final

import click
from click.core import ParameterSource
from msgspec import Struct
from posthouse.adapters.report import LISTENING
from posthouse.adapters.server.entrances.hosts import hosts_to_bind
from posthouse.adapters.server.entrances.listeners import Listener, listen_unix
from posthouse.adapters.server.entrances.probing import listen_for_probes
from posthouse.adapters.system.machine import MachineSockets
from posthouse.adapters.terminal import Misuse, say
from posthouse.adapters.workers.places import listen_for_places
from posthouse.adapters.workers.program import one_process
from posthouse.adapters.workers.roster import Patience, Roster
from posthouse.adapters.workers.supervisor import Supervisor
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

from .systemd import Notifier

OWN: Final = ("workers", "reload", "host", "port", "unix", "unix_mode", "unix_group", "fd", "metrics", "print_config")
"""The parameters that concern the supervisor. A worker gets the others as they were given."""

SPARE: Final = 5.0
"""Seconds beyond `drain_timeout` in which a worker must have ended."""


LOOK_MS: Final = 250
"""Milliseconds after which a watch of files comes back without any change."""


class Addresses(Struct, frozen=True):
    """Where to listen, as the options say it."""

    hosts: tuple[str, ...]
    port: int
    unix: str | None
    unix_mode: int
    unix_group: str | None
    fds: Sequence[int]
    secure: bool
    metrics: str | None = None


def check_workers(count: int, service: Service, *, reload: bool, journal: str | None) -> None:
    """Raise Misuse for options and services that several processes cannot have."""
    reason = one_process(service) if count > 1 else None
    if reason is not None:
        raise Misuse(reason, hint="leave out --workers")
    if journal is not None:
        raise Misuse("--journal records one process: leave out --workers and --reload")
    if reload and count > 1:
        raise Misuse("--reload is for development, with one worker: leave out --workers")
    if reload and find_spec("watchfiles") is None:
        raise Misuse("watchfiles is not installed", hint="to use --reload, run: pip install 'posthouse[reload]'")


def run_workers(count: int, addresses: Addresses, config: Config, *, reload: bool, overlap: bool) -> int:
    """Serve with so many workers until all have ended. `overlap`: a new worker may run beside the one that it replaces.
    Returns the exit code. Raises OSError and UsageError as `serve` does."""
    words = list(_worker_words(click.get_current_context()))
    sockets, hosts = MachineSockets(), addresses.hosts
    with ExitStack() as stack:
        elsewhere = addresses.unix is not None or bool(addresses.fds)
        named = hosts_to_bind(hosts or None, elsewhere=elsewhere)
        places = listen_for_places(stack, sockets, count, named, addresses.port, secure=addresses.secure)
        shared: list[Listener] = []
        if addresses.unix is not None:
            path, mode, group = addresses.unix, addresses.unix_mode, addresses.unix_group
            shared.append(listen_unix(sockets, path, mode=mode, group=group))
            stack.callback(shared[-1].close)

        probes: list[Listener] = []
        if addresses.metrics is not None:
            probes.append(listen_for_probes(sockets, addresses.metrics))
            stack.callback(probes[0].close)
        asked = [word for each in probes for word in ("--metrics", f"fd:{each.socket.fileno()}")]

        def served(place: int) -> list[int]:
            return [listener.socket.fileno() for listener in (*places[place], *shared)] + list(addresses.fds)

        def descriptors(place: int) -> list[int]:
            return served(place) + [each.socket.fileno() for each in probes]

        def command(place: int) -> list[str]:
            fds = (word for fd in served(place) for word in ("--fd", str(fd)))
            return [sys.executable, "-m", "posthouse", "serve", *words, *fds, *asked]

        notifier = Notifier(os.environ)

        def serves() -> None:
            notifier.tell_ready()
            for listener in (*places[0], *shared):
                say(f"listening on {listener.bound.url}", event=LISTENING, url=listener.bound.url)
            for each in probes:
                say(f"metrics are at {each.bound.url}/metrics", event=LISTENING, url=each.bound.url)

        roster = Roster(count, Patience(stop=config.drain_timeout + SPARE), overlap=overlap)
        if reload:
            watching = Event()
            Thread(target=_watch, args=(os.getcwd(), watching), name="posthouse-reload", daemon=True).start()
            watching.wait()
        return Supervisor(roster, command, descriptors, serves=serves).run()


def _worker_words(context: click.Context) -> Iterator[str]:
    """The words of this command line that a worker needs, too."""
    for parameter in context.command.get_params(context):
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not given or name in OWN:
            continue
        value = context.params[name]
        if isinstance(parameter, click.Argument):
            yield str(value)
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            yield parameter.opts[0]
        else:
            for each in value if parameter.multiple else (value,):
                yield from (parameter.opts[0], str(each))


def _watch(folder: str, watching: Event) -> None:
    """Ask for a new worker whenever a Python file of this folder has changed. Sets `watching` when none is missed."""
    try:
        from watchfiles import PythonFilter, watch

        for changes in watch(folder, watch_filter=PythonFilter(), rust_timeout=LOOK_MS, yield_on_timeout=True):
            watching.set()
            if changes:
                say("a file has changed: the service is loaded again", event="service.changed")
                os.kill(os.getpid(), signal.SIGHUP)
    finally:
        watching.set()
