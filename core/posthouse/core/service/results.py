"""How the value that a handler returns becomes the `result` of a response, checked against its declared type.

The check is made on the JSON: the declared type must be able to read it. So a dict is valid for a Struct, a tuple for a
list, but NaN (which JSON does not have) is invalid for a float.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, Final

from msgspec import ValidationError
from msgspec.json import Decoder, Encoder
from posthouse.core.encoding.compiler import reading, sending
from posthouse.core.encoding.conversion import Fault, NoJson, Refused, describe, read_custom, write_custom
from posthouse.core.encoding.faults import explain, reader
from posthouse.core.encoding.ordering import PLAIN, ordered

Encoding = Callable[[object], bytes]

EXACT: tuple[Any, ...] = (int, str, bool)
"""Types whose instances need no further check."""

MAX_REASON: Final = 256
"""The log repeats at most so many characters for one fault of a client's answer."""


class ResultError(Exception):
    """A method's result, or a caller's answer to `Context.call`, has another type, or cannot be encoded as JSON.

    `reason` never contains text from user code.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def compile_encoding(annotation: Any, where: str) -> Encoding:
    """A function that encodes results declared as `annotation`. It raises ResultError and no other exception.

    Raises UsageError for a type that JSON cannot carry; `where` names the annotated thing.
    """
    plan, sets = sending(annotation, where)
    convert: Any = plan.convert
    cls = plan.cls if plan.cls in plan.exact else None
    write = Encoder(enc_hook=write_custom).encode
    encode: Encoding = (lambda result: write(ordered(result))) if sets else write
    decode = Decoder(plan.wire, dec_hook=read_custom).decode

    def encode_any(result: object) -> bytes:
        try:
            return write(result if type(result) in PLAIN else ordered(result))
        except BaseException as error:
            raise _refused(error) from None

    def encode_checked(result: object) -> bytes:
        try:
            data = encode(result)
            decode(data)
        except BaseException as error:
            raise _refused(error) from None
        return data

    @cache
    def by_member() -> Any:
        return sending(annotation, where, by_member=True)[0].convert

    def encode_converted(result: object) -> bytes:
        try:
            try:
                data = encode(result if type(result) is cls else convert(result))
                decode(data)
            except (ValidationError, Refused):
                # msgspec leaves out a default that a dataclass has on the class only, as in instances that it made.
                data = encode(by_member()(result))
                decode(data)
        except BaseException as error:
            raise _refused(error) from None
        return data

    def encode_none(result: object) -> bytes:
        return b"null" if result is None else encode_checked(result)

    def encode_exact(result: object) -> bytes:
        if type(result) is not annotation:
            return encode_checked(result)
        try:
            return encode(result)
        except BaseException as error:
            raise _refused(error) from None

    if annotation is Any:
        return encode_any
    if convert is not None:
        return encode_converted
    if annotation is type(None):
        return encode_none
    return encode_exact if annotation in EXACT else encode_checked


def answers(annotation: Any, whose: str = "the caller's") -> Callable[[str, bytes], Any]:
    """A function that reads a result of a named method, for `Context.call`. It raises ResultError.

    Raises UsageError for a type that JSON cannot carry.
    """
    try:
        return _known_answers(annotation, whose)
    except TypeError:
        return _answers(annotation, whose)  # it has no hash, so it is not kept; or it is no type, which this says


def _answers(annotation: Any, whose: str) -> Callable[[str, bytes], Any]:
    plan = reading(annotation, "the result_type of Context.call")
    read = reader(plan)

    def answer(method: str, data: bytes) -> Any:
        try:
            return read(data)
        except BaseException as error:
            faults = explain(plan, data) or [describe(error)]
            reasons = "; ".join(_at(fault)[:MAX_REASON] for fault in faults)
            raise ResultError(f"{whose} result of {method!r} is not of the declared type: {reasons}") from None

    return answer


_known_answers: Final = lru_cache(256)(_answers)


def _at(fault: Fault) -> str:
    return fault.reason if fault.path == "$" else f"{fault.reason} at {fault.path}"


def _refused(error: BaseException) -> ResultError:
    if isinstance(error, ValidationError | Refused):
        fault: Fault = error.faults[0] if isinstance(error, Refused) else describe(error)
        return ResultError(f"the result is not as declared: {_at(fault)}")
    reason = error if type(error) is NoJson else type(error).__name__
    return ResultError(f"the result cannot be encoded as JSON: {reason}")
