"""The payload of a topic: how data from a peer is checked, and how data of the service is encoded.

Both become the same JSON: exactly the members that the type declares, in one line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import DecodeError, Raw, Struct, json
from posthouse.core.encoding.compiler import reading
from posthouse.core.encoding.faults import explain, reader
from posthouse.core.service.parameters import fault, refused
from posthouse.core.service.results import Encoding, ResultError, compile_encoding
from posthouse.core.values.errors import RpcError, UsageError


class Payload(Struct, frozen=True, eq=False):
    """The payload of one rule. `check` turns JSON of a peer into that of the type, or raises RpcError (-32602).
    `encode_value` encodes a value of the service, or raises ResultError."""

    annotation: Any
    check: Callable[[bytes | Raw], bytes]
    encode_value: Encoding

    @classmethod
    def of(cls, annotation: Any, where: str) -> Payload:
        """Compile a declaration. Raises UsageError for a type that JSON cannot carry."""
        encode = compile_encoding(annotation, f"{where}: the payload")
        if annotation is Any:
            return cls(annotation, _compact, encode)
        plan = reading(annotation, f"{where}: the payload")
        read = reader(plan)

        def check(data: bytes | Raw) -> bytes:
            try:
                return encode(read(data))
            except BaseException as error:  # a type's own conversion may raise anything
                reason = error.reason if isinstance(error, ResultError) else "the type has refused it"
                faults = [fault("data", each.reason, each.path[1:]) for each in explain(plan, data)]
                raise refused(faults or [fault("data", reason)]) from None

        return cls(annotation, check, encode)

    def encode(self, data: object) -> bytes:
        """The JSON of a value of the service. Raises UsageError if it is not as declared."""
        try:
            if type(data) is not Raw:
                return self.encode_value(data)
            bytes(data).decode()
            return self.check(data)
        except ResultError as error:
            raise UsageError(f"the data cannot be published: {error.reason.replace('the result', 'it')}") from None
        except (RpcError, DecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"the data cannot be published: {error}") from None


def _compact(data: bytes | Raw) -> bytes:
    """The same JSON without white space: its numbers and strings stay as they are written."""
    return json.format(bytes(data), indent=-1)
