"""What the arguments of `serve` and `run` may be. Each mistake has its own error, which says the fix.

Whether they fit together, and whether the address exists, is found later. Nothing is opened here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from os import PathLike
from typing import Any, Final, TypedDict

from posthouse.adapters.store.store import Store
from posthouse.adapters.system.clock import Clock
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

from .entrances.probing import check_metrics
from .server import Server

PORTS: Final = range(65536)

MAY_BE_NONE: Final = ("host", "metrics", "started", "store")

OTHERS: Final[dict[str, str]] = {
    "reload": "the command reloads: posthouse serve --reload",
    "workers": "use run(service, processes=N), or posthouse serve --workers N; threads are Config(blocking_workers=…)",
    "processes": "use run(service, processes=N): serve is one server in a loop of yours",
    "log_level": 'set the level of logging.getLogger("posthouse")',
    "log_config": "configure logging as usual: the logger is named posthouse",
    "debug": "use dev=True, which gives every caller every scope",
    "loop": 'use run(service, backend="trio"), or await serve(…) in a loop of your own',
    "uds": "use unix",
    "fd": "use fds, a list of descriptors",
    "sockets": "use fds, a list of descriptors: [socket.fileno()]",
    "ssl": "use tls_cert and tls_key",
    "ssl_context": "use tls_cert and tls_key",
    "ssl_certfile": "use tls_cert",
    "certfile": "use tls_cert",
    "ssl_keyfile": "use tls_key",
    "keyfile": "use tls_key",
    "ssl_keyfile_password": "use tls_passphrase",
    "cors_origins": "use allow_origins",
    "cors_allowed_origins": "use allow_origins",
    "allowed_origins": "use allow_origins",
    "allowed_hosts": "use allow_hosts",
    "path": "use rpc_path for calls, and ws_path for WebSockets",
    "prefix": "use root_path",
    "prometheus": "use metrics, such as metrics='127.0.0.1:9100'",
}
"""Options of other servers, and what to do here."""


class Options(TypedDict, total=False):
    """The arguments of `serve` and of `run`, beside the service."""

    host: str | Sequence[str] | None
    port: int
    unix: str | PathLike[str] | None
    unix_mode: int
    unix_group: str | None
    fds: Sequence[int]
    pipes: Sequence[tuple[int, int]]
    tls_cert: str | PathLike[str] | None
    tls_key: str | PathLike[str] | None
    tls_passphrase: str | None
    tls_passphrase_file: str | PathLike[str] | None
    config: Config
    allow_hosts: Sequence[str]
    allow_origins: Sequence[str]
    rpc_path: str
    ws_path: str
    root_path: str
    metrics: str | None
    dev: bool
    pipe_identity: Identity
    signals: bool
    access_log: bool
    clock: Clock
    journal: str | PathLike[str] | None
    journal_bytes: int
    store: Store | None
    started: Callable[[Server], object] | None


def check_arguments(service: object, known: Iterable[str], options: Mapping[str, Any], *, taker: str = "serve") -> None:
    """Raise UsageError for an argument that does not exist, or has a wrong type or form. `known`: those of `serve`.
    `taker` is the function that takes them."""
    _check_service(service, taker)
    for name, value in options.items():
        if name not in known:
            raise UsageError(f"{taker} has no argument {name!r}: {_advice(name, known)}")
        if value is None and name in MAY_BE_NONE:
            continue
        if name in CHECKS:
            CHECKS[name](value)
        elif name in KINDS and not KINDS[name][0](value):
            raise UsageError(f"{name} is {value!r}, but must be {KINDS[name][1]}")


EXTRAS: Final = {"asyncio": None, "uvloop": "fast", "trio": "trio"}
"""The event loops that `run` can start, and the extra that installs each."""


def check_backend(backend: object) -> None:
    """Raise UsageError unless this names an event loop that `run` can start."""
    if backend not in EXTRAS:
        raise UsageError(f"backend is {backend!r}: it must be 'asyncio', 'uvloop' or 'trio'")
    extra = missing_extra(str(backend))
    if extra is not None:
        raise UsageError(f"{backend} is not installed: run pip install 'posthouse[{extra}]'")


def missing_extra(backend: str) -> str | None:
    """The extra of this distribution that installs an event loop which is not installed, or None."""
    extra = EXTRAS[backend]
    return extra if extra is not None and find_spec(backend) is None else None


def _advice(name: str, known: Iterable[str]) -> str:
    if name in OTHERS:
        return OTHERS[name]
    if name in Config.__struct_fields__:
        return f"it is a limit, config=Config({name}=…)"
    near = get_close_matches(name, known, 1)
    return f"did you mean {near[0]!r}?" if near else f"its arguments are {', '.join(known)}"


def _check_service(service: object, taker: str) -> None:
    if isinstance(service, Service):
        return
    if isinstance(service, type) and issubclass(service, Service):
        problem = f'the class {service.__name__}: create an instance, such as Service("name")'
    elif isinstance(service, str):
        module, _, name = service.partition(":")
        problem = f"the string {service!r}: import it, `from {module} import {name or 'service'}`"
        problem += f", or run the command `posthouse serve {module}:{name or 'service'}`"
    elif inspect.isroutine(service):
        problem = f"the function {service.__name__!r}: declare it with @service.method, and serve the service"
    elif inspect.ismodule(service):
        problem = f"the module {service.__name__!r}: serve the Service in it"
    else:
        problem = f"an object of the type {type(service).__name__}"
    raise UsageError(f"{taker} takes a Service, not {problem}")


def _check_host(value: object) -> None:
    hosts = [value] if isinstance(value, str) else value
    if not isinstance(hosts, Sequence) or not all(isinstance(host, str) for host in hosts):
        raise UsageError(f"host is {value!r}, but must be a string, or several")
    for host in hosts:
        name, colon, port = host.rpartition(":")
        if not host:
            raise UsageError("host is empty: for every IPv4 address of this machine, use 0.0.0.0")
        if "/" in host:
            raise UsageError(f"host {host!r} is a URL: give its name or address alone")
        if colon and port.isdigit() and (":" not in name or name.endswith("]")):
            raise UsageError(
                f"host {host!r} includes a port: use {name.strip('[]')} as the host and {port} as the port"
            )


def _check_names(name: str, value: object) -> None:
    if isinstance(value, str):
        raise UsageError(f"{name} is a single string: give a list, [{value!r}]")


def _check_config(value: object) -> None:
    if isinstance(value, Config):
        return
    hint = f"{value!r}: give a Config, or leave it out"
    if isinstance(value, Mapping):
        hint = "a mapping: use Config.from_mapping(…)"
    elif isinstance(value, str):
        hint = f"{value!r}: to read a TOML file, use Config.from_mapping(tomllib.load(file))"
    raise UsageError(f"config is {hint}")


def _check_pipes(value: object) -> None:
    for pair in value if isinstance(value, Sequence) else (value,):
        if not isinstance(pair, Sequence) or len(pair) != 2 or not all(type(number) is int for number in pair):
            raise UsageError(f"pipes contains {pair!r}: each is a pair of descriptors, to read from and to write to")


def _check_fds(value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(_is_descriptor(fd) for fd in value):
        raise UsageError(f"fds is {value!r}: give a list of descriptors, such as [3]")


def _is_descriptor(value: object) -> bool:
    return type(value) is int and value >= 0


def _is_mode(value: object) -> bool:
    return type(value) is int and 0 <= value <= 0o777


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_store(value: object) -> bool:
    return all(callable(getattr(value, name, None)) for name in ("open", "close", "perform"))


def _is_port(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in PORTS


CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    "host": _check_host,
    "pipes": _check_pipes,
    "fds": _check_fds,
    "config": _check_config,
    "metrics": check_metrics,
    "allow_hosts": partial(_check_names, "allow_hosts"),
    "allow_origins": partial(_check_names, "allow_origins"),
}
"""How the values of arguments are checked."""

KINDS: Final[dict[str, tuple[Callable[[object], bool], str]]] = {
    "port": (_is_port, f"a whole number from 0 to {PORTS[-1]}"),
    "unix_mode": (_is_mode, "the permissions of a file, such as 0o660"),
    "dev": (_is_flag, "True or False"),
    "access_log": (_is_flag, "True or False"),
    "signals": (_is_flag, "True or False"),
    "store": (_is_store, 'a store, such as SqliteStore("store.db")'),
    "started": (callable, "a function that takes the Server"),
}
"""The values that simpler arguments may have, and in words."""
