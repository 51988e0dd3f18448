"""A service: the methods, hooks and interceptors that one application declares, and how services compose.

Declarations are checked at once: what makes no sense raises UsageError where it stands, before anything changed. A
service that is included in another, or served by a gateway, is frozen: what was described to peers is what is served.
Nothing here runs user code or knows connections.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import signature
from typing import Any, Final, TypeVar, overload

from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import EVENTS, Event, EventName

from .method import Method, OnCall, OnDisconnect, OnOutcome, check_function, sorted_scopes

Hook = Callable[[Any], Awaitable[None] | None]
"""Called with a lifecycle event. A plain function or a coroutine function."""

F = TypeVar("F", bound=Callable[..., Any])
H = TypeVar("H", bound=Hook)
Before = TypeVar("Before", bound=OnCall)
After = TypeVar("After", bound=OnOutcome)

BUILTINS: Final[dict[str, tuple[bool, tuple[str, ...]]]] = {}
"""The methods that every gateway answers itself. Who may call them, unless the service says otherwise: public or not,
and the scopes that it asks for. The files of `dispatch/builtin/` declare them; they are there once `posthouse.core` is
imported."""

TAKEN: Final = ("$/cancelRequest", "$/progress")
"""Other names that no service can have, reserved or not."""


class Service:
    """What an application offers. `methods` by name; `hooks` for each type of event, in order.

    `public`: callers need not be authenticated, unless a method says otherwise. `version` and `description` stand in
    its OpenRPC document. `builtin_scopes` says which scopes a caller needs for a built-in method, by its name: it must
    then be authenticated, also where no scopes are named. `document` is the OpenRPC document, as soon as a gateway
    serves it; None before.
    """

    def __init__(
        self,
        name: str,
        *,
        public: bool = False,
        version: str = "0.0.0",
        description: str = "",
        builtin_scopes: Mapping[str, Iterable[str]] = {},
    ) -> None:
        self.name = name
        self.public = public
        self.version = version
        self.description = description
        self.builtin_scopes = {
            builtin: sorted_scopes(scopes, f"builtin_scopes of {_builtin(builtin)!r}")
            for builtin, scopes in sorted(builtin_scopes.items())
        }
        self.methods: dict[str, Method] = {}
        self.hooks: dict[type[Event], tuple[Hook, ...]] = dict.fromkeys(EVENTS.values(), ())
        self.document: dict[str, Any] | None = None
        self._on_call: tuple[OnCall, ...] = ()
        self._on_outcome: tuple[OnOutcome, ...] = ()
        self._frozen: str | None = None

    def __repr__(self) -> str:
        return f"<Service {self.name!r}: {len(self.methods)} methods>"

    # Methods

    @overload
    def method(self, function: F, /) -> F: ...

    @overload
    def method(
        self,
        name: str | None = None,
        /,
        *,
        public: bool | None = None,
        scopes: Iterable[str] = (),
        timeout: float | None = None,
        sequential: bool = False,
        blocking: bool = False,
        on_disconnect: OnDisconnect = "cancel",
        reserved: bool = False,
    ) -> Callable[[F], F]: ...

    def method(
        self, function_or_name: Callable[..., Any] | str | None = None, /, *, public: bool | None = None, **options: Any
    ) -> Any:
        """Declare a function as a method: `@service.method`, or `@service.method("name", …)`. It stays as it is.

        The name defaults to the function's. `public` defaults to the service's: callers need not be authenticated.
        `scopes` are those that a caller must have, all of them. `timeout` is the deadline of a call in seconds, waiting
        included (default: `Config.call_timeout`). A plain function runs at once, in order of arrival; `blocking=True`
        gives it a worker thread. `sequential=True` runs the calls of one connection one after another, for coroutine
        functions and blocking ones. `on_disconnect="finish"` lets a call run on when its connection ends.
        `reserved=True` allows a name that another protocol defines (`$/setTrace` of LSP).

        Raises UsageError for what makes no sense.
        """

        def declare(function: F) -> F:
            self._ready()
            name = _name_of(function) if named is None else named
            self._check_free(name)
            method = Method.of(function, name=name, public=self.public if public is None else public, **options)
            self.methods[name] = method.intercepted(self._on_call, self._on_outcome)
            return function

        if callable(function_or_name):
            named = None
            return declare(function_or_name)
        named = function_or_name
        return declare

    # Hooks

    def on(self, event: EventName, /) -> Callable[[H], H]:
        """Declare a hook: `@service.on("connection.opened")`, called with each such event, after it happened.

        Hooks of one event run in the order of their declaration, and cannot veto; one that raises is logged. A plain
        function or a coroutine function. Raises UsageError for an event that there is not.
        """
        kind = EVENTS.get(event)
        if kind is None:
            near = get_close_matches(event, EVENTS, 1, 0.0)
            raise UsageError(f"there is no event {event!r}: did you mean {near[0]!r}?")

        def declare(hook: H) -> H:
            self._ready()
            _check_takes(hook, f"hook of {event!r}", "event")
            self.hooks[kind] = (*self.hooks[kind], hook)
            return hook

        return declare

    # Interceptors

    def on_call(self, interceptor: Before, /) -> Before:
        """Declare an interceptor of calls: `@service.on_call`, see `OnCall`. It stands before every method of this
        service, those declared before it and those included too, in the order of declaration."""
        self._ready()
        _check_takes(interceptor, "on_call", "context", "method", "arguments")
        # Those of included services stand behind ours.
        place = len(self._on_call)
        self._on_call = (*self._on_call, interceptor)
        for name, method in self.methods.items():
            on_call: tuple[OnCall, ...] = (*method.on_call[:place], interceptor, *method.on_call[place:])
            self.methods[name] = method.intercepted(on_call, method.on_outcome)
        return interceptor

    def on_outcome(self, interceptor: After, /) -> After:
        """Declare an interceptor of outcomes: `@service.on_outcome`, see `OnOutcome`. It stands behind every method of
        this service, those declared before it and those included too, in the order of declaration."""
        self._ready()
        _check_takes(interceptor, "on_outcome", "context", "method", "outcome")
        self._on_outcome = (*self._on_outcome, interceptor)
        for name, method in self.methods.items():
            self.methods[name] = method.intercepted(method.on_call, (*method.on_outcome, interceptor))
        return interceptor

    # Composition

    def include(self, other: Service, prefix: str = "") -> None:
        """Take over the methods, hooks and interceptors of `other`; its methods are named `prefix` and their names.

        Its interceptors stay with its methods, nearest to them: ours run before its `on_call` and after its
        `on_outcome`. A hook runs once, however often its service is included. Its methods stay as public as they were
        declared; its `builtin_scopes` are not taken over. `other` is frozen from now on, so that nothing is declared
        there that would be missing here, and no service can include itself. Raises UsageError for names that are taken.
        """
        self._ready()
        if other is self:
            raise UsageError(f"service {self.name!r} cannot include itself")
        included: dict[str, Method] = {}
        for method in other.methods.values():
            name = prefix + method.name
            self._check_free(name)
            on_call = (*self._on_call, *method.on_call)
            on_outcome = (*method.on_outcome, *self._on_outcome)
            included[name] = method.renamed(name).intercepted(on_call, on_outcome)
        other.freeze(f"included in service {self.name!r}")
        self.methods.update(included)
        for kind, hooks in other.hooks.items():
            self.hooks[kind] += tuple(hook for hook in hooks if hook not in self.hooks[kind])

    def freeze(self, reason: str) -> None:
        """Refuse declarations from now on. The first reason is the one that they are refused with."""
        if self._frozen is None:
            self._frozen = reason

    def _ready(self) -> None:
        if self._frozen is not None:
            raise UsageError(f"service {self.name!r} is {self._frozen}: declare everything before that")

    def _check_free(self, name: str) -> None:
        if name in BUILTINS or name in TAKEN:
            raise UsageError(f"the name {name!r} is taken: the gateway itself answers it")
        if name in self.methods:
            raise UsageError(f"service {self.name!r} has a method {name!r} already: give one of the two another name")


def _builtin(name: str) -> str:
    if name == "rpc.cancel":
        raise UsageError("builtin_scopes names 'rpc.cancel': callers may always cancel their own calls")
    if name not in BUILTINS:
        near = get_close_matches(name, BUILTINS, 1, 0.0)
        raise UsageError(f"builtin_scopes names {name!r}, which is no built-in method: did you mean {near[0]!r}?")
    return name


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", "<unnamed>")
    if name.startswith("<"):
        raise UsageError(f'{function!r} has no name of its own: say `service.method("name")`')
    return str(name)


def _check_takes(function: Callable[..., Any], where: str, *arguments: str) -> None:
    """Raise UsageError unless `function` can be called with these arguments, by position."""
    check_function(function, where)
    try:
        signature(function).bind(*arguments)
    except (TypeError, ValueError):
        raise UsageError(f"{where} is called with ({', '.join(arguments)}), which {function!r} does not take") from None
