"""The command `posthouse`: serve, stdio, call, check, replay.

It turns a command line into calls of the front door, and what goes wrong into a line that says what to do. Exit codes:
0 it was done, 1 it failed, 2 the command line is wrong, 3 no connection (`call`), 4 something is violated (`replay`),
130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Final, NoReturn, Unpack

from posthouse.adapters.journal.file import DEFAULT_BYTES
from posthouse.adapters.server.serve import Options, Server, run
from posthouse.adapters.server.stdio import take_pipes
from posthouse.adapters.terminal import Failure, Misuse, complain, say
from posthouse.core.gateway import Gateway
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import ConnectionClosed

from . import call, logs
from . import replay as replaying
from .check import describe
from .loading import load_config, load_service
from .suggestions import suggestions

DESCRIPTION = "A JSON-RPC 2.0 gateway: typed Python functions over WebSocket, HTTP and stdio."

EPILOG = """\
examples:
  posthouse check calculator:service
  posthouse serve calculator:service --dev
  posthouse call http://127.0.0.1:8000/rpc subtract minuend:=42 subtrahend:=23
  posthouse call stdio:'posthouse stdio calculator:service' add '[1, 2, 3]'

`posthouse COMMAND --help` says more. NO_COLOR=1 keeps colours away.
"""

SERVE_EPILOG = """\
It serves JSON-RPC 2.0 with POST on /rpc, a WebSocket on /ws, and how it is on /health. SIGTERM and SIGINT let running
calls end, tell the clients, and exit with 0; a second signal exits at once.

examples:
  posthouse serve calculator:service --dev                   for oneself, on http://127.0.0.1:8000
  posthouse serve calculator:service --port 0                on any free port, which it prints
  posthouse serve calculator:service --unix /run/calc.sock   for this user's programs alone
  posthouse serve calculator:service --host 0.0.0.0 --allow-host api.example.org \\
      --allow-origin https://app.example.org --tls-cert cert.pem --tls-key key.pem

A configuration file has one line for each limit that is to be another, such as `call_timeout = 5.0`, and no tables.
docs/limits.md of the source has the limits, and `python -m pydoc posthouse.core.Config` their names and defaults;
docs/proxy.md has what a proxy in front of it must pass on.
"""

STDIO_EPILOG = """\
It reads requests from its standard input and answers on its standard output: one JSON text per line, or with
`Content-Length` headers as in the Language Server Protocol, whichever the client begins with. What the service prints
goes to standard error. It exits with 0 when its input ends and running calls have ended, and with 1 when a limit,
or what came, made it close the connection.

examples:
  echo '{"jsonrpc": "2.0", "method": "add", "params": [1, 2], "id": 1}' | posthouse stdio calculator:service
  posthouse call stdio:'posthouse stdio calculator:service' add '[1, 2]'
"""

CHECK_EPILOG = """\
It imports the module and lists the methods with their types and who may call them; or it says what is wrong, and exits
with 1.

example:
  posthouse check calculator:service
"""

OPTIONS: Final = {"allow_hosts": "--allow-host", "tls_cert": "--tls-cert", "tls_key": "--tls-key"}
"""What the front door calls its arguments, and what the command line calls them."""

PORT: Final = 8000

USUAL: Final = (None, 1000, 1012)
"""The close codes of a connection of pipes whose peer went or was idle, and of one that a shut-down ended."""

TARGET_HELP = "the Service to run: a module, importable from here, and a name in it"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (None: those of this process). Returns its exit code."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest:
        # argparse takes no positional arguments behind an option that stands among them: `call URL METHOD --quiet x=1`
        more = not any(word.startswith("-") for word in rest)
        if more and arguments.run is call.run:
            arguments.params += rest
        elif more and arguments.run is replaying.run and arguments.target is None and len(rest) == 1:
            arguments.target = rest[0]
        else:
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return int(arguments.run(arguments))
    except Failure as failure:
        complain(failure.text, [failure.hint])
        return failure.status
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`), which is no fault; the interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Help as it was written, with a column for the options that is wide enough."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="posthouse", description=DESCRIPTION, epilog=EPILOG, formatter_class=Formatter, allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"posthouse {version('posthouse')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, help: str, epilog: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=help,
            description=f"{help[:1].upper()}{help[1:]}.",
            epilog=epilog,
            formatter_class=Formatter,
            allow_abbrev=False,
        )

    _add_serve(command("serve", "serve a service over WebSocket and HTTP", SERVE_EPILOG))
    _add_stdio(command("stdio", "serve a service to the process at the other end of two pipes", STDIO_EPILOG))
    call.add_arguments(command("call", "call one method and print its result as JSON", call.EPILOG))
    replaying.add_arguments(command("replay", "replay what a server was told, offline", replaying.EPILOG))
    _add_check(command("check", "list what a service declares, or say what is wrong with it", CHECK_EPILOG))
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    parser.add_argument(
        "target", nargs="?", metavar="MODULE:SERVICE", help=f"{TARGET_HELP} (without: the built-in methods alone)"
    )
    where = parser.add_argument_group("where it listens")
    where.add_argument("--host", action="append", metavar="HOST", help="an address or name (default: 127.0.0.1)")
    where.add_argument("--port", type=_port, metavar="PORT", help=f"0 picks a free one (default: {PORT})")
    where.add_argument("--unix", metavar="PATH", help="a unix socket, for this user alone")
    where.add_argument("--tls-cert", metavar="FILE", help="a certificate, and those between it and the root (PEM)")
    where.add_argument("--tls-key", metavar="FILE", help="its private key (default: in the certificate's file)")
    who = parser.add_argument_group("who may call")
    who.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which clients may call it, in place of localhost, 127.0.0.1 and [::1]; needed where it "
        "listens to more than this machine, and behind a proxy that passes its own name on",
    )
    who.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="an origin whose web pages may call it, such as https://app.example.org",
    )
    who.add_argument("--dev", action="store_true", help="give everybody every scope; on this machine alone")
    _add_running(parser)


def _add_stdio(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_stdio)
    parser.add_argument("target", metavar="MODULE:SERVICE", help=TARGET_HELP)
    parser.add_argument("--dev", action="store_true", help="give the process at the other end every scope")
    _add_running(parser)


def _add_running(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how it runs")
    how.add_argument("--config", metavar="FILE.toml", help="limits that are to be others than the defaults")
    how.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="(default: asyncio)")
    how.add_argument("--log-level", choices=logs.LEVELS, default="info", help="(default: info)")
    how.add_argument("--log-format", choices=("text", "json"), default="text", help="(default: text)")
    how.add_argument(
        "--journal", metavar="FILE", help="record what comes in, for `posthouse replay`; see docs/journal.md"
    )
    how.add_argument(
        "--journal-bytes",
        type=int,
        default=DEFAULT_BYTES,
        metavar="N",
        help=f"and no more than so much (default: {DEFAULT_BYTES})",
    )


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_check)
    parser.add_argument("target", metavar="MODULE:SERVICE", help=TARGET_HELP)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: give a number from 0 to 65535")
    return int(text)


def _serve(arguments: argparse.Namespace) -> int:
    if arguments.unix is not None and not arguments.host:
        for option, value in (("--port", arguments.port), ("--tls-cert", arguments.tls_cert)):
            if value is not None:
                hint = "to listen on both, give --host too, such as --host 127.0.0.1"
                raise Misuse(f"{option} is for TCP, and with --unix alone there is none", hint=hint)
    config = _prepare(arguments)
    service = Service("posthouse", public=True) if arguments.target is None else load_service(arguments.target)

    def started(server: Server) -> None:
        for bound in server.bound:
            say(f"listening on {bound.url}")
        if arguments.dev:
            for line in suggestions(service, server.bound[0]):
                say(line)

    _run(
        arguments,
        service,
        host=arguments.host,
        port=PORT if arguments.port is None else arguments.port,
        unix=arguments.unix,
        tls_cert=arguments.tls_cert,
        tls_key=arguments.tls_key,
        config=config,
        allow_hosts=arguments.allow_host,
        allow_origins=arguments.allow_origin,
        dev=arguments.dev,
        started=started,
    )
    return 0


def _stdio(arguments: argparse.Namespace) -> int:
    pipes = take_pipes()  # before the service is imported: what it prints must not get between our messages
    config = _prepare(arguments)
    service = load_service(arguments.target)
    closed: list[int] = []

    @service.on("connection.closed")
    def note(event: ConnectionClosed) -> None:
        if event.kind == "cli" and event.code not in USUAL:
            closed.append(event.code)

    _run(arguments, service, pipes=[pipes], config=config, dev=arguments.dev)
    if closed:
        hint = "docs/limits.md has the close codes; the log says which limit it was"
        raise Failure(f"the connection was not ended by its peer: it was closed with {closed[0]}", hint=hint)
    return 0


def _check(arguments: argparse.Namespace) -> int:
    service = load_service(arguments.target)
    try:
        Gateway(service, wall=0.0, entropy=os.urandom)  # which sees what only the whole can show
    except UsageError as error:
        raise Failure(f"{arguments.target} cannot be served: {error}") from None
    sys.stdout.write("\n".join((*describe(service), "")))
    return 0


def _prepare(arguments: argparse.Namespace) -> Config:
    """What must be right before the service is imported."""
    logs.configure(arguments.log_level, arguments.log_format)
    if arguments.backend == "trio" and find_spec("trio") is None:
        raise Misuse("--backend trio needs trio, which is not installed", hint="pip install 'posthouse[trio]'")
    return Config() if arguments.config is None else load_config(arguments.config)


def _run(arguments: argparse.Namespace, service: Service, **options: Unpack[Options]) -> None:
    """The front door, with what it raises put into the words of the command line."""
    options["journal"], options["journal_bytes"] = arguments.journal, arguments.journal_bytes
    try:
        run(service, backend=arguments.backend, **options)
    except UsageError as error:
        text = str(error)
        for name, option in OPTIONS.items():
            text = text.replace(name, option)
        raise Misuse(text) from None
    except OSError as error:
        if error.filename is not None and error.filename == arguments.journal:
            hint = "give --journal a path where this user may write"
            raise Failure(f"cannot write the journal {arguments.journal}: {error.strerror}", hint=hint) from None
        _explain(error)


def _explain(error: OSError) -> NoReturn:
    """Raise what this error of the operating system means for whoever gave the command."""
    hint = ""
    if error.errno == errno.EADDRINUSE:
        hint = "another program listens there: end it, or choose another port with --port (0 picks a free one)"
    elif error.errno in (errno.EACCES, errno.EPERM):
        hint = "this user may not: choose a port above 1023 with --port, or another path with --unix"
    elif error.errno == errno.EADDRNOTAVAIL:
        hint = "give --host a name or an address that this machine has"
    raise Failure(error.strerror or str(error), hint=hint) from None
