"""What is refused before a request or a connection exists, as data: status, reason, and headers of its own.

Every check of an opening returns one of these or nothing. It may not know how it is written on the wire, nor whether
the socket is kept.
"""

from __future__ import annotations

from msgspec import Struct
from posthouse.core.values.errors import ErrorObject


class Refusal(Struct, frozen=True, gc=False):
    """The HTTP answer to what is refused (RFC 9110 section 15).

    `reason` is a fixed sentence for people, never anything that the peer sent. With `error` the answer carries a
    JSON-RPC error response with `id: null` in its place. `said` is the value that was refused, where it is a host or an
    origin: for whoever watches the server, and never sent. `keep`: the request was understood to its end, so the
    socket may go on; else it is closed, and nothing behind the request is parsed.
    """

    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    error: ErrorObject | None = None
    keep: bool = False
    rejected_value: bytes | None = None
