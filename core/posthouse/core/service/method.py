"""One method: a function with everything that was declared about it, checked and compiled once.

`Method` is a value: built whole by `Method.of`, or not at all (UsageError says what to do). What stands around a
method's function is declared here too: interceptors, and the outcomes that they see. Nothing here runs user code.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace
from posthouse.core.values.errors import UsageError

from .context import Context
from .parameters import Arguments, Binding, Signature, compile_binding, innermost, read_signature, underlying
from .results import Encoding, compile_encoding

OnDisconnect = Literal["cancel", "finish"]
"""What the end of its connection does to a call: it is stopped, or it runs to its end and nobody is answered."""

MAX_NAME_BYTES: Final = 128
"""The longest name of a method, in bytes of UTF-8: what `Config.max_method_bytes` lets through by default."""

RESERVED_PREFIXES: Final = ("rpc.", "$/")
"""JSON-RPC 2.0 section 4: "Method names that begin with the word rpc followed by a period character are reserved";
the Language Server Protocol keeps `$/` for what depends on the implementation."""


class Returned(Struct, frozen=True):
    """A handler returned `value`. It is not yet checked against the method's declared result."""

    value: Any


class Raised(Struct, frozen=True):
    """A handler, or an `on_call` before it, raised `error`.

    An RpcError is answered as it is. Anything else is answered with -32603 and an incident id, and logged.
    """

    error: BaseException


Outcome = Returned | Raised

OnCall = Callable[[Context, "Method", Arguments], Arguments | Awaitable[Arguments | None] | None]
"""Called before a handler with its arguments, bound and checked, without its context.

It returns None to leave them, or `(args, kwargs)` to be used in their place, which are not checked again. An RpcError
that it raises is the answer, and the handler does not run. A plain function or a coroutine function.
"""

OnOutcome = Callable[[Context, "Method", Outcome], Outcome | Awaitable[Outcome | None] | None]
"""Called after a handler with what became of it, unless the call had its outcome already (cancelled, timed out).

It returns None to leave it, or the outcome to be used in its place; to raise an error is to replace it by
`Raised(error)`. A plain function or a coroutine function.
"""


class Method(Struct, frozen=True, eq=False, kw_only=True):
    """A function that peers may call by `name`, and the rules of its calls.

    `bind` turns raw JSON `params` into `(args, kwargs)` or raises RpcError (-32602); `encode_result` turns what the
    function returned into JSON or raises ResultError. `is_async`: the function is a coroutine function; `awaits`: it,
    or one of the interceptors, is, so that the call needs a task. `timeout` is in seconds, None for
    `Config.call_timeout`; `scopes` is sorted. `on_call` run in their order before the function, `on_outcome` in
    theirs after it. `context_parameter` names the parameter that takes the Context; `context_position` is its place
    where it must be given by position (see `with_context`).
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
    on_call: tuple[OnCall, ...] = ()
    on_outcome: tuple[OnOutcome, ...] = ()

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
        """Check and compile a declaration. Raises UsageError, before anything changed, for one that makes no sense."""
        check_name(name, reserved=reserved)
        where = f"method {name!r}"
        check_function(function, where)
        is_async = is_coroutine_function(function)
        if blocking and is_async:
            raise UsageError(f"{where} is an `async def`: `blocking=True` is for plain functions, which get a thread")
        if sequential and not (is_async or blocking):
            raise UsageError(
                f"{where} is a plain function, which runs at once and cannot wait for its turn: make it an "
                "`async def` or `blocking=True`, or leave `sequential` out"
            )
        if on_disconnect not in get_args(OnDisconnect):
            raise UsageError(f"{where}: on_disconnect is {on_disconnect!r}: it must be 'cancel' or 'finish'")
        if timeout is not None and not 0 < timeout < float("inf"):
            raise UsageError(f"{where}: timeout is {timeout}: it must be a finite number of seconds above 0")
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
            awaits=is_async,
            signature=signature,
            bind=compile_binding(signature.parameters, signature.context),
            encode_result=compile_encoding(signature.returns, f"{where}: the result"),
            context_parameter=signature.context,
            context_position=signature.position,
        )

    def renamed(self, name: str) -> Method:
        """The same under another name. Raises UsageError for a name that is reserved or too long."""
        check_name(name, reserved=self.reserved)
        return replace(self, name=name)

    def intercepted(self, on_call: tuple[OnCall, ...], on_outcome: tuple[OnOutcome, ...]) -> Method:
        """The same with these interceptors in place of its own."""
        interceptors: tuple[Callable[..., Any], ...] = (*on_call, *on_outcome)
        awaits = self.is_async or any(map(is_coroutine_function, interceptors))
        return replace(self, on_call=on_call, on_outcome=on_outcome, awaits=awaits)

    def with_context(self, arguments: Arguments, context: Context) -> Arguments:
        """The arguments to call `function` with: with the context in its place, where the function asks for one."""
        if self.context_parameter is None:
            return arguments
        args, kwargs = arguments
        place = self.context_position
        if place is not None:
            return (*args[:place], context, *args[place:]), kwargs
        return args, {**kwargs, self.context_parameter: context}


def check_name(name: str, *, reserved: bool) -> None:
    """Raise UsageError unless a method may be called so. `reserved`: another named protocol defines the name."""
    if not isinstance(name, str) or not name:
        raise UsageError(f"a method's name is {name!r}: it must be text, and not empty")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise UsageError(f"the name {name!r} is no Unicode text: it holds a lone surrogate") from None
    if size > MAX_NAME_BYTES:
        raise UsageError(f"the name {name!r} has {size} bytes: it may have at most {MAX_NAME_BYTES}")
    if not reserved and name.startswith(RESERVED_PREFIXES):
        raise UsageError(
            f"the name {name!r} is reserved: names may not begin with 'rpc.' or '$/'; say reserved=True for one that "
            "another named protocol defines"
        )


def check_function(function: Callable[..., Any], where: str) -> None:
    """Raise UsageError for what cannot be called once per call and give its result. `where` says what it is for."""
    if not callable(function):
        raise UsageError(f"{where}: {function!r} is no function")
    if isinstance(function, type):
        raise UsageError(f"{where}: {function.__qualname__!r} is a class: give a function, or an object with __call__")
    target = underlying(function)
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise UsageError(f"{where} is a generator function, which gives many values: return one, such as a list")
    if inspect.isfunction(function) and next(iter(inspect.signature(function).parameters), None) in ("self", "cls"):
        raise UsageError(
            f"{where} belongs to a class and has no instance yet: declare the bound method of an instance, as in "
            "`service.method(instance.name)`"
        )


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Does calling it give a coroutine? Looks through functools.partial and at `__call__`."""
    return inspect.iscoroutinefunction(underlying(function))


def sorted_scopes(scopes: Iterable[str], where: str) -> tuple[str, ...]:
    """Scopes in one order, each once. Raises UsageError for what are none; `where` says who asks for them."""
    if isinstance(scopes, str):
        raise UsageError(f"{where}: scopes is the text {scopes!r}: give several, as in {{{scopes!r}}}")
    given = list(scopes)
    for scope in given:
        if not isinstance(scope, str) or not scope:
            raise UsageError(f"{where}: {scope!r} is no scope: it must be text, and not empty")
    return tuple(sorted(dict.fromkeys(given)))
