"""The methods through which credentials come into servers, and data goes out of them: wrapped, so that the active watch
is told."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

from posthouse.adapters.authenticators.keys.store import KeyStore
from posthouse.adapters.journal.recorder import Recorder
from posthouse.adapters.journal.run import Run
from posthouse.core.dispatch.logins import Logins
from posthouse.core.gateway import Gateway
from posthouse.core.identity.arrivals import Arrivals
from posthouse.core.identity.cookies import Cookies
from posthouse.core.sessions.requests import SessionRequests
from posthouse.core.values.effects import Effect
from posthouse.core.values.errors import UsageError
from posthouse.core.values.shared import Shared
from posthouse.transports.switchboard.write_queue import WriteQueue

from .watch import Outbox, Watch


class Active:
    """The watch that is told, if any."""

    watch: Watch | None = None


See = Callable[[Watch, Any, tuple[Any, ...]], object]
"""Told of a call: the active watch, the result, the positional arguments with `self`."""


def _mint(watch: Watch, result: Any, given: tuple[Any, ...]) -> None:
    if result is not None:
        watch.cookie(result[1].secret)


def _judge_token(watch: Watch, result: Any, given: tuple[Any, ...]) -> None:
    for key in given[0].keys:
        if isinstance(key.key, bytes):
            watch.secret(key.key)


def _begin_gateway(watch: Watch, result: Any, given: tuple[Any, ...]) -> None:
    given[0].outbox = watch.outbox(Outbox(_taken))


def _taken(effects: list[Effect]) -> None:
    if Active.watch is not None:
        Active.watch.effects(effects)


def _begin_journal(watch: Watch, result: Any, given: tuple[Any, ...]) -> None:
    recorder, write = given[0], given[0]._write

    def noted(line: bytes) -> object:
        if Active.watch is not None:
            Active.watch.out("a journal", line)
        return write(line)

    recorder._write = noted


def _log(watch: Watch, result: Any, given: tuple[Any, ...]) -> None:
    record = given[1]
    watch.out("the log", record.getMessage(), repr(getattr(record, "fields", None)))
    raised = record.exc_info[1] if record.exc_info else None
    while raised is not None:
        watch.out("the log", repr(raised))
        raised = raised.__cause__ or raised.__context__


HOOKS: Final[tuple[tuple[type, str, See], ...]] = (
    (Arrivals, "connect", lambda watch, result, given: watch.credentials(given[2])),
    (Logins, "begin", lambda watch, result, given: watch.credentials(given[4])),
    (Cookies, "mint", _mint),
    (SessionRequests, "mint", lambda watch, result, given: watch.cookie(result.key.text)),
    (KeyStore, "must_wait", _judge_token),
    (Shared, "__init__", _begin_gateway),
    (WriteQueue, "write", lambda watch, result, given: watch.frame(given[1])),
    (Recorder, "__init__", _begin_journal),
    (logging.Logger, "handle", _log),
    (UsageError, "__init__", lambda watch, result, given: watch.out("an error", *map(str, given[1:]))),
    (Gateway, "stats", lambda watch, result, given: watch.out("a statistic", repr(result))),
    (Gateway, "health", lambda watch, result, given: watch.out("a statistic", repr(result))),
)
"""Classes, their methods, and what a watch is told of a call that has returned."""

REPLAYS: Final[tuple[tuple[type, str], ...]] = ((Run, "give"),)
"""Classes, and their methods that are not watched."""


@contextmanager
def hooked() -> Iterator[None]:
    """These methods tell the active watch, until the block ends."""
    own = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in HOOKS]
    for owner, name, see in HOOKS:
        setattr(owner, name, _wrapped(getattr(owner, name), see))
    for owner, name in REPLAYS:
        own.append((owner, name, owner.__dict__[name]))
        setattr(owner, name, _unwatched(getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, method in own:
            delattr(owner, name) if method is None else setattr(owner, name, method)


def _wrapped(method: Callable[..., Any], see: See) -> Callable[..., Any]:
    @wraps(method)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        result = method(*arguments, **named)
        if Active.watch is not None:
            see(Active.watch, result, arguments)
        return result

    return wrapped


def _unwatched(give: Callable[..., Any]) -> Callable[..., Any]:
    """A replay takes what stands in a journal for credentials: those are no secrets."""

    @wraps(give)
    def wrapped(*arguments: Any, **named: Any) -> Any:
        before, Active.watch = Active.watch, None
        try:
            return give(*arguments, **named)
        finally:
            Active.watch = before

    return wrapped


@contextmanager
def watching() -> Iterator[Watch]:
    """A watch of its own is active, until the block ends."""
    before, Active.watch = Active.watch, Watch()
    try:
        yield Active.watch
    finally:
        Active.watch = before
