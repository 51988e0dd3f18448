"""`posthouse check`: list the methods of a service, or report what is wrong with it."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, Final

import click
from posthouse.adapters.callers import possible_callers, warning
from posthouse.adapters.command.loading import accept_tokens, load_service
from posthouse.adapters.command.options import Command, service_argument
from posthouse.adapters.terminal import Failure, paint, say
from posthouse.core.gateway import Gateway
from posthouse.core.service.method import Method
from posthouse.core.service.service import BUILTINS, Service
from posthouse.core.values.errors import UsageError

EPILOG: Final = """\
Example:
  posthouse check calculator:service
"""

STARS: Final[dict[Any, str]] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}

MODULE_PATH: Final = re.compile(r"""('[^']*'|"[^"]*")|(?:\w+\.)+(?=\w)""")
"""The modules in front of a type's name. Also matches quoted text, which is kept as it is."""


@click.command(cls=Command, epilog=EPILOG)
@service_argument(required=True, help="The Service: an importable module, and a name in it.")
@click.option("--tokens", metavar="FILE", help="The file of tokens with which it will be served.")
def command(target: str, tokens: str | None) -> int:
    """List the methods of a service, or report what is wrong with it.

    The module is imported, and each method is printed with its types and with who may call it. Methods that no caller
    can call are a warning on standard error. If the service cannot be served, the exit code is 1.
    """
    service = load_service(target)
    if tokens is not None:
        accept_tokens(service, tokens)
    try:
        Gateway(service, wall=0.0, entropy=os.urandom)  # finds the errors that no single declaration shows
    except UsageError as error:
        raise Failure(f"cannot serve {target}: {error}") from None
    sys.stdout.write("\n".join((*describe(service), "")))
    uncallable = warning(service, possible_callers(service))
    if uncallable is not None:
        sys.stdout.flush()
        say(f"{paint('warning:', 'yellow', sys.stderr)} {uncallable}")
    return 0


def describe(service: Service) -> Iterator[str]:
    """The lines to print: each method with its types, its access and its rules."""
    count = len(service.methods)
    title = f"{service.name} {service.version}: {count or 'no'} {'method' if count == 1 else 'methods'}"
    yield f"{title}{'' if count else ' besides the built-in ones'}"
    for method in service.methods.values():
        yield ""
        yield f"{method.name}{signature(method)}"
        if method.description:
            yield f"    {method.description.splitlines()[0]}"
        yield f"    {', '.join((access(method.public, method.scopes), *rules(method)))}"
    yield ""
    yield "built-in methods"
    for name, usual in BUILTINS.items():
        restricted = service.builtin_scopes.get(name)
        who = access(*usual) if restricted is None else access(False, restricted)
        yield f"    {name}: {who}"


def signature(method: Method) -> str:
    """The parameters and the result in Python's syntax. Types are written without their modules."""
    parts: list[str] = []
    kinds = {parameter.kind for parameter in method.signature.parameters}
    for parameter in method.signature.parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.VAR_POSITIONAL not in kinds and "*" not in parts:
            parts.append("*")
        star = STARS.get(parameter.kind, "")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        parts.append(f"{star}{parameter.name}: {type_name(parameter.annotation)}{default}")
    return f"({', '.join(parts)}) -> {type_name(method.signature.returns)}"


def type_name(annotation: Any) -> str:
    """A type in Python's syntax: `list[Point]`, `int | None`."""
    if annotation is None or annotation is type(None):
        return "None"
    return MODULE_PATH.sub(lambda match: match[1] or "", inspect.formatannotation(annotation))


def access(public: bool, scopes: tuple[str, ...]) -> str:
    """Who may call the method."""
    if scopes:
        return f"needs scope {' and '.join(scopes)}"
    return "anyone" if public else "authenticated callers"


def rules(method: Method) -> Iterator[str]:
    """How the method runs, where that differs from the default."""
    if method.is_async:
        yield "async"
    if method.blocking:
        yield "in a worker thread"
    if method.sequential:
        yield "one call at a time"
    if method.timeout is not None:
        yield f"timeout {method.timeout:g} s"
    if method.on_disconnect == "finish":
        yield "continues after a disconnect"
