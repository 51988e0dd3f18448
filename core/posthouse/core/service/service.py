"""A service: the methods, hooks and interceptors that one application declares, and how services compose.

An invalid declaration raises UsageError at once, before any change. A service that is included in another, or served by
a gateway, is frozen, so that peers get what the OpenRPC document says. Nothing here runs user code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches
from typing import Any, Final, Never, TypeVar, Unpack, overload

from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import EVENTS, Event, EventName

from .accounts import Accounts, DeclaredAccounts
from .authenticators import Authenticator, check_label, check_scheme
from .declarations import (
    OnDisconnect,
    check_event,
    check_function,
    check_options,
    check_takes,
    name_of,
    sorted_scopes,
    subprotocols_of,
)
from .hooks import DeclaredHook, Hook
from .lifespan import Lifespan
from .method import Interceptor, Method, OnCall, OnOutcome
from .topics.rulebook import Rulebook
from .topics.rules import Rule, TopicOptions

F = TypeVar("F", bound=Callable[..., Any])
H = TypeVar("H", bound=Hook)
A = TypeVar("A", bound=Callable[..., Any])
L = TypeVar("L", bound=Callable[..., AsyncIterator[Any] | AbstractAsyncContextManager[Any]])
Before = TypeVar("Before", bound=OnCall)
After = TypeVar("After", bound=OnOutcome)

BUILTINS: Final[dict[str, tuple[bool, tuple[str, ...]]]] = {}
"""The methods that every gateway answers itself, with their defaults: public or not, and the required scopes. The files
of `dispatch/builtin/` fill it when `posthouse.core` is imported."""

TAKEN: Final = ("$/cancelRequest", "$/progress")
"""Other names that a service cannot declare, even with `reserved=True`."""


class Service:
    """The methods, topics and hooks of an application: `methods` by name, `hooks` by type of event, in order.

    `public`: callers need not be authenticated, unless a method says otherwise. `version` and `description` go into the
    OpenRPC document. `builtin_scopes`: the scopes that a built-in method requires, by its name; callers must then be
    authenticated, even without scopes. `subprotocols`: the WebSocket subprotocols that it speaks, beside
    `posthouse.v1.json`: the first offered one is selected. `accounts`: the users and sessions that it has.
    `authenticators` by name. `own_lifespan`: the lifespan that the service declares itself, or None. `document`: the
    OpenRPC document, or None until a gateway serves it.
    """

    def __init__(
        self,
        name: str,
        *,
        public: bool = False,
        version: str = "0.0.0",
        description: str = "",
        builtin_scopes: Mapping[str, Iterable[str]] = {},
        subprotocols: Iterable[str] = (),
        **accounts: Unpack[DeclaredAccounts],
    ) -> None:
        if not isinstance(name, str):
            raise UsageError(f"a service's name is {name!r}, but must be a string")
        check_options({"public": public})
        self.name = name
        self.public = public
        self.version = version
        self.description = description
        self.builtin_scopes = {
            builtin: sorted_scopes(scopes, f"builtin_scopes of {_builtin(builtin)!r}")
            for builtin, scopes in sorted(builtin_scopes.items())
        }
        self.subprotocols = subprotocols_of(subprotocols)
        self.methods: dict[str, Method] = {}
        self.topics = Rulebook(name)
        self.hooks: dict[type[Event], tuple[DeclaredHook, ...]] = dict.fromkeys(EVENTS.values(), ())
        self.accounts = Accounts.of(**accounts)
        self.authenticators: dict[str, Authenticator] = self.accounts.authenticators()
        self.document: dict[str, Any] | None = None
        self._on_call: tuple[Interceptor, ...] = ()
        self._on_outcome: tuple[Interceptor, ...] = ()
        self.own_lifespan: Lifespan | None = None
        self._included_lifespans: tuple[Lifespan, ...] = ()
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
        self,
        function_or_name: Callable[..., Any] | str | None = None,
        /,
        *more: object,
        public: bool | None = None,
        **options: Any,
    ) -> Any:
        """Declare a function as a method: `@service.method`, or `@service.method("name", …)`. Returns the function.

        The name defaults to the function's name. `public` (default: the service's): callers need not be authenticated.
        `scopes`: the caller must have all of them. `timeout`: the deadline of a call in seconds, which includes waiting
        (default: `Config.call_timeout`). A plain function runs at once, in order of arrival; `blocking=True` runs it in
        a worker thread. `sequential=True` runs the calls of one connection one after another, for coroutine functions
        and blocking ones. `on_disconnect="finish"` lets a call run on when its connection ends. `reserved=True` allows
        a name that another protocol defines (`$/setTrace` of LSP). Raises UsageError for an invalid declaration.
        """
        check_options(options if public is None else {"public": public, **options})
        if more:
            raise UsageError("service.method takes one name: to give a function two names, declare it twice")

        def declare(function: F) -> F:
            self._check_not_frozen()
            name = name_of(function) if named is None else named
            self._check_free(name)
            method = Method.of(function, name=name, public=self.public if public is None else public, **options)
            method = method.intercepted(self._on_call, self._on_outcome)
            self.methods[name] = method if self.own_lifespan is None else method.within(self.own_lifespan)
            return function

        if callable(function_or_name):
            named = None
            return declare(function_or_name)
        if function_or_name is not None and not isinstance(function_or_name, str):
            check_function(function_or_name, "service.method")
        named = function_or_name
        return declare

    # Topics

    def topic(self, pattern: str, /, **options: Unpack[TopicOptions]) -> None:
        """Declare topics: `service.topic("news.*", history=100, publish={"editor"}, payload=Article)`. docs/delivery.md
        has the options. Raises UsageError for an invalid declaration, and if a topic would have two rules."""
        self._check_not_frozen()
        self.topics.add(Rule.of(pattern, public=self.public, **options))

    # Authenticators

    def authenticator(
        self,
        scheme: str,
        /,
        *,
        name: str | None = None,
        namespace: str = "",
        blocking: bool = False,
        hashing: bool = False,
    ) -> Callable[[A], A]:
        """Declare an authenticator: `@service.authenticator("bearer")` on a function of a `Bearer`, or "basic" on one
        of a `Basic`. It returns the Identity of the caller, or None to refuse. Returns the function.

        It may be a plain function, which runs at once, a coroutine function, or with `blocking=True` a plain function
        for a worker thread. `hashing=True` gives it one of the few threads that hash passwords
        (`Config.hashing_workers`). With a second parameter, it also receives an AuthContext.

        None, `Refused(why)` with a text for the log, an exception, and no answer within `authentication_timeout` refuse
        the caller alike (-32020). Authenticators of one scheme are asked in the order of declaration, until one
        accepts. `name` defaults to the scheme.

        `namespace` is where its users are: two authenticators may share one only if both name it. Raises UsageError for
        an invalid declaration.
        """
        check_scheme(scheme)
        chosen, place = check_label(name or scheme, "name"), check_label(namespace, "namespace")

        def declare(function: A) -> A:
            self._check_not_frozen()
            if chosen in self.authenticators:
                raise UsageError(f"service {self.name!r} already has an authenticator {chosen!r}: give this one a name")
            twin = next((other for other in self.authenticators.values() if other.namespace == place), None)
            if twin is not None and not place:
                raise UsageError(
                    f"the authenticators {twin.name!r} and {chosen!r} have no namespace: give one to each, the same if "
                    "their users are the same"
                )
            options: dict[str, Any] = {"name": chosen, "scheme": scheme, "namespace": place, "blocking": blocking}
            declared = Authenticator.of(function, **options, hashing=hashing)
            own = self.own_lifespan
            self.authenticators[chosen] = declared if own is None else declared.within(own)
            return function

        return declare

    # Hooks

    def on(self, event: EventName, /, *more: Never) -> Callable[[H], H]:
        """Declare a hook: `@service.on("connection.opened")`, called with each event of this name after it happened.

        A hook is a plain or a coroutine function; with a second parameter, it also receives a HookContext. Hooks of an
        event run in the order of declaration and cannot veto it. An exception in a hook is logged. Raises UsageError
        for an unknown event.
        """
        check_event(event, EVENTS)
        if more:
            raise UsageError("service.on takes one event: for several, use it several times")
        kind = EVENTS[event]

        def declare(hook: H) -> H:
            self._check_not_frozen()
            check_function(hook, f"hook of {event!r}")
            self.hooks[kind] = (*self.hooks[kind], DeclaredHook.of(hook, event, self.own_lifespan))
            return hook

        return declare

    # Interceptors

    def on_call(self, interceptor: Before, /) -> Before:
        """Declare an interceptor of calls: `@service.on_call`, see `OnCall`. Interceptors run before every method of
        this service, including earlier and included ones, in the order of declaration."""
        self._check_not_frozen()
        check_takes(interceptor, "on_call", "context", "method", "arguments")
        # Our interceptors run before those of included services.
        place = len(self._on_call)
        declared = Interceptor(interceptor, self.own_lifespan)
        self._on_call = (*self._on_call, declared)
        for name, method in self.methods.items():
            on_call = (*method.on_call[:place], declared, *method.on_call[place:])
            self.methods[name] = method.intercepted(on_call, method.on_outcome)
        return interceptor

    def on_outcome(self, interceptor: After, /) -> After:
        """Declare an interceptor of outcomes: `@service.on_outcome`, see `OnOutcome`. Interceptors run after every
        method of this service, including earlier and included ones, in the order of declaration."""
        self._check_not_frozen()
        check_takes(interceptor, "on_outcome", "context", "method", "outcome")
        declared = Interceptor(interceptor, self.own_lifespan)
        self._on_outcome = (*self._on_outcome, declared)
        for name, method in self.methods.items():
            self.methods[name] = method.intercepted(method.on_call, (*method.on_outcome, declared))
        return interceptor

    # Lifespan

    def lifespan(self, function: L, /) -> L:
        """Declare the lifespan: `@service.lifespan` on an async generator function that yields once, or on a function
        that returns an async context manager. Returns the function.

        What is before `yield` runs before the first client is served; what is after it, when all calls have ended. What
        it yields is `context.state`. With a parameter, the function receives the running `Server`. Methods, hooks and
        interceptors of this service see this state, also if they were declared earlier; those of an included service
        see it unless that service has a lifespan of its own. Raises UsageError for another kind of function, and for a
        second lifespan.
        """
        self._check_not_frozen()
        if self.own_lifespan is not None:
            raise UsageError(f"service {self.name!r} already has a lifespan: open everything in that one")
        self.own_lifespan = lifespan = Lifespan.of(function, self.name)
        self._on_call = tuple(each.within(lifespan) for each in self._on_call)
        self._on_outcome = tuple(each.within(lifespan) for each in self._on_outcome)
        for name, method in self.methods.items():
            self.methods[name] = method.within(lifespan)
        for name, authenticator in self.authenticators.items():
            self.authenticators[name] = authenticator.within(lifespan)
        for kind, hooks in self.hooks.items():
            self.hooks[kind] = tuple(hook.within(lifespan) for hook in hooks)
        return function

    @property
    def lifespans(self) -> tuple[Lifespan, ...]:
        """The lifespans, in the order in which they start: those of included services, then our own."""
        return self._included_lifespans if self.own_lifespan is None else (*self._included_lifespans, self.own_lifespan)

    # Composition

    def include(self, other: Service, prefix: str = "") -> None:
        """Add the methods, topics, hooks and interceptors of `other`. `prefix` is put before the names of its methods.

        The interceptors of `other` apply to its methods only: ours run before its `on_call` and after its `on_outcome`.
        A hook and a lifespan run once, even if their service is included twice. Its lifespan starts before ours, and
        ends after it. Its methods keep their `public`; its `builtin_scopes` and its authenticators are ignored: the
        service that is served says who callers are. `other` is frozen, because later declarations would be missing
        here. Raises UsageError for a name that is taken, and for a service that
        includes itself.
        """
        self._check_not_frozen()
        if not isinstance(other, Service):
            raise UsageError(f"service {self.name!r} can include a Service only, not {other!r}")
        if other is self:
            raise UsageError(f"service {self.name!r} cannot include itself")
        included: dict[str, Method] = {}
        for method in other.methods.values():
            name = prefix + method.name
            self._check_free(name)
            on_call = (*self._on_call, *method.on_call)
            on_outcome = (*method.on_outcome, *self._on_outcome)
            ours = method.renamed(name).intercepted(on_call, on_outcome)
            included[name] = ours if self.own_lifespan is None else ours.within(self.own_lifespan)
        self.topics.add(*other.topics)
        other.freeze(f"included in service {self.name!r}")
        self.methods.update(included)
        for kind, hooks in other.hooks.items():
            present = [hook.function for hook in self.hooks[kind]]
            new = [hook for hook in hooks if hook.function not in present]
            self.hooks[kind] += tuple(
                new if self.own_lifespan is None else [hook.within(self.own_lifespan) for hook in new]
            )
        self._included_lifespans += tuple(each for each in other.lifespans if each not in self._included_lifespans)

    def freeze(self, reason: str) -> None:
        """Refuse later declarations. The first reason appears in their errors."""
        if self._frozen is None:
            self._frozen = reason

    def _check_not_frozen(self) -> None:
        if self._frozen is not None:
            raise UsageError(f"service {self.name!r} is already {self._frozen}: declare everything before that")

    def _check_free(self, name: str) -> None:
        if name in BUILTINS or name in TAKEN:
            raise UsageError(f"the name {name!r} is taken: the gateway answers it itself")
        if name in self.methods:
            raise UsageError(f"service {self.name!r} already has a method {name!r}: rename one of the two")


def _builtin(name: str) -> str:
    if name == "rpc.cancel":
        raise UsageError("builtin_scopes contains 'rpc.cancel': callers may always cancel their own calls")
    if name not in BUILTINS:
        near = get_close_matches(name, BUILTINS, 1, 0.0)
        raise UsageError(f"builtin_scopes contains {name!r}, an unknown built-in method: did you mean {near[0]!r}?")
    return name
