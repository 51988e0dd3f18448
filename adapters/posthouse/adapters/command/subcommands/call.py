"""`posthouse call`: call one method over any transport, and print its result on stdout.

This file makes the request and reads the messages that come back; `command/client` carries them.
"""

from __future__ import annotations

import re
import sys
from typing import Any, Final

import click
from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, json
from msgspec.structs import replace
from posthouse.adapters.command.client.address import Connection, connect
from posthouse.adapters.command.client.http import Options, status_hint
from posthouse.adapters.command.client.streams import Deadline
from posthouse.adapters.command.options import Command, seconds
from posthouse.adapters.command.parameters import read_params, utf8
from posthouse.adapters.command.secret import token_to_send
from posthouse.adapters.terminal import Failure, Misuse, complain, paint, printable, say
from posthouse.core.values.errors import INVALID_PARAMS, METHOD_NOT_FOUND, UNAUTHENTICATED, RpcError

EPILOG: Final = """\
URL is one of:
  http://HOST:PORT[/rpc]    https://HOST:PORT[/rpc]    one POST
  ws://HOST:PORT[/ws]       wss://HOST:PORT[/ws]       a WebSocket
  unix:/PATH/TO.sock        HTTP over a unix socket
  stdio:'COMMAND'           a new process, with one JSON text per line

A token is sent as `Authorization: Bearer`. It comes from --token-file, or from the environment
variable POSTHOUSE_TOKEN: a command line can be read by other users.

Exit codes: 0 a result, 1 an error, 2 wrong usage, 3 no connection.

Examples:
  posthouse call http://127.0.0.1:8000 subtract minuend:=42 subtrahend:=23
  posthouse call ws://127.0.0.1:8000 sum.slowly '{"terms": [1, 2, 3]}' --progress
  posthouse call unix:/run/calculator.sock add '[1, 2, 3]'
  posthouse call stdio:'posthouse stdio calculator:service' rpc.discover
  posthouse call https://api.example.org/rpc report.build year:=2026 --token-file token
"""

PLAIN_TEXT: Final = re.compile(r"(?:http|ws)://", re.IGNORECASE)
LOOPBACK: Final = re.compile(r"[a-z]+://(?:127\.[0-9.]+|localhost|\[::1\])(?:[:/?]|$)", re.IGNORECASE)

ID: Final = b"1"
"""The id of the request, which is also its progress token."""

HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\xa0-\xff]*)")
OWN_HEADERS: Final = ("host", "content-length", "transfer-encoding", "connection", "upgrade")
"""Headers that this command sets itself, beside every `sec-websocket-…`."""

INVISIBLE: Final = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that JSON may hold unescaped but a terminal may obey: controls of ISO 6429, and marks that reorder or hide
text."""


class Incoming(Struct):
    """Any JSON-RPC message from the server, with the members that this command reads."""

    id: Raw | UnsetType = UNSET
    method: str | UnsetType = UNSET
    params: Raw = Raw(b"")
    result: Raw | UnsetType = UNSET
    error: ErrorObject | UnsetType = UNSET


class ErrorObject(Struct):
    """JSON-RPC 2.0 section 5.1."""

    code: int
    message: str
    data: Raw = Raw(b"")


class ParameterFault(Struct):
    """The members of the data of a -32602 that the command shows."""

    parameter: str | None = None
    reason: str = ""


def header(text: str) -> tuple[bytes, bytes]:
    """The type of `--header`: a name and a value."""
    match = HEADER.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a header: write 'NAME: VALUE'")
    if match[1].lower() in OWN_HEADERS or match[1].lower().startswith("sec-websocket-"):
        raise click.BadParameter(f"{match[1]} is a header that this command sets itself")
    return match[1].encode(), match[2].strip().encode("latin-1")


@click.command(cls=Command, epilog=EPILOG)
@click.argument("url", metavar="URL", help="The address of the server; see below.")
@click.argument("method", metavar="METHOD", help="The name of the method; rpc.discover lists them.")
@click.argument("params", nargs=-1, metavar="[PARAM]...", help="NAME=TEXT, NAME:=JSON, or one JSON text.")
@click.option(
    "--timeout", type=seconds, default=30.0, metavar="SECONDS", help="The time for the whole call.  [default: 30]"
)
@click.option("--notify", is_flag=True, help="Send a notification, which has no answer.")
@click.option("--progress", is_flag=True, help="Ask for progress (ws, wss and stdio).")
@click.option("--quiet", is_flag=True, help="Do not print notifications.")
@click.option("--header", multiple=True, type=header, metavar="'NAME: VALUE'", help="Add an HTTP header; repeatable.")
@click.option("--token-file", metavar="FILE", help="Send the token in this file.  [default: $POSTHOUSE_TOKEN]")
@click.option("--ca", metavar="FILE", help="Trust only the authorities in this PEM file.")
@click.option("--insecure", is_flag=True, help="Trust any certificate.")
def command(
    url: str,
    method: str,
    params: tuple[str, ...],
    timeout: float,
    notify: bool,
    progress: bool,
    quiet: bool,
    header: tuple[tuple[bytes, bytes], ...],
    token_file: str | None,
    ca: str | None,
    insecure: bool,
) -> int:
    """Call one method and print its result as JSON.

    Parameters are NAME=TEXT or NAME:=JSON, or one JSON array or object; - reads that JSON from standard input.

    The result goes to standard output as JSON, indented on a terminal. Errors and notifications go to standard error.
    """
    request: dict[str, Any] = {"jsonrpc": "2.0", "method": utf8(method)}
    encoded = read_params(params)
    if encoded is not None:
        request["params"] = Raw(encoded)
    if not notify:
        request["id"] = Raw(ID)
        if progress:
            request["meta"] = {"progress_token": Raw(ID)}
    options = _with_token(url, Options(header, ca, insecure), token_file)
    connection = connect(url, options, Deadline(timeout))
    try:
        if progress and not connection.duplex:
            raise Misuse("HTTP carries no progress", hint="to see progress, call over ws:// or wss://")
        connection.send(json.encode(request))
        if notify:
            if not connection.duplex:
                connection.receive()
            connection.finish()
            return 0
        answer = _wait(connection, quiet=quiet)
        connection.finish()
    finally:
        connection.close()
    return _print_answer(answer, method, params, options)


def _with_token(url: str, options: Options, file: str | None) -> Options:
    """The options, with the token that is to be sent. Warns if others can read it on its way."""
    if url.startswith("stdio:"):
        if file is not None:
            raise Misuse("--token-file is for HTTP and WebSocket: a process has no headers")
        return options
    if options.has_credentials:
        if file is not None:
            raise Misuse("--token-file and --header 'Authorization: ...' exclude each other")
        return options
    token = token_to_send(file)
    if token is None:
        return options
    if PLAIN_TEXT.match(url) and not LOOPBACK.match(url):
        say(f"{paint('warning:', 'yellow', sys.stderr)} the token is sent without encryption: use https:// or wss://")
    return replace(options, headers=(*options.headers, (b"Authorization", b"Bearer " + token.encode())))


def _wait(connection: Connection, *, quiet: bool) -> Incoming:
    """The answer to our request. Until it comes, print notifications and refuse the server's requests."""
    while True:
        message = _decode(connection.receive())
        if message.method is UNSET:
            ours = message.id == Raw(ID) or (message.id == Raw(b"null") and message.error is not UNSET)
            if ours:
                return message
            continue
        if not quiet:
            _print_message(message.method, message.params)
        if message.id is not UNSET:
            error = {"code": METHOD_NOT_FOUND, "message": RpcError(METHOD_NOT_FOUND).message}
            connection.send(json.encode({"jsonrpc": "2.0", "error": error, "id": message.id}))


def _decode(text: bytes) -> Incoming:
    try:
        return json.decode(text, type=Incoming)
    except (DecodeError, RecursionError):
        shown = printable(text[:200].decode("utf-8", "backslashreplace"))
        raise Failure("the server did not send a JSON-RPC message", hint=f"it sent: {shown}") from None


def _print_message(method: str, params: Raw) -> None:
    text = _json_text(bytes(params)) if bytes(params) else ""
    say(paint(f"{printable(method)} {text}".rstrip(), "dim", sys.stderr))


def _print_answer(answer: Incoming, method: str, words: tuple[str, ...], options: Options) -> int:
    if answer.error is not UNSET:
        error = answer.error
        data = _json_text(bytes(error.data)) if bytes(error.data) else ""
        complain(
            f"error {error.code}: {printable(error.message)}",
            [data, _error_hint(error, method, words, options)],
        )
        return 1
    result = b"null" if answer.result is UNSET else bytes(answer.result)
    text = _json_text(result, indent=sys.stdout.isatty())
    sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.flush()
    return 0


def _error_hint(error: ErrorObject, method: str, words: tuple[str, ...], options: Options) -> str:
    """The remedy for an error that comes from the command line; empty if there is none."""
    if error.code == UNAUTHENTICATED:
        return status_hint(401, options)
    if error.code == METHOD_NOT_FOUND and method != "rpc.discover":
        return "to list the methods of the server, call rpc.discover"
    if error.code == INVALID_PARAMS:
        try:
            fault = json.decode(error.data, type=ParameterFault)
        except DecodeError:
            return ""  # the server is not ours
        if fault.reason.endswith("got str") and any(word.startswith(f"{fault.parameter}=") for word in words):
            name = printable(fault.parameter or "")
            return f"{name}=… sends text: to send a number or other JSON, write {name}:=…"
    return ""


def _json_text(data: bytes, *, indent: bool = False) -> str:
    """Format JSON on one line or indented. Numbers keep their digits, and members their order.

    Control characters and invisible characters are escaped as JSON escapes them, so that the value stays the same.
    """
    text = json.format(data, indent=2 if indent else 0).decode("utf-8", "backslashreplace")
    return INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
