"""Commands to try after the server has started, made from its methods and its address."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any, Final, get_args

from msgspec import json
from posthouse.adapters.server.entrances.listeners import Bound
from posthouse.core.service.method import Method
from posthouse.core.service.service import Service
from posthouse.transports.paths import Paths

NUMBERS: Final = (42, 23)


def suggestions(service: Service, bound: Bound, paths: Paths = Paths()) -> Iterator[str]:
    """The lines to print: a call with curl, with `posthouse call`, and over a WebSocket."""
    method, params = _call_of(service)
    request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
    text = json.format(json.encode(request), indent=0).decode()
    arguments = " ".join(_argument(name, value) for name, value in params.items())
    call = f"{_command()} call"
    calls, opens = paths.calls[0].decode(), paths.opens[0].decode()
    if bound.path:
        target = f"--unix-socket {shlex.quote(bound.path)} http://localhost{calls}"
        call_at = open_at = shlex.quote(bound.url)
    else:
        target = f"{'--insecure ' if bound.secure else ''}{bound.url}{calls}"
        address = f"{'--insecure ' if bound.secure else ''}{bound.url}"
        call_at = address if calls == "/rpc" else address + calls
        open_at = address.replace("http", "ws", 1) + ("" if opens == "/ws" else opens)
    yield "to try it, run in another terminal:"
    yield f"  curl -s {target} -H 'Content-Type: application/json' -d {shlex.quote(text)}"
    if not bound.path or calls == "/rpc":  # the address of a unix socket has no other path
        yield f"  {call} {call_at} {method} {arguments}".rstrip()
        yield f"  {call} {open_at} rpc.discover"
    yield ""


def _call_of(service: Service) -> tuple[str, dict[str, Any]]:
    """The first method for which example parameters exist, with them; or a built-in method."""
    for method in service.methods.values():
        params = _params_of(method)
        if params:
            return method.name, params
    return "connection.ping", {}


def _params_of(method: Method) -> dict[str, Any] | None:
    numbers = cycle(NUMBERS)
    params: dict[str, Any] = {}
    for parameter in method.signature.parameters:
        if parameter.default is not parameter.empty:
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            return None
        types = get_args(parameter.annotation) or (parameter.annotation,)
        if int in types:
            params[parameter.name] = next(numbers)
        elif float in types:
            params[parameter.name] = 1  # small: it may be a number of seconds
        elif str in types:
            params[parameter.name] = "hello"
        else:
            return None
    return params


def _argument(name: str, value: Any) -> str:
    return f"{name}={value}" if isinstance(value, str) else f"{name}:={value}"


def _command() -> str:
    """How to run this command in another terminal."""
    if shutil.which("posthouse"):
        return "posthouse"
    python = Path(os.path.abspath(sys.executable))
    beside = python.with_name("posthouse")
    return shlex.quote(str(beside)) if beside.exists() else f"{shlex.quote(str(python))} -m posthouse"
