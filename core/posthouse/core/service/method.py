"""One method: a function with its declaration, checked and compiled once.

`Method.of` builds a complete value or raises UsageError. Interceptors and the outcomes that they see are declared here,
too. Nothing here runs user code.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.values.errors import UsageError

from .context import Context
from .declarations import (
    OnDisconnect,
    check_function,
    check_name,
    check_on_disconnect,
    check_timeout,
    is_coroutine_function,
    sorted_scopes,
    wraps_coroutine_function,
)
from .lifespan import Lifespan
from .parameters import Arguments, Binding, compile_binding
from .results import Encoding, compile_encoding
from .signature import Signature, innermost, read_signature


class Returned(Struct, frozen=True):
    """A handler returned `value`, which has not yet been checked against the declared result type."""

    value: Any


class Raised(Struct, frozen=True):
    """A handler, or an `on_call` before it, raised `error`.

    An RpcError is the answer. Any other exception is logged and answered with -32603 and an incident id.
    """

    error: BaseException


Outcome = Returned | Raised

OnCall = Callable[[Context, "Method", Arguments], Arguments | Awaitable[Arguments | None] | None]
"""Called before a handler with its arguments: bound, checked, without the context. A plain or a coroutine function.

It returns None to keep the arguments, or `(args, kwargs)` to replace them; the new ones are not checked. If it raises
RpcError, that is the answer and the handler does not run.
"""

OnOutcome = Callable[[Context, "Method", Outcome], Outcome | Awaitable[Outcome | None] | None]
"""Called after a handler with its outcome, unless the call already has one (cancelled, timed out). A plain or a
coroutine function.

It returns None to keep the outcome, or another one to replace it. Raising an error replaces it by `Raised(error)`.
"""


class Interceptor(Struct, frozen=True):
    """An `on_call` or `on_outcome` of a method. `lifespan` opens the state that it sees."""

    function: Callable[..., Any]
    lifespan: Lifespan | None = None

    def within(self, lifespan: Lifespan) -> Interceptor:
        """This interceptor, which sees the state of this lifespan unless it has one already."""
        return Interceptor(self.function, lifespan) if self.lifespan is None else self


class Method(Struct, frozen=True, eq=False, kw_only=True):
    """A function that peers may call by `name`, and the rules of its calls.

    `bind` turns raw JSON `params` into `(args, kwargs)` or raises RpcError (-32602). `encode_result` turns the returned
    value into JSON or raises ResultError. `is_async`: the function is a coroutine function. `awaits`: the call needs a
    task, because the function or an interceptor is a coroutine function, or because the function wraps one and is
    sequential. `timeout` is in seconds, None for `Config.call_timeout`. `scopes` is sorted. `on_call` and `on_outcome`
    run in order, before and after the function. `context_parameter` is the name of the parameter that takes the
    Context; `context_position` is its place if it must be given by position. `lifespan` opens the
    state that the function sees. `builtin`: the gateway answers it itself. `changes`: it may change the identity or the
    session of its caller. `later`: it may answer later. `repeats`: a call of it gets the outcome of another one.
    """

    name: str
    function: Callable[..., Any]
    public: bool
    scopes: tuple[str, ...]
    timeout: float | None
    sequential: bool
    blocking: bool
    on_disconnect: OnDisconnect
    reserved: bool
    description: str
    is_async: bool
    awaits: bool
    signature: Signature
    bind: Binding
    encode_result: Encoding
    context_parameter: str | None
    context_position: int | None
    on_call: tuple[Interceptor, ...] = ()
    on_outcome: tuple[Interceptor, ...] = ()
    lifespan: Lifespan | None = None
    builtin: bool = False
    changes: bool = False
    later: bool = False
    repeats: bool = False

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        name: str,
        public: bool,
        scopes: Iterable[str] = (),
        timeout: float | None = None,
        sequential: bool = False,
        blocking: bool = False,
        on_disconnect: OnDisconnect = "cancel",
        reserved: bool = False,
    ) -> Method:
        """Check and compile a declaration. Raises UsageError if it is invalid."""
        check_name(name, reserved=reserved)
        where = f"method {name!r}"
        check_function(function, where)
        is_async = is_coroutine_function(function)
        if blocking and is_async:
            raise UsageError(f"{where} is an `async def`: `blocking=True` is for plain functions, run in a thread")
        if sequential and not (blocking or wraps_coroutine_function(function)):
            raise UsageError(
                f"{where} is a plain function, which runs at once and cannot be sequential: make it an `async def` or "
                "`blocking=True`, or remove `sequential` (a decorator hides an `async def` unless it uses "
                "functools.wraps)"
            )
        check_on_disconnect(on_disconnect, where)
        check_timeout(timeout, where)
        signature = read_signature(function, name)
        return cls(
            name=name,
            function=function,
            public=public,
            scopes=sorted_scopes(scopes, where),
            timeout=timeout,
            sequential=sequential,
            blocking=blocking,
            on_disconnect=on_disconnect,
            reserved=reserved,
            description=inspect.getdoc(innermost(function)) or "",
            is_async=is_async,
            awaits=is_async or (sequential and not blocking),
            signature=signature,
            bind=compile_binding(signature),
            encode_result=compile_encoding(signature.returns, f"{where}: the result"),
            context_parameter=signature.context,
            context_position=signature.position,
        )

    def renamed(self, name: str) -> Method:
        """This method under another name. Raises UsageError if the name is reserved or too long."""
        check_name(name, reserved=self.reserved)
        return replace(self, name=name)

    def intercepted(self, on_call: tuple[Interceptor, ...], on_outcome: tuple[Interceptor, ...]) -> Method:
        """This method with these interceptors instead of its own."""
        alone = self.is_async or (self.sequential and not self.blocking)
        awaits = alone or any(is_coroutine_function(each.function) for each in (*on_call, *on_outcome))
        return replace(self, on_call=on_call, on_outcome=on_outcome, awaits=awaits)

    def within(self, lifespan: Lifespan) -> Method:
        """This method and its interceptors: each sees the state of this lifespan unless it has one already."""
        return replace(
            self,
            on_call=tuple(each.within(lifespan) for each in self.on_call),
            on_outcome=tuple(each.within(lifespan) for each in self.on_outcome),
            lifespan=self.lifespan or lifespan,
        )

    def with_context(self, arguments: Arguments, context: Context) -> Arguments:
        """The arguments with the context added, if the function has a parameter for it."""
        if self.context_parameter is None:
            return arguments
        args, kwargs = arguments
        place = self.context_position
        if place is not None:
            return (*args[:place], context, *args[place:]), kwargs
        return args, {**kwargs, self.context_parameter: context}
