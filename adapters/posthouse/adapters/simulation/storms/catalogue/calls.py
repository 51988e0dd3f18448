"""Calls of the catalogue, and their replies. Every value is compared as JSON text: 1, 1.0 and true differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType
from msgspec.json import Decoder, encode
from posthouse.adapters.invariants import must
from posthouse.adapters.simulation.clients.pending import PendingCall
from posthouse.core.values.errors import RpcError

PREFIX: Final = "type."
"""The methods of the catalogue have names with this prefix."""

INVALID_PARAMS: Final = -32602
OF_TEXTS: Final = (-32700, -32600, -32601, -32602)
"""Errors that depend on the text alone."""

LIMITS: Final = (
    *("max_depth", "max_method_bytes", "max_id_bytes", "max_message_bytes", "max_body_bytes"),
    "max_message_bytes_unauthenticated",
)
"""Limits that change the replies to these texts, if they are small."""


class Row(Struct, frozen=True):
    """A call by position or by name, and its reply: a `result`, or an error with this `code`, and for invalid params
    with this `data`."""

    method: str
    params: Any
    result: Any | UnsetType = UNSET
    code: int | None = None
    data: Any = None

    def check(self, call: PendingCall) -> None:
        """Raise Violation if this call has another result, or other faults of its params."""
        if call.status == "result":
            right = self.result is not UNSET and encode(call.value) == encode(self.result)
            must(right, "answering: a value was read or sent wrongly", call, call.value)
        elif call.error is not None and call.error.code == INVALID_PARAMS:
            right = self.code == INVALID_PARAMS and encode(call.error.data) == encode(self.data)
            must(right, "answering: the faults of params are told wrongly", call, call.error.data)

    def may_fail_with(self, error: RpcError) -> bool:
        """May the call fail so, beside the ways in which every call may?"""
        return error.code == self.code


class Text(Row, frozen=True):
    """A text in place of a call, in which `@` stands for the id of the call. `null`: its reply has no id."""

    method: str = ""
    params: Any = None
    text: str = ""
    null: bool = False

    def check(self, call: PendingCall) -> None:
        """Raise Violation if this text has another reply, beside errors that any call may have."""
        if call.status == "result":
            right = self.result is not UNSET and encode(call.value) == encode(self.result)
            must(right, "answering: a text was answered wrongly", self.text, call.value)
        elif call.error is not None and call.error.code in OF_TEXTS:
            error = (call.error.code, encode(call.error.data))
            # Errors without an id may come in another order than the texts.
            known = ANONYMOUS if self.null else [(self.code, encode(self.data))]
            must(error in known, "answering: a text was refused wrongly", self.text, call.error)


ROWS: Final[list[Row]] = Decoder(list[Row]).decode(Path(__file__).with_name("replies.json").read_bytes())
"""All calls."""

TEXTS: Final[list[Text]] = Decoder(list[Text]).decode(Path(__file__).with_name("texts.json").read_bytes())
"""Texts that are unusual, or invalid JSON-RPC."""

ANONYMOUS: Final = [
    *((text.code, encode(text.data)) for text in TEXTS if text.null),
    (-32600, encode({"member": "method", "limit": "max_method_bytes", "allowed": 128})),
]
"""The errors without an id: those of these texts, and that of a notification in a batch whose method is too long."""
