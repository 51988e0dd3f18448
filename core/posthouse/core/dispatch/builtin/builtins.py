"""All built-in methods of one gateway, by name. They are compiled and checked like the methods of a service."""

from __future__ import annotations

from functools import cache
from types import FunctionType, MethodType
from typing import Any, Final

from msgspec import Raw
from msgspec.structs import replace
from posthouse.core.calls.calls import Answer
from posthouse.core.connections.connections import Connection
from posthouse.core.dispatch.procedures import Later
from posthouse.core.service.method import Method
from posthouse.core.service.openrpc import document
from posthouse.core.service.service import BUILTINS, Service
from posthouse.core.values.peers import CallId

from .auth import AuthMethods
from .connection import ConnectionMethods
from .message import MessageMethods
from .part import Part, Tables
from .rpc import RpcMethods
from .session import SessionMethods
from .token import TokenMethods
from .topic import TopicMethods
from .user import UserMethods

PARTS: Final[tuple[type[Part], ...]] = (
    *(ConnectionMethods, MessageMethods, RpcMethods, AuthMethods),
    *(SessionMethods, UserMethods, TokenMethods, TopicMethods),
)

for part in PARTS:
    for name, declared in part.declared.items():
        BUILTINS[part.prefix + name] = (declared.public is not False, declared.scopes)


class Builtins:
    """The built-in methods of one gateway, by name. Building it freezes the service and describes it."""

    def __init__(self, service: Service, tables: Tables) -> None:
        self._parts: dict[str, Part] = {}
        self.outcomes = tables.outcomes
        self.methods: dict[str, Method] = {}
        tables.calls.run_builtin = self._run_call
        for kind in PARTS:
            if not kind.enabled(service):
                continue
            part = kind(tables)
            for function, declared in kind.offered(service).items():
                name = kind.prefix + function
                variant, annotations = kind.variant(function, service)
                public, scopes = declared.public, declared.scopes
                if public is None:
                    public = service.public
                if name in service.builtin_scopes:
                    public, scopes = False, service.builtin_scopes[name]
                self._parts[name] = part
                self.methods[name] = replace(
                    _annotated(kind, variant, name, annotations) if annotations else _compiled()[name],
                    function=getattr(part, variant),
                    public=public,
                    scopes=scopes,
                    builtin=True,
                    changes=declared.changes,
                    later=declared.changes or declared.later,
                )
        service.freeze("served by a gateway")
        if service.document is None:
            service.document = document(service, self.methods.values())
        tables.document = service.document

    def _run_call(
        self,
        caller: Connection,
        call: CallId,
        method: Method,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        now: float,
    ) -> Answer | None:
        part = self._parts[method.name]
        part.caller, part.call, part.now = caller, call, now
        try:
            return (method.function(*args, **kwargs),)
        except Later:
            return None

    def run(self, method: Method, params: Raw | None, caller: Connection, now: float) -> object:
        """Run a built-in method and return its result. Raises RpcError."""
        args, kwargs = method.bind(params)
        part = self._parts[method.name]
        part.caller = caller
        part.now = now
        return method.function(*args, **kwargs)


def _annotated(kind: type[Part], function: str, name: str, annotations: dict[str, Any]) -> Method:
    """A method whose parameters have types of the service."""
    declared: FunctionType = getattr(kind, function)
    typed = FunctionType(declared.__code__, declared.__globals__, declared.__name__, declared.__defaults__)
    typed.__doc__ = declared.__doc__
    typed.__annotations__ = declared.__annotations__ | annotations
    return Method.of(MethodType(typed, kind.__new__(kind)), name=name, public=True, reserved=True)


@cache
def _compiled() -> dict[str, Method]:
    """The methods, compiled once for all gateways. Each gateway replaces `function` by its own."""
    return {
        kind.prefix + name: Method.of(
            getattr(kind.__new__(kind), name), name=kind.prefix + name, public=True, reserved=True
        )
        for kind in PARTS
        for name in kind.declared
    }
