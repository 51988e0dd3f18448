"""How the value that a handler returns becomes the `result` of a response, checked against its declared type.

The check is made on the JSON: the declared type must be able to read it. So a dict is valid for a Struct, a tuple for a
list, but NaN (which JSON does not have) is invalid for a float.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import ValidationError
from msgspec.json import Decoder, Encoder
from posthouse.core.encoding.compiler import sending
from posthouse.core.encoding.conversion import Fault, NoJson, Refused, describe, read_custom, write_custom
from posthouse.core.encoding.ordering import PLAIN, ordered

Encoding = Callable[[object], bytes]

EXACT: tuple[Any, ...] = (int, str, bool)
"""Types whose instances need no further check."""


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

    def encode_converted(result: object) -> bytes:
        try:
            data = encode(result if type(result) is cls else convert(result))
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


def _refused(error: BaseException) -> ResultError:
    if isinstance(error, ValidationError | Refused):
        fault: Fault = error.faults[0] if isinstance(error, Refused) else describe(error)
        where = "" if fault.path == "$" else f" at {fault.path}"
        return ResultError(f"the result is not as declared: {fault.reason}{where}")
    reason = error if type(error) is NoJson else type(error).__name__
    return ResultError(f"the result cannot be encoded as JSON: {reason}")
