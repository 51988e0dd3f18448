"""`posthouse serve`: a service over WebSocket and HTTP, on TCP and unix sockets."""

from __future__ import annotations

import os
from functools import partial
from typing import Final

import click
from msgspec.structs import replace
from posthouse.adapters.callers import MAX_NAMED
from posthouse.adapters.command.loading import accept_tokens, load_service, read_settings
from posthouse.adapters.command.options import Command, Option, service_argument, whole_number
from posthouse.adapters.command.running import (
    Running,
    in_terms_of_options,
    prepare,
    run_service,
    running_options,
    with_proxies,
)
from posthouse.adapters.command.settings import written
from posthouse.adapters.command.suggestions import suggestions
from posthouse.adapters.command.systemd import Notifier, descriptors
from posthouse.adapters.command.workers import Addresses, check_workers, run_workers
from posthouse.adapters.report import LISTENING
from posthouse.adapters.server.entrances.listeners import UNIX_MODE
from posthouse.adapters.server.entrances.probing import check_metrics
from posthouse.adapters.server.server import Server
from posthouse.adapters.store.sqlite.store import SqliteStore
from posthouse.adapters.terminal import Misuse, say
from posthouse.adapters.workers.worker import Attendance
from posthouse.core.service.service import Service
from posthouse.core.values.config import PROXY_HEADERS
from posthouse.transports.paths import Paths

PORT: Final = 8000

EPILOG: Final = """\
Examples:
  Development, on http://127.0.0.1:8000:
    posthouse serve calculator:service --dev
  For callers with a token:
    posthouse token hash --new --user ada >> tokens.toml
    posthouse serve calculator:service --tokens tokens.toml
  A free port, which is printed:
    posthouse serve calculator:service --port 0
  A unix socket, for programs of this user:
    posthouse serve calculator:service --unix /run/calculator.sock
  A socket of systemd:
    posthouse serve calculator:service --fd systemd --allow-host api.example.org
  Behind a proxy on this machine:
    posthouse serve calculator:service --allow-host api.example.org --trust-proxy 127.0.0.1
  Other machines, with TLS:
    posthouse serve calculator:service --host 0.0.0.0 --allow-host api.example.org \\
        --allow-origin https://app.example.org --tls-cert cert.pem --tls-key key.pem

A configuration file has one line for each limit to change, such as `call_timeout = 5.0`, and no
tables. Limits: docs/limits.md, or `python -m pydoc posthouse.core.Config` for names and defaults.
Settings of a proxy in front of the server: docs/deploy.md.
"""

listening = partial(click.option, cls=Option, section="Listening")
callers = partial(click.option, cls=Option, section="Callers")
proxies = partial(click.option, cls=Option, section="Proxies")


@click.command(cls=Command, epilog=EPILOG)
@service_argument(
    required=False,
    help="The Service: an importable module, and a name in it. Without it, only the built-in methods are served.",
)
@listening("--host", multiple=True, metavar="HOST", help="An address or a name; repeatable.  [default: 127.0.0.1]")
@listening("--port", type=whole_number(0, 65535), metavar="PORT", help=f"0 selects a free port.  [default: {PORT}]")
@listening("--unix", metavar="PATH", help="A unix socket that only this user can connect to.")
@listening(
    "--unix-mode", metavar="OCTAL", help="Its permissions, such as 660 to let in its group, too.  [default: 600]"
)
@listening("--unix-group", metavar="GROUP", help="Its group.  [default: that of this user]")
@listening(
    "--fd",
    multiple=True,
    metavar="N",
    help="A descriptor of a socket that listens already; repeatable. `systemd` stands for the sockets that systemd "
    "hands over, `systemd:NAME` for those of a name.",
)
@listening("--rpc-path", metavar="PATH", help="The path that takes calls; also `/`.  [default: /rpc]")
@listening("--ws-path", metavar="PATH", help="The path that opens WebSockets; also `/`.  [default: /ws]")
@listening(
    "--root-path",
    metavar="PATH",
    help="A path before all others, /health and /stats too, for a proxy that passes on whole paths, such as /api.",
)
@listening("--tls-cert", metavar="FILE", help="The certificate and its intermediate certificates (PEM).")
@listening("--tls-key", metavar="FILE", help="The private key (PEM).  [default: in the file of --tls-cert]")
@listening(
    "--tls-passphrase-file",
    metavar="FILE",
    help="A file with the passphrase of an encrypted key. The environment variable POSTHOUSE_TLS_PASSPHRASE may have "
    "it, too.",
)
@callers(
    "--allow-host",
    multiple=True,
    metavar="NAME",
    help="A host name that clients may use, in place of localhost, 127.0.0.1 and [::1]; repeatable. `*.example.org` "
    "stands for all names below. Required to listen beyond this machine, and behind a proxy that forwards its own host "
    "name.",
)
@callers(
    "--allow-origin",
    multiple=True,
    metavar="ORIGIN",
    help="Another origin whose web pages may call, such as https://app.example.org; repeatable. Pages from the "
    "server's own host and port may call anyway.",
)
@callers(
    "--tokens",
    metavar="FILE",
    help="Accept the bearer tokens of this file, beside the service's own authenticators; posthouse token hash makes "
    "its entries.",
)
@click.option(
    "--store",
    metavar="PATH",
    cls=Option,
    section="Running",
    help="An SQLite file that keeps users, tokens and sessions; it is created. Without it, they end with the server.",
)
@callers(
    "--require-auth",
    is_flag=True,
    help="Refuse calls without credentials before their bodies are read, and close WebSockets that do not log in. "
    "The server does not start with a method that anyone may call, or if it cannot authenticate callers.",
)
@callers(
    "--dev",
    is_flag=True,
    help="Development: every caller has every scope, and pages of every loopback origin may call. Only on loopback "
    "addresses.",
)
@proxies(
    "--trust-proxy",
    multiple=True,
    metavar="CIDR",
    help="A proxy in front of the server, as an address or a network, or `unix` for the peers of --unix; repeatable. "
    "What it says about its clients counts: address and scheme. From all others it is ignored.",
)
@proxies(
    "--proxy-headers",
    type=click.Choice(PROXY_HEADERS),
    help="The headers of these proxies: X-Forwarded-For and X-Forwarded-Proto, or Forwarded (RFC 7239).  "
    f"[default: {PROXY_HEADERS[0]}]",
)
@proxies(
    "--trust-forwarded-host",
    is_flag=True,
    help="The host name that clients used is X-Forwarded-Host (or host= in Forwarded) instead of Host.",
)
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    cls=Option,
    section="Running",
    help="Answer GET /metrics, for Prometheus, on a port of its own, and measure how long calls take. On loopback "
    "addresses anyone may ask; elsewhere callers need the scope admin, as for /metrics beside /rpc.",
)
@click.option(
    "--workers",
    type=whole_number(1),
    metavar="N",
    cls=Option,
    section="Running",
    help="Serve with N processes. SIGHUP replaces them one after the other, with new code. Each knows its own "
    "connections alone.  [default: this process]",
)
@click.option(
    "--reload",
    is_flag=True,
    cls=Option,
    section="Running",
    help="Development: serve with a new process whenever a Python file of this folder has changed.",
)
@click.option(
    "--print-config",
    is_flag=True,
    cls=Option,
    section="Running",
    help="Print every limit with its value and origin, as TOML, and exit.",
)
@running_options
def command(
    target: str | None,
    host: tuple[str, ...],
    port: int | None,
    unix: str | None,
    unix_mode: str | None,
    unix_group: str | None,
    fd: tuple[str, ...],
    rpc_path: str | None,
    ws_path: str | None,
    root_path: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_passphrase_file: str | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    tokens: str | None,
    store: str | None,
    require_auth: bool,
    dev: bool,
    trust_proxy: tuple[str, ...],
    proxy_headers: str | None,
    trust_forwarded_host: bool,
    metrics: str | None,
    workers: int | None,
    reload: bool,
    print_config: bool,
    running: Running,
) -> int:
    """Serve a service over WebSocket and HTTP.

    Clients send JSON-RPC 2.0 with POST to /rpc, or over a WebSocket at /ws. GET /health, GET /stats and GET /metrics
    report the state of the server. SIGTERM and SIGINT shut it down: running calls may finish, clients are told, and
    the exit code is 0. A second signal exits at once. SIGHUP reads the certificate of TLS again, for new clients; so
    does a change of its files. If a lifespan of the service fails, the exit code is 1.

    Nothing is written to standard output, but for --print-config. Standard error has the log, and for each address a
    line `listening on URL` when the server accepts, whatever --log-level is.
    """
    fds = descriptors(fd, os.environ)
    if unix is not None and not host and not fds:
        for option, value in (("--port", port), ("--tls-cert", tls_cert)):
            if value is not None:
                hint = "to listen on TCP too, add --host, such as --host 127.0.0.1"
                raise Misuse(f"{option} is for TCP, but --unix alone listens on no TCP port", hint=hint)
    mode = _mode(unix, unix_mode, unix_group)
    with in_terms_of_options(running):
        paths = Paths(rpc_path or "/rpc", ws_path or "/ws", root_path or "")
        if metrics is not None:
            check_metrics(metrics)
    config = with_proxies(prepare(running), trust_proxy, proxy_headers, trust_forwarded_host=trust_forwarded_host)
    service = Service("posthouse", public=True) if target is None else load_service(target)
    if tokens is not None:
        accept_tokens(service, tokens)
    if require_auth:
        _check_private(service, dev=dev)
        config = replace(config, require_authentication=True)

    if print_config:
        given = {
            "trust_proxies": trust_proxy and "--trust-proxy",
            "proxy_headers": proxy_headers and "--proxy-headers",
            "trust_forwarded_host": trust_forwarded_host and "--trust-forwarded-host",
            "require_authentication": require_auth and "--require-auth",
        }
        in_file = () if running.config is None else read_settings(running.config)
        click.echo(written(config, running.config, in_file, given))
        return 0
    if workers is not None or reload:
        check_workers(workers or 1, service, reload=reload, journal=running.journal)
        port, secure = PORT if port is None else port, tls_cert is not None
        addresses = Addresses(host, port, unix, mode, unix_group, fds, secure, metrics)
        with in_terms_of_options(running):
            return run_workers(workers or 1, addresses, config, reload=reload, overlap=store is None)
    notifier, attendance = Notifier(os.environ), Attendance(os.environ)

    def started(server: Server) -> None:
        notifier.ready(server)
        attendance.begin(server)
        if attendance.is_worker:
            return
        for bound in server.bound:
            say(f"listening on {bound.url}", event=LISTENING, url=bound.url)
        if server.metrics is not None:
            say(f"metrics are at {server.metrics.url}/metrics", event=LISTENING, url=server.metrics.url)
        if target is None and running.log_format == "text":
            say("only the built-in methods are served: to serve yours, run posthouse serve MODULE:SERVICE")
        if dev and running.log_format == "text":
            for line in suggestions(service, server.bound[0], paths):
                say(line)

    try:
        run_service(
            running,
            service,
            host=list(host) or None,
            port=PORT if port is None else port,
            unix=unix,
            unix_mode=mode,
            unix_group=unix_group,
            fds=fds,
            tls_cert=tls_cert,
            tls_key=tls_key,
            tls_passphrase=_passphrase(tls_cert, tls_passphrase_file),
            tls_passphrase_file=tls_passphrase_file,
            config=config,
            allow_hosts=list(allow_host),
            allow_origins=list(allow_origin),
            rpc_path=paths.rpc,
            ws_path=paths.ws,
            root_path=paths.root,
            metrics=metrics,
            dev=dev,
            store=None if store is None else SqliteStore(store),
            started=started,
        )
    finally:
        notifier.close()
    return 0


def _mode(unix: str | None, mode: str | None, group: str | None) -> int:
    """The permissions of the unix socket. Raises Misuse if they are invalid, or --unix is missing."""
    for option, value in (("--unix-mode", mode), ("--unix-group", group)):
        if value is not None and unix is None:
            raise Misuse(f"{option} is for a unix socket: add --unix PATH")
    if mode is None:
        return UNIX_MODE
    try:
        number = int(mode, 8)
    except ValueError:
        number = -1
    if not 0 <= number <= 0o777:
        raise Misuse(f"--unix-mode {mode!r}: give permissions as octal digits, such as 660")
    return number


def _passphrase(tls_cert: str | None, file: str | None) -> str | None:
    """The passphrase of the environment: that of an encrypted key, unless a file has it."""
    return None if tls_cert is None or file is not None else os.environ.get("POSTHOUSE_TLS_PASSPHRASE")


def _check_private(service: Service, *, dev: bool) -> None:
    """Raise Misuse unless every caller of every method is authenticated."""
    if dev:
        raise Misuse("--require-auth and --dev exclude each other: --dev gives every caller every scope")
    if not service.authenticators:
        hint = "use --tokens FILE, or declare an authenticator (@service.authenticator)"
        raise Misuse(f"--require-auth: service {service.name} cannot authenticate callers", hint=hint)
    public = [method.name for method in service.methods.values() if method.public and not method.scopes]
    if public:
        named = ", ".join(public[:MAX_NAMED]) + (f" and {len(public) - MAX_NAMED} more" if public[MAX_NAMED:] else "")
        hint = "declare them without public=True, which may stand on the service, too"
        raise Misuse(f"--require-auth: anyone may call {named} of service {service.name}", hint=hint)
