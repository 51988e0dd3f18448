"""How `serve` and `stdio` run a service: their common options, and the server's errors in terms of the command line."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, Final, Literal, Unpack

import click
from click.exceptions import Exit
from msgspec import Struct
from msgspec.structs import replace
from posthouse.adapters.handlers.lifespans import LifespanError
from posthouse.adapters.journal.file import DEFAULT_BYTES
from posthouse.adapters.report import ERROR, report
from posthouse.adapters.server.arguments import Options, missing_extra
from posthouse.adapters.server.serve import run
from posthouse.adapters.terminal import Failure, Misuse
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

from . import logs
from .loading import load_config
from .options import Option

OPTION_NAMES: Final = {
    "tls_cert": "--tls-cert",
    "tls_key": "--tls-key",
    "tls_passphrase_file": "--tls-passphrase-file",
    "allow_hosts": "--allow-host",
    "rpc_path": "--rpc-path",
    "ws_path": "--ws-path",
    "root_path": "--root-path",
    "metrics '": "--metrics '",
    "dev=True": "--dev",
}
"""Arguments of `serve` in code, as they occur in its errors, and the options that set them."""

ERRNO_HINTS: Final = {
    errno.EADDRINUSE: "another program listens there: stop it, or use another --port (0 selects a free one)",
    errno.EACCES: "this user has no permission: use a --port above 1023, or another path for --unix",
    errno.EPERM: "this user has no permission: use a --port above 1023, or another path for --unix",
    errno.EADDRNOTAVAIL: "use a name or an address of this machine for --host",
}


class Running(Struct, frozen=True):
    """The values of the common options."""

    config: str | None
    backend: Literal["asyncio", "uvloop", "trio"]
    log_level: str
    log_format: logs.LogFormat
    access_log: bool
    journal: str | None
    journal_bytes: int


def running_options(function: Callable[..., int]) -> Callable[..., int]:
    """Add the common options to a subcommand. Its function gets their values as `running`."""
    option = partial(click.option, cls=Option, section="Running")

    @option("--config", metavar="FILE.toml", help="Limits that differ from the defaults.")
    @option(
        "--backend",
        type=click.Choice(["asyncio", "uvloop", "trio"]),
        default="asyncio",
        show_default=True,
        help="The event loop. uvloop costs less CPU for each call.",
    )
    @option(
        "--log-level",
        type=click.Choice(logs.LEVELS),
        metavar="LEVEL",
        default="info",
        show_default=True,
        help=f"Log this level and above: {', '.join(logs.LEVELS)}.",
    )
    @option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="Lines for people, or one JSON object per line: all that is written to standard error, but for what the "
        "service itself prints.",
    )
    @option("--access-log", is_flag=True, help="Log each call: method, outcome, milliseconds, connection, user.")
    @option("--journal", metavar="FILE", help="Record all input for `posthouse replay`; see docs/journal.md.")
    @option(
        "--journal-bytes",
        type=int,
        default=DEFAULT_BYTES,
        metavar="N",
        show_default=True,
        help="The largest size of the journal, in bytes.",
    )
    @wraps(function)
    def wrapper(**values: Any) -> int:
        running = Running(**{name: values.pop(name) for name in Running.__struct_fields__})
        logs.configure(running.log_level, running.log_format)
        return function(running=running, **values)

    return wrapper


def prepare(running: Running) -> Config:
    """Check the options that do not need the service. Raises Failure."""
    backend = running.backend
    extra = missing_extra(backend)
    if extra is not None:
        hint = f"to use --backend {backend}, run: pip install 'posthouse[{extra}]'"
        raise Misuse(f"{backend} is not installed", hint=hint)
    return Config() if running.config is None else load_config(running.config)


def with_proxies(config: Config, trusted: Sequence[str], headers: str | None, *, trust_forwarded_host: bool) -> Config:
    """The limits, with the options about proxies where they are given. Raises Failure."""
    given: dict[str, Any] = {} if headers is None else {"proxy_headers": headers}
    if trusted:
        given["trust_proxies"] = tuple(trusted)
    if trust_forwarded_host:
        given["trust_forwarded_host"] = True
    try:
        config = replace(config, **given)
    except UsageError as error:
        raise Misuse(str(error).replace("trust_proxies", "--trust-proxy")) from None
    for option, value in (("--proxy-headers", headers), ("--trust-forwarded-host", trust_forwarded_host)):
        if value and not config.trust_proxies:
            hint = "add --trust-proxy with the address of the proxy, such as --trust-proxy 127.0.0.1"
            raise Misuse(f"{option} is about trusted proxies, and there is none", hint=hint)
    return config


def run_service(running: Running, service: Service, **options: Unpack[Options]) -> None:
    """Serve until shut-down. Errors of the server become Failure, in terms of the command line."""
    options["journal"], options["journal_bytes"] = running.journal, running.journal_bytes
    options["access_log"] = running.access_log
    with in_terms_of_options(running):
        run(service, backend=running.backend, **options)


@contextmanager
def in_terms_of_options(running: Running) -> Iterator[None]:
    """Errors of a server become Failure, in terms of the command line."""
    try:
        yield
    except LifespanError as error:
        report(ERROR, "lifespan.failed", str(error), raised=error.__cause__)
        raise Exit(Failure.status) from None
    except UsageError as error:
        raise Misuse(_named(str(error))) from None
    except OSError as error:
        if error.filename is not None and error.filename == running.journal:
            hint = "use a path for --journal that this user may write to"
            raise Failure(f"cannot write the journal {running.journal}: {error.strerror}", hint=hint) from None
        raise Failure(_named(error.strerror or str(error)), hint=ERRNO_HINTS.get(error.errno or 0, "")) from None


def _named(text: str) -> str:
    """This text, with the options that set the arguments in it."""
    for name, option in OPTION_NAMES.items():
        text = text.replace(name, option)
    return text
