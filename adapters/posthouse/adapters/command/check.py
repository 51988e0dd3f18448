"""`posthouse check`: what a service declares, for a person to read."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, Final

from posthouse.core.service.method import Method
from posthouse.core.service.service import BUILTINS, Service

STARS: Final[dict[Any, str]] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}

MODULE_PATH: Final = re.compile(r"""('[^']*'|"[^"]*")|(?:\w+\.)+(?=\w)""")
"""The path in front of a type's name; or a text, in which there is none."""


def describe(service: Service) -> Iterator[str]:
    """The service as lines: each method with its types, who may call it, and how it runs."""
    count = len(service.methods)
    title = f"{service.name} {service.version}: {count or 'no'} {'method' if count == 1 else 'methods'}"
    yield f"{title}{'' if count else ' but the built-in ones'}"
    for method in service.methods.values():
        yield ""
        yield f"{method.name}{signature(method)}"
        if method.description:
            yield f"    {method.description.splitlines()[0]}"
        yield f"    {', '.join((access(method.public, method.scopes), *rules(method)))}"
    yield ""
    yield "built in"
    for name, usual in BUILTINS.items():
        restricted = service.builtin_scopes.get(name)
        who = access(*usual) if restricted is None else access(False, restricted)
        yield f"    {name}: {who}"


def signature(method: Method) -> str:
    """The parameters and the result as Python writes them, types without the modules that they are from."""
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
    """A type as its author wrote it, more or less: `list[Point]`, `int | None`."""
    if annotation is None or annotation is type(None):
        return "None"
    return MODULE_PATH.sub(lambda match: match[1] or "", inspect.formatannotation(annotation))


def access(public: bool, scopes: tuple[str, ...]) -> str:
    """Who may call it."""
    if scopes:
        return f"needs {', '.join(scopes)}"
    return "anyone" if public else "authenticated callers"


def rules(method: Method) -> Iterator[str]:
    """How its calls run, where that is not the usual."""
    if method.is_async:
        yield "async"
    if method.blocking:
        yield "in a worker thread"
    if method.sequential:
        yield "one after another"
    if method.timeout is not None:
        yield f"within {method.timeout:g} s"
    if method.on_disconnect == "finish":
        yield "runs on after a disconnect"
