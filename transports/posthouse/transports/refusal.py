"""Refusals before a request or a connection exists, as data: status, reason, and headers.

Every check of an opening returns a refusal or nothing. This module may not know how a refusal is written.
"""

from __future__ import annotations

from msgspec import Struct
from posthouse.core.values.errors import ErrorObject

from .fields import Fields


class Refusal(Struct, frozen=True, gc=False):
    """The HTTP answer to a refused request (RFC 9110 section 15).

    `reason` is a fixed sentence for people and never contains bytes of the peer. With `error`, the answer carries a
    JSON-RPC error response with `id: null` instead of the reason. `rejected_value` is the host or origin that is not
    allowed; it is for logs and never sent. `keep`: the request was read to its end, so the socket may go on. Else it is
    closed, and nothing behind the request is parsed.
    """

    status: int
    reason: str
    headers: Fields = ()
    error: ErrorObject | None = None
    keep: bool = False
    rejected_value: bytes | None = None
