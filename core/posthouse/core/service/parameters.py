"""A function's parameters, and how the `params` of a request become its arguments (JSON-RPC 2.0 section 4.2).

A signature is read once, when a method is declared (`read_signature`, `compile_binding`). Binding is then one decode by
msgspec, by position or by name, with the rules of a Python call. A peer's fault is an RpcError (-32602) whose data
names the parameter and the reason. Nothing here knows methods or services.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Union, get_type_hints

from msgspec import Raw, Struct, defstruct, field
from msgspec.json import Decoder
from msgspec.structs import astuple
from posthouse.core.encoding.conversion import check, describe, read_custom
from posthouse.core.values.errors import INVALID_PARAMS, RpcError, UsageError

from .context import Context

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Binding = Callable[[bytes | Raw | None], Arguments]

POSITIONAL_ONLY: Final = inspect.Parameter.POSITIONAL_ONLY
EITHER: Final = inspect.Parameter.POSITIONAL_OR_KEYWORD
REST: Final = inspect.Parameter.VAR_POSITIONAL
KEYWORD_ONLY: Final = inspect.Parameter.KEYWORD_ONLY
NAMED_REST: Final = inspect.Parameter.VAR_KEYWORD
POSITIONAL: Final = (POSITIONAL_ONLY, EITHER)

MAX_ECHO: Final = 128
"""An error's data repeats at most so many characters of a peer's text (a parameter's name, a value)."""

OPENING_BRACKET: Final = 0x5B
PATH: Final = re.compile(r"\$(?:\[(\d+)\]|\.([^.\[]+))(.*)", re.DOTALL)
TOO_FEW: Final = re.compile(r"expected array of at least length \d+, got (\d+)")
TOO_MANY: Final = re.compile(r"expected array of at most length (\d+)")
MISSING: Final = "object missing required field "
UNKNOWN: Final = "object contains unknown field "


class Signature(Struct, frozen=True):
    """A function's parameters without the context, with resolved types, and its return type.

    `context` is the name of the parameter that takes the Context, or None. `position` is its place if it must be given
    by position: it is positional-only, or other positional parameters follow it.
    """

    parameters: tuple[inspect.Parameter, ...]
    returns: Any
    context: str | None
    position: int | None


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read and check the signature of `function`. Raises UsageError if it is invalid."""
    try:
        declared = inspect.signature(function).parameters
    except (TypeError, ValueError):
        raise UsageError(f"method {name!r}: the signature of {function!r} cannot be read") from None
    hints = _hints(function, name)
    parameters: list[inspect.Parameter] = []
    context: inspect.Parameter | None = None
    position = 0
    for parameter in declared.values():
        annotation = hints.get(parameter.name, Any)
        if isinstance(annotation, type) and issubclass(annotation, Context):
            _check_context(parameter, context, name)
            context, position = parameter, len(parameters)
            continue
        check(annotation, f"method {name!r}: parameter {parameter.name!r}")
        parameters.append(parameter.replace(annotation=annotation))
    _check_structure(parameters, name)
    returns = hints.get("return", Any)
    if context is None:
        return Signature(tuple(parameters), returns, None, None)
    in_the_way = any(parameter.kind in (*POSITIONAL, REST) for parameter in parameters[position:])
    by_position = context.kind is POSITIONAL_ONLY or (context.kind is EITHER and in_the_way)
    return Signature(tuple(parameters), returns, context.name, position if by_position else None)


def innermost(function: Any) -> Any:
    """The callable inside a functools.partial, or inside nested ones."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def underlying(function: Any) -> Any:
    """The function whose code runs in a call of `function`. Looks through partials and at `__call__`."""
    target = innermost(function)
    return target if inspect.isroutine(target) else type(target).__call__


def compile_binding(parameters: tuple[inspect.Parameter, ...], context: str | None = None) -> Binding:
    """A function that binds raw JSON `params`: an array or object without surrounding white space, or None if absent.

    It raises RpcError (-32602) for invalid params, and no other exception. `context` is the name of the parameter that
    a peer must not give.
    """
    plan = _Plan(parameters, context)
    if any(parameter.kind is not EITHER or parameter.default is not parameter.empty for parameter in parameters):
        return plan.bind
    types: Any = tuple(parameter.annotation for parameter in parameters)
    decode = Decoder(Union[_shape(parameters, closed=True), tuple[types]], dec_hook=read_custom).decode

    def bind(params: bytes | Raw | None) -> Arguments:
        # One decode handles both: an array becomes a tuple, an object becomes the struct.
        if params is None:
            return plan.bind(None)
        try:
            values: Any = decode(params)
        except BaseException:
            return plan.bind(params)  # raises the exact error
        return (values if type(values) is tuple else astuple(values)), {}

    return bind


class _Plan:
    """The plan that binds one signature of any shape."""

    def __init__(self, parameters: tuple[inspect.Parameter, ...], context: str | None) -> None:
        kinds = {kind: tuple(p for p in parameters if p.kind is kind) for kind in inspect._ParameterKind}
        self.context = context
        self.unnamed = kinds[POSITIONAL_ONLY]
        self.positional = self.unnamed + kinds[EITHER]
        self.named = kinds[EITHER] + kinds[KEYWORD_ONLY]
        self.split = len(kinds[EITHER])
        self.keywords = tuple(p.name for p in kinds[KEYWORD_ONLY])
        self.rest = next(iter(kinds[REST]), None)
        self.named_rest = next(iter(kinds[NAMED_REST]), None)
        self.needs_position = next((p.name for p in self.unnamed if is_required(p)), None)
        self.needs_name = next((p.name for p in kinds[KEYWORD_ONLY] if is_required(p)), None)
        self.needs = next((p.name for p in parameters if is_required(p)), None)
        self.unnamed_defaults = tuple(p.default for p in self.unnamed)
        self.decode_array = _decoder(_shape(self.positional, array_like=True, closed=self.rest is None))
        self.decode_object = _decoder(_shape(self.named, closed=self.named_rest is None))
        self.decode_rest = _decoder(self.rest.annotation if self.rest else Any)
        self.decode_named_rest = _decoder(self.named_rest.annotation if self.named_rest else Any)

    def bind(self, params: bytes | Raw | None) -> Arguments:
        """Bind an array by position, an object by name."""
        if params is None:
            if self.needs is not None:
                raise invalid(self.needs, "missing")
            return (), {}
        if memoryview(params)[0] == OPENING_BRACKET:
            return self.bind_array(params)
        return self.bind_object(params)

    def bind_array(self, params: bytes | Raw) -> Arguments:
        """By position: "params MUST be an Array, containing the values in the Server expected order"."""
        try:
            args = astuple(self.decode_array(params))
        except BaseException as error:
            raise self.refusal(error) from None
        if self.needs_name is not None:
            raise invalid(self.needs_name, "missing: it can only be given by name")
        if self.rest is None:
            return args, {}
        values = _ITEMS.decode(params)[len(self.positional) :]
        read = self.decode_rest
        return (*args, *(_read(read, raw, self.rest.name, f"[{i}]") for i, raw in enumerate(values))), {}

    def bind_object(self, params: bytes | Raw) -> Arguments:
        """By name: "with member names that match the Server expected parameter names"."""
        try:
            values = astuple(self.decode_object(params))
        except BaseException as error:
            raise self.refusal(error) from None
        if self.needs_position is not None:
            raise invalid(self.needs_position, "missing: it can only be given by position")
        args = self.unnamed_defaults + values[: self.split]
        kwargs = dict(zip(self.keywords, values[self.split :], strict=True))
        if self.named_rest is not None:
            known = [parameter.name for parameter in self.named]
            for name, raw in _MEMBERS.decode(params).items():
                if name == self.context:
                    raise invalid(name, "unknown parameter")
                if name not in known:
                    kwargs[name] = _read(self.decode_named_rest, raw, name, "")
        return args, kwargs

    def refusal(self, error: BaseException) -> RpcError:
        """The error for params that did not decode."""
        fault = describe(error)
        at = PATH.fullmatch(fault.path)
        if at is not None:
            name = self.positional[int(at[1])].name if at[1] else at[2]
            return invalid(name, fault.reason, at[3])
        if (few := TOO_FEW.fullmatch(fault.reason)) is not None:
            return invalid(self.positional[int(few[1])].name, "missing")
        if (many := TOO_MANY.fullmatch(fault.reason)) is not None:
            return invalid(None, f"too many: at most {many[1]} by position")
        if fault.reason.startswith(MISSING):
            return invalid(fault.reason.removeprefix(MISSING), "missing")
        if fault.reason.startswith(UNKNOWN):
            name = fault.reason.removeprefix(UNKNOWN)
            only = any(parameter.name == name for parameter in self.unnamed)
            return invalid(name, "it can only be given by position" if only else "unknown parameter")
        return invalid(None, fault.reason)


def invalid(parameter: str | None, reason: str, path: str = "") -> RpcError:
    """The -32602 for one parameter (None: for all of them), the reason, and the path inside the parameter."""
    data = {"parameter": parameter if parameter is None else parameter[:MAX_ECHO], "reason": reason[:MAX_ECHO]}
    if path:
        data["path"] = path[:MAX_ECHO]
    return RpcError(INVALID_PARAMS, data=data)


_ITEMS: Final = Decoder(list[Raw])
_MEMBERS: Final = Decoder(dict[str, Raw])


def _read(decode: Callable[[Raw], Any], raw: Raw, name: str, path: str) -> Any:
    """One value of `*args` or `**kwargs`."""
    try:
        return decode(raw)
    except BaseException as error:
        fault = describe(error)
        raise invalid(name, fault.reason, path + fault.path[1:]) from None


def _decoder(annotation: Any) -> Callable[[bytes | Raw], Any]:
    return Decoder(annotation, dec_hook=read_custom).decode


def is_required(parameter: inspect.Parameter) -> bool:
    """Must a request give this parameter?"""
    return parameter.default is parameter.empty and parameter.kind not in (REST, NAMED_REST)


def _shape(parameters: Iterable[inspect.Parameter], *, array_like: bool = False, closed: bool) -> Any:
    """A Struct with one field per parameter, in order. `closed`: it refuses other members.

    Fields are named p0, p1, …, because a parameter's name could have a meaning to msgspec.
    """
    fields: list[Any] = []
    names: dict[str, str] = {}
    for index, parameter in enumerate(parameters):
        names[f"p{index}"] = parameter.name
        if parameter.default is parameter.empty:
            fields.append((f"p{index}", parameter.annotation))
        else:
            default = functools.partial(_identity, parameter.default)  # the same object each time, as in Python
            fields.append((f"p{index}", parameter.annotation, field(default_factory=default)))
    return defstruct(
        "params",
        fields,
        rename=names,
        kw_only=not array_like,
        array_like=array_like,
        forbid_unknown_fields=closed,
        gc=False,
    )


def _identity(value: Any) -> Any:
    return value


def _check_context(parameter: inspect.Parameter, other: inspect.Parameter | None, name: str) -> None:
    where = f"method {name!r}: parameter {parameter.name!r}"
    if other is not None:
        raise UsageError(f"{where} is a second Context beside {other.name!r}: remove one")
    if parameter.kind in (REST, NAMED_REST):
        raise UsageError(f"{where} takes the rest of the parameters: use a single parameter for the Context")
    if parameter.default is not parameter.empty:
        raise UsageError(f"{where} has a default: remove it, because the Context is always given")


def _check_structure(parameters: Iterable[inspect.Parameter], name: str) -> None:
    """Raise UsageError if no request can give all required parameters, because it gives all by position or by name."""
    required = {parameter.kind: parameter.name for parameter in parameters if is_required(parameter)}
    if POSITIONAL_ONLY in required and KEYWORD_ONLY in required:
        raise UsageError(
            f"method {name!r}: parameter {required[POSITIONAL_ONLY]!r} can only be given by position and "
            f"{required[KEYWORD_ONLY]!r} only by name: no request can give both"
        )


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    """The annotations as types, even if they are strings (`from __future__ import annotations`)."""
    try:
        return get_type_hints(underlying(function), include_extras=True)
    except NameError as error:
        raise UsageError(
            f"method {name!r}: the annotation {error.name!r} is not known in the module of its function: import it "
            "outside `if TYPE_CHECKING`, or define the type in the module, not inside a function"
        ) from None
    except (TypeError, SyntaxError, AttributeError) as error:
        raise UsageError(f"method {name!r}: an annotation cannot be read: {error}") from None
