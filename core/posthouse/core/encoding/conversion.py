"""The types that a service may declare, and how their values are read and written as JSON.

msgspec does both. Hooks add models that validate themselves (pydantic's). Models are recognised by their methods, so
that nothing needs to be installed or imported. User code inside a conversion may raise any exception; its text is never
sent (`describe`).
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Final, Protocol, get_origin, runtime_checkable

from msgspec import Struct, ValidationError, inspect
from posthouse.core.values.errors import UsageError


@runtime_checkable
class Model(Protocol):
    """A type that validates itself: it has the methods of a pydantic model."""

    @classmethod
    def model_validate(cls, obj: Any) -> Any:
        """Build an instance from decoded JSON, or raise."""

    @classmethod
    def model_json_schema(cls, *, ref_template: str = ..., mode: Any = ...) -> dict[str, Any]:
        """The JSON Schema of its input (`mode="validation"`) or its output (`mode="serialization"`)."""

    def model_dump(self, *, mode: str = ..., by_alias: bool = ...) -> Any:
        """The instance as values that encode as JSON."""


class Fault(Struct, frozen=True):
    """Why a conversion failed, as text that is safe to send.

    `path` leads to the value, such as `$.members[3].name`. `reason` contains JSON types and declared constraints only,
    or says that the type refused the value.
    """

    path: str
    reason: str


class Refused(Exception):
    """A value does not fit its declared type. `faults` say where and why, as text that is safe to send."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    @classmethod
    def because(cls, reason: str) -> Refused:
        """One reason, for the whole value."""
        return cls((Fault("$", reason),))

    def inside(self, step: str) -> Refused:
        """The same faults, one step further inside: `.name` or `[3]`."""
        return Refused(tuple(Fault(f"${step}{fault.path[1:]}", fault.reason) for fault in self.faults))


class NoJson(NotImplementedError):
    """A value of a type that cannot be encoded as JSON. The text names the type."""


NO_HASH: Final[dict[type[inspect.Type], str]] = {
    inspect.ListType: "list",
    inspect.DictType: "dict",
    inspect.SetType: "set",
    inspect.ByteArrayType: "bytearray",
    inspect.RawType: "Raw",
}
"""Types whose values have no hash, where msgspec's description has no class to ask."""

PLAIN_VALUES: Final[tuple[tuple[type, Callable[[Any], Any]], ...]] = (
    (str, str.__str__),
    (int, int.__pos__),
    (float, float.__pos__),
    (bytes, lambda value: bytes.__getitem__(value, slice(None))),
    (deque, list),
)
"""Values that msgspec does not write, subclasses of built-in types above all, as ones that it does."""

PLAIN_KINDS: Final = (str, bytes, int, float, dict, list, tuple, set, frozenset)

OF_PYDANTIC: Final = ("__is_pydantic_dataclass__", "__get_pydantic_core_schema__")

OF_USERS: Final = ("value_error", "assertion_error")
"""Types of pydantic's errors whose texts are those of user code."""

SURPLUS_OR_MISSING: Final = {
    "missing": "object missing required field",
    "extra_forbidden": "object contains unknown field",
    "unexpected_keyword_argument": "object contains unknown field",
}
"""Types of pydantic's errors that msgspec knows, too, and says of the object."""

MAX_FAULTS: Final = 16
"""One value is described by at most so many faults."""

MAX_PARTS: Final = 1024
"""At most so many items of an array or an object are read one by one to find faults: an invalid call stays cheap."""

REFUSED: Final = "refused by its type"
SUFFIX: Final = re.compile(r" - at .*?`?(\$[^`]*)`$", re.DOTALL)


def check(annotation: Any, where: str) -> bool:
    """Raise UsageError unless values of `annotation` can be read and written. `where` names the annotated thing.

    A set of values without a hash is refused, too. Returns whether its values may contain sets (whose order depends on
    hashing).
    """
    try:
        found = list(_walk(inspect.type_info(annotation), []))
    except (TypeError, ValueError, NameError) as error:
        raise UsageError(f"{where} has the type {annotation!r}, which JSON cannot carry: {error}") from None
    for node in found:
        if isinstance(node, inspect.CustomType) and not (
            node.cls is object or validates_itself(node.cls) or is_path(node.cls)
        ):
            raise UsageError(
                f"{where} has the type {node.cls.__qualname__!r}, which JSON cannot carry: use a Struct, a "
                "dataclass, a TypedDict, an attrs class, a pydantic model or a type of the standard library"
            )
        if isinstance(node, inspect.SetType | inspect.FrozenSetType):
            for part in _walk(node.item_type, [], _is_hashed_by_parts):
                if (name := _without_hash(part)) is not None:
                    raise UsageError(
                        f"{where} has the type {annotation!r}, but {name!r} has no hash: use a list instead of the "
                        "set, or a tuple, a frozenset or a frozen class inside the set"
                    )
    return any(map(_is_of_sets, found))


def may_hold_sets(node: inspect.Type) -> bool:
    """May a value of this type contain a set? `Any` and `object` count as yes."""
    return any(map(_is_of_sets, _walk(node, [])))


def validates_itself(cls: Any) -> bool:
    """Is this class a model, a dataclass of pydantic's, or a type that tells pydantic how to validate it?"""
    return is_model(cls) or (isinstance(cls, type) and any(name in dir(cls) for name in OF_PYDANTIC))


def must_be_plain(value: Any, expected: str) -> Any:
    """The value, if the check of its JSON will refuse it. Raises Refused for objects, which could write anything."""
    if value is None or isinstance(value, PLAIN_KINDS):
        return value
    raise Refused.because(f"expected {expected}, got {type(value).__qualname__}")


def is_path(cls: Any) -> bool:
    """Is this a class of paths, such as `pathlib.Path`? `os.PathLike` is none, as it has no instances."""
    return isinstance(cls, type) and hasattr(cls, "__fspath__") and not getattr(cls, "__abstractmethods__", None)


def is_model(cls: Any) -> bool:
    """Does this class validate itself?"""
    return isinstance(cls, type) and issubclass(cls, Model)


def read_custom(cls: type, value: Any) -> Any:
    """msgspec's hook for types that it does not know: `object` and models."""
    return value if cls is object else cls.model_validate(value)  # type: ignore[attr-defined]


def write_custom(value: Any) -> Any:
    """msgspec's hook for values that it does not know: models. Raises NoJson for others."""
    if isinstance(value, Model):
        return value.model_dump(mode="json", by_alias=True)
    for kind, plain in PLAIN_VALUES:
        if isinstance(value, kind):
            return plain(value)
    if is_path(type(value)):
        return value.__fspath__()
    raise NoJson(f"unknown type {type(value).__qualname__}")


def describe(error: BaseException) -> Fault:
    """A safe description of an exception that msgspec, or user code called by it, raised.

    msgspec's texts name only types and paths of the JSON. Texts of user code are dropped. They are recognised by
    `__cause__`, because msgspec wraps ValueError and TypeError, or by a traceback that goes deeper than the handler.
    """
    text = str(error) if isinstance(error, ValidationError) else ""
    suffix = SUFFIX.search(text)
    path = suffix[1] if suffix else "$"
    trace = error.__traceback__
    if not text or error.__cause__ is not None or (trace is not None and trace.tb_next is not None):
        return Fault(path, REFUSED)
    words = (text[: suffix.start()] if suffix else text).replace("`", "")
    return Fault(path, words[:1].lower() + words[1:])


def pydantic_faults(error: BaseException) -> tuple[Fault, ...]:
    """What pydantic's ValidationError says, without the words of user code. Empty for other exceptions."""
    if type(error).__name__ != "ValidationError" or not hasattr(error, "errors"):
        return ()
    found: list[Fault] = []
    for fault in error.errors(include_input=False, include_context=False)[:MAX_FAULTS]:
        where = fault["loc"]
        words = SURPLUS_OR_MISSING.get(fault["type"])
        if words is not None:
            where, words = where[:-1], f"{words} {where[-1]}"
        path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
        # Only pydantic's own errors have a page of its manual.
        own = "url" in fault and fault["type"] not in OF_USERS
        words = words or (fault["msg"] if own else "refused by a validator")
        begin = words[:1] if words[1:2].isupper() else words[:1].lower()  # "URL …" stays
        found.append(Fault(f"${path}", begin + words[1:]))
    return tuple(found)


def _is_of_sets(node: Any) -> bool:
    says_nothing = isinstance(node, inspect.AnyType) or (isinstance(node, inspect.CustomType) and node.cls is object)
    return says_nothing or isinstance(node, inspect.SetType | inspect.FrozenSetType)


def _without_hash(node: Any) -> str | None:
    """The name of this type if its values have no hash, else None."""
    if type(node) in NO_HASH:
        return NO_HASH[type(node)]
    cls = _class_of(node)
    if cls is None:
        return None
    if isinstance(node, inspect.StructType) and _is_hashed_by_parts(node):
        return None if cls.__struct_config__.frozen else cls.__qualname__
    return None if issubclass(cls, Hashable) else cls.__qualname__


def _is_hashed_by_parts(node: Any) -> bool:
    """Is the hash of a value made of the hashes of its parts?"""
    if not isinstance(node, inspect.StructType):
        return isinstance(node, inspect.TupleType | inspect.VarTupleType | inspect.NamedTupleType | inspect.UnionType)
    # True for msgspec's own hash, unless eq=False makes values compare by identity.
    cls = _class_of(node)
    own = cls.__mro__[: cls.__mro__.index(Struct)]
    return cls.__struct_config__.eq and not any("__hash__" in vars(base) for base in own)


def _class_of(node: Any) -> Any:
    cls = getattr(node, "cls", None)
    return get_origin(cls) or cls


def _walk(node: Any, seen: list[Any], enters: Callable[[Any], bool] = lambda node: True) -> Iterator[Any]:
    """Each type inside a type, once, without the parts of types that it does not enter. Types may be recursive."""
    if any(node is other for other in seen):
        return
    seen.append(node)
    yield node
    if not enters(node):
        return
    for name in node.__struct_fields__:
        value = getattr(node, name)
        for part in value if isinstance(value, tuple) else (value,):
            inner = part.type if isinstance(part, inspect.Field) else part
            if isinstance(inner, inspect.Type):
                yield from _walk(inner, seen, enters)
