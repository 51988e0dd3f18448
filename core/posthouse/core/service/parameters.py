"""A function's parameters, and how the `params` of a request become its arguments (JSON-RPC 2.0 section 4.2).

A binding is compiled once, when a method is declared. Binding is then one decode by msgspec, by position or by name,
with the rules of a Python call. A peer's faults are one RpcError (-32602) whose data names the parameters and the
reasons. Nothing here knows methods or services.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, Union

from msgspec import UNSET, Raw, defstruct, field
from msgspec.json import Decoder
from msgspec.structs import astuple
from posthouse.core.encoding.conversion import MAX_FAULTS, MAX_PARTS, REFUSED, describe, read_custom
from posthouse.core.encoding.faults import explain, reader
from posthouse.core.encoding.plan import Convert, Plan
from posthouse.core.values.errors import INVALID_PARAMS, RpcError

from .signature import EITHER, KEYWORD_ONLY, NAMED_REST, POSITIONAL_ONLY, REST, Signature, is_required

Arguments = tuple[tuple[Any, ...], dict[str, Any]]
Binding = Callable[[bytes | Raw | None], Arguments]
Typed = tuple[inspect.Parameter, Plan]
Data = dict[str, Any]

MAX_ECHO: Final = 128
"""An error's data repeats at most so many characters of a peer's text (a parameter's name, a value)."""

OPENING_BRACKET: Final = 0x5B

SCALARS: Final = (type(None), bool, int, float, str)
"""Types of defaults that msgspec uses as they are."""


def compile_binding(signature: Signature) -> Binding:
    """A function that binds raw JSON `params`: an array or object without surrounding white space, or None if absent.

    It raises RpcError (-32602) for invalid params, and no other exception. A peer must not give the context.
    """
    parameters = signature.parameters
    binder = _Binder(signature)
    if any(parameter.kind is not EITHER for parameter in parameters):
        return binder.bind
    shape = _shape(binder.named, closed=True)
    # One decode handles both: an object becomes the Struct, an array the tuple. If there are defaults, the array may be
    # shorter, so that a second decode completes it.
    types: Any = tuple(plan.wire for plan in signature.plans)
    array: Any = tuple[types] if len(binder.required) == len(parameters) else list[Raw]
    decode = Decoder(Union[shape, array], dec_hook=read_custom).decode
    decode_array = binder.decode_array
    converting = _converting(binder.named)

    def bind(params: bytes | Raw | None) -> Arguments:
        if params is None:
            return binder.bind(None)
        try:
            values: Any = decode(params)
            kind = type(values)
            if kind is shape:
                return astuple(values), {}
            return (values if kind is tuple else astuple(decode_array(params))), {}
        except BaseException:
            return binder.bind(params)  # raises the exact error

    def bind_converted(params: bytes | Raw | None) -> Arguments:
        if params is None:
            return binder.bind(None)
        try:
            values: Any = decode(params)
            kind = type(values)
            given = astuple(values) if kind is shape else values if kind is tuple else astuple(decode_array(params))
            return _converted(given, converting), {}
        except BaseException:
            return binder.bind(params)

    def bind_single(params: bytes | Raw | None) -> Arguments:
        if params is None:
            return binder.bind(None)
        try:
            values: Any = decode(params)
            return (convert(values.p0 if type(values) is shape else values[0]),), {}
        except BaseException:
            return binder.bind(params)

    if not converting:
        return bind
    if len(parameters) > 1 or not binder.required:
        return bind_converted
    convert = converting[0][1]
    return bind_single


class _Binder:
    """Binds by one signature of any shape."""

    def __init__(self, signature: Signature) -> None:
        kinds: dict[Any, list[Typed]] = {kind: [] for kind in inspect._ParameterKind}
        for parameter, plan in zip(signature.parameters, signature.plans, strict=True):
            kinds[parameter.kind].append((parameter, plan))
        self.context = signature.context
        self.unnamed = kinds[POSITIONAL_ONLY]
        self.positional = self.unnamed + kinds[EITHER]
        self.named = kinds[EITHER] + kinds[KEYWORD_ONLY]
        self.split = len(kinds[EITHER])
        self.keywords = kinds[KEYWORD_ONLY]
        self.rest = next(iter(kinds[REST]), None)
        self.named_rest = next(iter(kinds[NAMED_REST]), None)
        self.needs_position = any(is_required(parameter) for parameter, _ in self.unnamed)
        self.needs_name = any(is_required(parameter) for parameter, _ in self.keywords)
        self.required = [parameter.name for parameter in signature.parameters if is_required(parameter)]
        self.converting_array = _converting(self.positional)
        self.converting_object = _converting(self.named)
        self.unnamed_defaults = tuple(parameter.default for parameter, _ in self.unnamed)
        array = _shape(self.positional, array_like=True, closed=self.rest is None)
        self.decode_array = Decoder(array, dec_hook=read_custom).decode
        shape = _shape(self.named, closed=self.named_rest is None)
        self.decode_object = Decoder(shape, dec_hook=read_custom).decode
        self.read_rest = reader(self.rest[1]) if self.rest else None
        self.read_named_rest = reader(self.named_rest[1]) if self.named_rest else None

    def bind(self, params: bytes | Raw | None) -> Arguments:
        """Bind an array by position, an object by name."""
        if params is None:
            if self.required:
                raise refused([fault(name, "missing") for name in self.required])
            return (), {}
        try:
            bound = self.bind_array(params) if _is_array(params) else self.bind_object(params)
        except BaseException as error:
            raise self.refusal(error, params) from None
        if bound is None:
            raise self.refusal(None, params)
        return bound

    def bind_array(self, params: bytes | Raw) -> Arguments | None:
        """By position: "params MUST be an Array, containing the values in the Server expected order"."""
        args = _converted(astuple(self.decode_array(params)), self.converting_array)
        if self.needs_name:
            return None
        if self.read_rest is None:
            return args, {}
        values = _ITEMS.decode(params)[len(self.positional) :]
        return (*args, *map(self.read_rest, values)), {}

    def bind_object(self, params: bytes | Raw) -> Arguments | None:
        """By name: "with member names that match the Server expected parameter names"."""
        values = _converted(astuple(self.decode_object(params)), self.converting_object)
        if self.needs_position:
            return None
        args = self.unnamed_defaults + values[: self.split]
        given = zip(self.keywords, values[self.split :], strict=True)
        kwargs = {parameter.name: value for (parameter, _), value in given if value is not UNSET}
        if self.read_named_rest is not None:
            known = [parameter.name for parameter, _ in self.named]
            for name, raw in _MEMBERS.decode(params).items():
                if name == self.context:
                    return None
                if name not in known:
                    kwargs[name] = self.read_named_rest(raw)
        return args, kwargs

    def refusal(self, error: BaseException | None, params: bytes | Raw | None) -> RpcError:
        """The error for params that could not be bound: all their faults."""
        assert params is not None
        try:
            faults = self.faults_of_array(params) if _is_array(params) else self.faults_of_object(params)
        except Exception:
            faults = []
        return refused(faults or [fault(None, describe(error).reason if error else REFUSED)])

    def faults_of_array(self, params: bytes | Raw) -> list[Data]:
        """The faults of params by position."""
        values = _ITEMS.decode(params)
        found: list[Data] = []
        for (parameter, plan), raw in zip(self.positional, values, strict=False):
            found += _explained(parameter.name, plan, raw)
        rest = values[len(self.positional) :]
        if self.rest is not None:
            for index, raw in enumerate(rest[:MAX_PARTS]):
                if len(found) < MAX_FAULTS:
                    found += _explained(self.rest[0].name, self.rest[1], raw, f"[{index}]")
        elif rest:
            found.append(fault(None, f"too many: at most {len(self.positional)} by position"))
        missing = [parameter for parameter, _ in self.positional[len(values) :] if is_required(parameter)]
        found += [fault(parameter.name, "missing") for parameter in missing]
        by_name = [parameter for parameter, _ in self.keywords if is_required(parameter)]
        return found + [fault(parameter.name, "missing: it can only be given by name") for parameter in by_name]

    def faults_of_object(self, params: bytes | Raw) -> list[Data]:
        """The faults of params by name."""
        values = _MEMBERS.decode(params)
        found: list[Data] = []
        for parameter, plan in self.named:
            if parameter.name in values:
                found += _explained(parameter.name, plan, values[parameter.name])
            elif is_required(parameter):
                found.append(fault(parameter.name, "missing"))
        known = [parameter.name for parameter, _ in self.named]
        unnamed = [parameter.name for parameter, _ in self.unnamed]
        for name, raw in islice(values.items(), MAX_PARTS):
            if name in known or len(found) >= MAX_FAULTS:
                continue
            if self.named_rest is not None and name != self.context:
                found += _explained(name, self.named_rest[1], raw)
            else:
                found.append(
                    fault(name, "it can only be given by position" if name in unnamed else "unknown parameter")
                )
        by_position = [parameter for parameter, _ in self.unnamed if is_required(parameter)]
        missing = [parameter.name for parameter in by_position if parameter.name not in values]
        return found + [fault(name, "missing: it can only be given by position") for name in missing]


def fault(parameter: str | None, reason: str, path: str = "") -> Data:
    """One fault of one parameter (None: of all of them): the reason, and the path inside the parameter."""
    data = {"parameter": parameter if parameter is None else parameter[:MAX_ECHO], "reason": reason[:MAX_ECHO]}
    if path:
        data["path"] = path[:MAX_ECHO]
    return data


def refused(faults: list[Data]) -> RpcError:
    """The -32602 for these faults. Its data is the first; several are listed in `faults`."""
    return RpcError(
        INVALID_PARAMS, data=faults[0] if len(faults) == 1 else {**faults[0], "faults": faults[:MAX_FAULTS]}
    )


_ITEMS: Final = Decoder(list[Raw])
_MEMBERS: Final = Decoder(dict[str, Raw])


def _is_array(params: bytes | Raw) -> bool:
    return memoryview(params)[0] == OPENING_BRACKET


def _explained(name: str, plan: Plan, raw: Raw, path: str = "") -> list[Data]:
    return [fault(name, found.reason, path + found.path[1:]) for found in explain(plan, raw)]


def _converting(typed: list[Typed]) -> list[tuple[int, Convert, Any]]:
    """The parameters whose values are converted: the place of each, the function, and the default."""
    return [
        (place, plan.convert, parameter.default)
        for place, (parameter, plan) in enumerate(typed)
        if plan.convert is not None
    ]


def _converted(values: tuple[Any, ...], converting: list[tuple[int, Convert, Any]]) -> tuple[Any, ...]:
    """The values as declared. A default is not converted."""
    if not converting:
        return values
    done = [*values]
    for place, convert, default in converting:
        value = done[place]
        if value is not default:
            done[place] = convert(value)
    return tuple(done)


def _shape(parameters: Iterable[Typed], *, array_like: bool = False, closed: bool) -> Any:
    """A Struct with one field per parameter, in order. `closed`: it refuses other members.

    Fields are named p0, p1, …, because a parameter's name could have a meaning to msgspec.
    """
    fields: list[Any] = []
    names: dict[str, str] = {}
    for index, (parameter, plan) in enumerate(parameters):
        names[f"p{index}"] = parameter.name
        if parameter.default is parameter.empty:
            fields.append((f"p{index}", plan.wire))
        elif type(parameter.default) in SCALARS:
            fields.append((f"p{index}", plan.wire, parameter.default))
        else:
            default = functools.partial(_identity, parameter.default)  # the same object each time, as in Python
            fields.append((f"p{index}", plan.wire, field(default_factory=default)))
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
