"""`posthouse call`: one method called over any transport, its result on stdout.

The command's words become a request; what comes back is told apart into the result, an error, and what the server says
in the meantime. Exit codes: 0 a result, 1 an error, 2 the command line is wrong, 3 no connection.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, Final

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType, json
from posthouse.adapters.terminal import Failure, Misuse, complain, json_text, paint, printable, say
from posthouse.core.values.errors import METHOD_NOT_FOUND, RpcError

from .links import Link, Options, open_link
from .streams import Deadline

EPILOG: Final = """\
URL is one of
  http://HOST:PORT[/rpc]    https://HOST:PORT[/rpc]    one POST
  ws://HOST:PORT[/ws]       wss://HOST:PORT[/ws]       a WebSocket
  unix:/PATH/TO.sock        HTTP over a unix socket
  stdio:'COMMAND'           a process that is started for this call, one JSON text per line

Parameters are NAME=TEXT or NAME:=JSON, or one JSON array or object; - reads that from standard input.

The result goes to standard output as JSON, indented on a terminal; errors go to standard error, and so do the
notifications that come in the meantime. Exit codes: 0 a result, 1 an error, 2 wrong usage, 3 no connection.

examples:
  posthouse call http://127.0.0.1:8000 subtract minuend:=42 subtrahend:=23
  posthouse call ws://127.0.0.1:8000 sum.slowly '{"terms": [1, 2, 3]}' --progress
  posthouse call unix:/run/calculator.sock add '[1, 2, 3]'
  posthouse call stdio:'posthouse stdio calculator:service' rpc.discover
  posthouse call https://api.example.org/rpc report.build year:=2026 --header 'Authorization: Bearer ...'
"""

ID: Final = b"1"
"""The id of the one request, and its progress token."""

HEADER: Final = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\xa0-\xff]*)")
OURS: Final = ("host", "content-length", "transfer-encoding", "connection", "upgrade")
"""Headers that the request itself decides, and every sec-websocket-."""

PARAMETER: Final = re.compile(r"([^=:\s][^=]*?)(:?)=(.*)", re.DOTALL)


class Incoming(Struct):
    """What the server says: any JSON-RPC message, as far as it matters here."""

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `posthouse call`."""
    parser.set_defaults(run=run)
    parser.add_argument("url", metavar="URL", help="where; see below")
    parser.add_argument("method", metavar="METHOD", help="the method's name; rpc.discover lists those there are")
    parser.add_argument("params", nargs="*", metavar="PARAM", help="NAME=TEXT, NAME:=JSON, or one JSON text")
    parser.add_argument("--timeout", type=_seconds, default=30.0, metavar="SECONDS", help="for all of it (default: 30)")
    parser.add_argument("--notify", action="store_true", help="send a notification: there is no answer")
    parser.add_argument("--progress", action="store_true", help="ask for progress (ws, wss and stdio)")
    parser.add_argument("--quiet", action="store_true", help="do not show notifications")
    parser.add_argument(
        "--header", action="append", default=[], type=_header, metavar="'NAME: VALUE'", help="send this HTTP header too"
    )
    parser.add_argument("--ca", metavar="FILE", help="trust the authorities in this PEM file alone")
    parser.add_argument("--insecure", action="store_true", help="trust any certificate")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _header(text: str) -> tuple[bytes, bytes]:
    match = HEADER.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no header: write 'NAME: VALUE'")
    if match[1].lower() in OURS or match[1].lower().startswith("sec-websocket-"):
        raise argparse.ArgumentTypeError(f"{match[1]} cannot be given: it is said already, as the request needs it")
    return match[1].encode(), match[2].strip().encode("latin-1")


def run(arguments: argparse.Namespace) -> int:
    """Call. Returns 0; raises Failure."""
    request: dict[str, Any] = {"jsonrpc": "2.0", "method": _unicode(arguments.method)}
    params = read_params(arguments.params)
    if params is not None:
        request["params"] = Raw(params)
    if not arguments.notify:
        request["id"] = Raw(ID)
        if arguments.progress:
            request["meta"] = {"progress_token": Raw(ID)}
    options = Options(tuple(arguments.header), arguments.ca, arguments.insecure)
    link = open_link(arguments.url, options, Deadline(arguments.timeout))
    try:
        if arguments.progress and not link.lasts:
            raise Misuse("over HTTP no progress can be sent", hint="call over ws:// or wss://")
        link.send(json.encode(request))
        if arguments.notify:
            if not link.lasts:
                link.receive()
            link.leave()
            return 0
        answer = _wait(link, quiet=arguments.quiet)
        link.leave()
    finally:
        link.close()
    return _show(answer)


def read_params(words: Sequence[str]) -> bytes | None:
    """The `params` of the request as JSON, or None for none. Raises Misuse."""
    if not words:
        return None
    if len(words) == 1 and (words[0] == "-" or words[0].lstrip()[:1] in ("{", "[")):
        text = sys.stdin.read() if words[0] == "-" else words[0]
        data = _json(text, "what was given")
        if data.lstrip()[:1] not in (b"{", b"["):
            raise Misuse("the parameters are neither an array nor an object")
        return data
    params: dict[str, Raw] = {}
    for word in words:
        match = PARAMETER.fullmatch(word)
        if match is None:
            hint = "by position, they are one JSON array, such as '[42, 23]'"
            raise Misuse(f"{word!r} is neither NAME=TEXT nor NAME:=JSON", hint=hint)
        name, is_json, text = match.groups()
        if name in params:
            raise Misuse(f"the parameter {name!r} is given twice")
        params[_unicode(name)] = Raw(_json(text, f"{name}:=") if is_json else json.encode(_unicode(text)))
    return json.encode(params)


def _json(text: str, where: str) -> bytes:
    data = _unicode(text).encode()
    try:
        json.decode(data)
    except (DecodeError, RecursionError) as error:
        hint = "text needs no quotes with NAME=TEXT" if where.endswith(":=") else ""
        raise Misuse(f"{where} is not JSON: {error}", hint=hint) from None
    return data


def _unicode(text: str) -> str:
    """The text, if it is UTF-8: an argument may hold other bytes, which JSON cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Misuse(f"{text!a} is not UTF-8") from None
    return text


def _wait(link: Link, *, quiet: bool) -> Incoming:
    """The answer to our request. What else the server says is shown, and its requests are refused."""
    while True:
        message = _read(link.receive())
        if message.method is UNSET:
            ours = message.id == Raw(ID) or (message.id == Raw(b"null") and message.error is not UNSET)
            if ours:
                return message
            continue
        if not quiet:
            _show_said(message.method, message.params)
        if message.id is not UNSET:
            error = {"code": METHOD_NOT_FOUND, "message": RpcError(METHOD_NOT_FOUND).message}
            link.send(json.encode({"jsonrpc": "2.0", "error": error, "id": message.id}))


def _read(text: bytes) -> Incoming:
    try:
        return json.decode(text, type=Incoming)
    except (DecodeError, RecursionError):
        shown = printable(text[:200].decode("utf-8", "backslashreplace"))
        raise Failure("the server sent what is no JSON-RPC message", hint=shown) from None


def _show_said(method: str, params: Raw) -> None:
    text = json_text(bytes(params)) if bytes(params) else ""
    say(paint(f"{printable(method)} {text}".rstrip(), "dim", sys.stderr))


def _show(answer: Incoming) -> int:
    if answer.error is not UNSET:
        error = answer.error
        data = json_text(bytes(error.data)) if bytes(error.data) else ""
        complain(f"error {error.code}: {printable(error.message)}", [data])
        return 1
    result = b"null" if answer.result is UNSET else bytes(answer.result)
    text = json_text(result, indent=sys.stdout.isatty())
    sys.stdout.buffer.write(f"{text}\n".encode())
    sys.stdout.flush()
    return 0
