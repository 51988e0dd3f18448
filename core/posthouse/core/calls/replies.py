"""Replies: one per request, one array per batch, one answer per HTTP exchange.

Every entry of a message reports here once, with a reply or (notifications, responses) without. When the last one has
reported, the message is answered. It may not know why an outcome is what it is.
"""

from __future__ import annotations

from msgspec import Struct
from posthouse.core.connections.connections import Connection
from posthouse.core.connections.flow import Flow
from posthouse.core.connections.state import Trigger
from posthouse.core.jsonrpc.messages import encode_error, encode_result, join_batch
from posthouse.core.values.close_reasons import CloseReason
from posthouse.core.values.effects import Answer
from posthouse.core.values.errors import BATCH_REPLY_TOO_LARGE, RESPONSE_TOO_LARGE, ErrorObject
from posthouse.core.values.peers import WireId
from posthouse.core.values.shared import Shared


class Batch(Struct, eq=False, gc=False):
    """The entries of one message: `left` is how many have not reported; `replies` are in the order of the entries.

    `single`: the message was no array; over HTTP a lone notification is answered, too. `size`: bytes of the array as it
    would be now. `reserved`: the least bytes that the other entries take, if each is refused.
    """

    left: int
    replies: list[bytes | None]
    single: bool = False
    size: int = 1
    reserved: int = 0
    code: int | None = None
    retry_after: float | None = None


class Replies:
    """Turns outcomes into payloads. Methods return the limit that this breaches, else None."""

    __slots__ = ("_config", "_flow", "_left_out", "_left_out_bytes", "_outbox", "_shared")

    def __init__(self, shared: Shared, flow: Flow) -> None:
        self._shared = shared
        self._config = shared.config
        self._outbox = shared.outbox
        self._flow = flow
        self._left_out = self._too_large(BATCH_REPLY_TOO_LARGE, "max_batch_reply_bytes")
        self._left_out_bytes = len(encode_error(WireId(b""), self._left_out)) + 1

    def batch(self, ids: list[WireId | None]) -> Batch:
        """A batch of entries with these ids; None where there will be no reply.

        Room is kept to refuse the entries that have not reported, so that the array stays within
        `max_batch_reply_bytes` (unless the refusals alone are larger).
        """
        reserved = sum(self._left_out_bytes + len(id) for id in ids if id is not None)
        return Batch(len(ids), [None] * len(ids), reserved=reserved)

    def result(
        self, connection: Connection, batch: Batch | None, entry: int, id: WireId | None, result: bytes
    ) -> CloseReason | None:
        """Reply with a result; to a notification, with nothing."""
        if id is None:
            return self.no_reply(connection, batch)
        data = encode_result(id, result)
        if len(data) > self._config.max_response_bytes:
            return self.error(connection, batch, entry, id, self._too_large(RESPONSE_TOO_LARGE, "max_response_bytes"))
        if batch is None:
            return self._flow.send(connection.id, data)
        return self._report(connection, batch, entry, id, data)

    def error(
        self, connection: Connection, batch: Batch | None, entry: int, id: WireId | None, error: ErrorObject
    ) -> CloseReason | None:
        """Reply with an error; to a notification, with nothing."""
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
            batch.retry_after = error.retry_after
        return self._report(connection, batch, entry, id, data)

    def no_reply(self, connection: Connection, batch: Batch | None) -> CloseReason | None:
        """This entry gets no reply: it is a notification, or a response to a request of ours."""
        if batch is None:
            return None
        batch.left -= 1
        return None if batch.left else self._finish(connection, batch)

    def _report(self, connection: Connection, batch: Batch, entry: int, id: WireId, data: bytes) -> CloseReason | None:
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
        self._shared.hold(size)

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing: its batches will not be complete."""
        self._gather(connection, -connection.batch_reply_bytes)

    def _too_large(self, code: int, limit: str) -> ErrorObject:
        return ErrorObject.of(code, {"limit": limit, "allowed": getattr(self._config, limit)})

    def _finish(self, connection: Connection, batch: Batch) -> CloseReason | None:
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
