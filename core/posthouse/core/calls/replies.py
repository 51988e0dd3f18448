"""What outcomes say on the wire: one reply per request, one array per batch, one answer per HTTP exchange.

Every entry of a message reports here once, with a reply or (notifications, responses) without. When the last one
has, the message is answered. It may not know why an outcome is what it is.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from posthouse.core.connections.connections import Connection, Trigger
from posthouse.core.connections.flow import Flow
from posthouse.core.jsonrpc.messages import encode_error, encode_result, join_batch
from posthouse.core.values.config import Config
from posthouse.core.values.effects import Answer, Effect
from posthouse.core.values.errors import (
    BATCH_REPLY_TOO_LARGE,
    DRAINING,
    RATE_LIMITED,
    RESPONSE_TOO_LARGE,
    SERVER_BUSY,
    RpcError,
)

RETRY_AFTER: Final[dict[int, float]] = {SERVER_BUSY: 1.0, DRAINING: 1.0, RATE_LIMITED: 1.0}
"""Seconds that a refused HTTP client should wait where the error's data names no `retry_after_ms`."""


def retry_after(error: RpcError) -> float | None:
    """Seconds to wait before a retry, or None where waiting does not help."""
    if isinstance(error.data, dict) and isinstance(milliseconds := error.data.get("retry_after_ms"), int):
        return milliseconds / 1000
    return RETRY_AFTER.get(error.code)


class Batch(Struct, eq=False, gc=False):
    """The entries of one message that have not reported, and the replies of those that have, in the entries' order.

    `single`: the message was no array; over HTTP a lone notification is still waited for. `size` is that of the array
    as it would be now, in bytes; `reserved` are those that the entries to come take at least, if each is refused.
    """

    left: int
    replies: list[bytes | None]
    single: bool = False
    size: int = 1
    reserved: int = 0
    code: int | None = None
    retry_after: float | None = None


class Replies:
    """Turns outcomes into payloads. Methods return the name of a limit that the peer breached, else None.

    `gathered` are the bytes of replies whose batches are not complete.
    """

    __slots__ = ("_config", "_flow", "_left_out", "_left_out_bytes", "_outbox", "batch_reply_bytes")

    def __init__(self, config: Config, outbox: list[Effect], flow: Flow) -> None:
        self._config = config
        self._outbox = outbox
        self._flow = flow
        self._left_out = self._too_large(BATCH_REPLY_TOO_LARGE, "max_batch_reply_bytes")
        self._left_out_bytes = len(encode_error(b"", self._left_out)) + 1
        self.batch_reply_bytes = 0

    def batch(self, ids: list[bytes | None]) -> Batch:
        """An array of entries with these ids; None where there will be no reply.

        There is always room left to refuse the entries that have not reported, so that the array stays within
        `max_batch_reply_bytes` (unless not even the refusals fit).
        """
        reserved = sum(self._left_out_bytes + len(id) for id in ids if id is not None)
        return Batch(len(ids), [None] * len(ids), reserved=reserved)

    def result(
        self, connection: Connection, batch: Batch | None, entry: int, id: bytes | None, result: bytes
    ) -> str | None:
        """A result; for a notification nothing."""
        if id is None:
            return self.no_reply(connection, batch)
        data = encode_result(id, result)
        if len(data) > self._config.max_response_bytes:
            return self.error(connection, batch, entry, id, self._too_large(RESPONSE_TOO_LARGE, "max_response_bytes"))
        if batch is None:
            return self._flow.send(connection.id, data)
        return self._report(connection, batch, entry, id, data)

    def error(
        self, connection: Connection, batch: Batch | None, entry: int, id: bytes | None, error: RpcError
    ) -> str | None:
        """An error; for a notification nothing."""
        if id is None:
            return self.no_reply(connection, batch)
        data = encode_error(id, error)
        if len(data) > self._config.max_response_bytes:
            error = self._too_large(RESPONSE_TOO_LARGE, "max_response_bytes")
            data = encode_error(id, error)
        if batch is None:
            return self._flow.send(connection.id, data)
        if batch.single:
            batch.code = error.code
            batch.retry_after = retry_after(error)
        return self._report(connection, batch, entry, id, data)

    def no_reply(self, connection: Connection, batch: Batch | None) -> str | None:
        """An entry that gets no reply: a notification, or a response to a request of ours."""
        if batch is None:
            return None
        batch.left -= 1
        return None if batch.left else self._finish(connection, batch)

    def _report(self, connection: Connection, batch: Batch, entry: int, id: bytes, data: bytes) -> str | None:
        if not batch.single:
            batch.reserved -= self._left_out_bytes + len(id)
            if batch.size + len(data) + 1 + batch.reserved > self._config.max_batch_reply_bytes:
                data = encode_error(id, self._left_out)
        batch.size += len(data) + 1
        batch.replies[entry] = data
        self._gather(connection, len(data) + 1)
        batch.left -= 1
        return None if batch.left else self._finish(connection, batch)

    def _gather(self, connection: Connection, size: int) -> None:
        connection.batch_reply_bytes += size
        self.batch_reply_bytes += size

    def drop(self, connection: Connection) -> None:
        """The connection closes: its batches will not be complete."""
        self._gather(connection, -connection.batch_reply_bytes)

    def _too_large(self, code: int, limit: str) -> RpcError:
        return RpcError(code, data={"limit": limit, "allowed": getattr(self._config, limit)})

    def _finish(self, connection: Connection, batch: Batch) -> str | None:
        replies = [reply for reply in batch.replies if reply is not None]
        self._gather(connection, 1 - batch.size)
        if connection.peer.kind != "http":
            return self._flow.send(connection.id, join_batch(replies)) if replies else None
        connection.move(Trigger.ANSWER)
        if not replies:
            self._outbox.append(Answer(connection.id, None))
        elif batch.single:
            self._outbox.append(Answer(connection.id, replies[0], batch.code, batch.retry_after))
        else:
            # JSON-RPC 2.0 section 6: an entry's error is its own; the array that carries it is a success.
            self._outbox.append(Answer(connection.id, join_batch(replies)))
        return None
