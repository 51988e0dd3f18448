"""Replies: one per request, one array per batch, one answer per HTTP exchange.

Every entry of a message reports once, with a reply or (notifications, responses) without. A single message is answered
then, a batch after the last report. It may not know why a call has its outcome.
"""

from __future__ import annotations

from msgspec import Struct
from posthouse.core.connections.connections import Connection
from posthouse.core.connections.flow import Flow
from posthouse.core.connections.state import ANSWER
from posthouse.core.jsonrpc.messages import encode_error, encode_result, join_batch
from posthouse.core.values.effects import Answer, Transmit
from posthouse.core.values.errors import BATCH_REPLY_TOO_LARGE, RESPONSE_TOO_LARGE, ErrorObject
from posthouse.core.values.peers import WireId
from posthouse.core.values.shared import Shared


class Batch(Struct, eq=False, gc=False):
    """The entries of an array. `left` entries have not reported; `replies` are in the order of the entries.

    `size`: bytes of the array of replies so far. `reserved`: bytes needed to refuse all other entries. `first` to
    `last` are the numbers of its calls. `followers`: notifications that leave behind its reply (`followers.py`).
    """

    left: int
    replies: list[bytes | None]
    size: int = 1
    reserved: int = 0
    first: int = 0
    last: int = 0
    followers: list[bytes] | None = None


class Replies:
    """Turns outcomes into payloads."""

    def __init__(self, shared: Shared, flow: Flow) -> None:
        self._shared = shared
        self._config = shared.config
        self._outbox = shared.outbox
        self._flow = flow
        self._backlogs = flow.backlogs
        self._left_out = self._too_large(BATCH_REPLY_TOO_LARGE, "max_batch_reply_bytes")
        self._left_out_bytes = len(encode_error(WireId(b""), self._left_out)) + 1

    def batch(self, ids: list[WireId | None]) -> Batch:
        """A batch whose replies have these ids; None for an entry that gets no reply.

        Room is reserved to refuse the entries that have not reported, so that the array stays within
        `max_batch_reply_bytes` (unless the refusals alone are larger).
        """
        sizes = [len(id) for id in ids if id is not None]
        return Batch(len(ids), [None] * len(ids), reserved=len(sizes) * self._left_out_bytes + sum(sizes))

    def result(
        self, connection: Connection, batch: Batch | None, entry: int, id: WireId | None, result: bytes
    ) -> int | None:
        """Reply with a result. A notification gets no reply. Returns the code of the error that is sent in its place if
        the result is too large, else None."""
        if id is None:
            self.no_reply(connection, batch)
            return None
        data = encode_result(id, result)
        if len(data) > self._config.max_response_bytes:
            return self.error(connection, batch, entry, id, self._too_large(RESPONSE_TOO_LARGE, "max_response_bytes"))
        if batch is not None:
            return self._report(connection, batch, entry, id, data)
        if not connection.pushable:
            connection.move(ANSWER)
            self._outbox.append(Answer(connection.id, data, None, None, connection.set_cookie))
        elif connection.id in self._backlogs:
            self._flow.send(connection.id, data)
        else:
            self._outbox.append(Transmit(connection.id, data))
        return None

    def error(
        self, connection: Connection, batch: Batch | None, entry: int, id: WireId | None, error: ErrorObject
    ) -> int:
        """Reply with an error. A notification gets no reply. Returns the code of the error that is sent: another one if
        this one is too large."""
        if id is None:
            self.no_reply(connection, batch)
            return error.code
        data = encode_error(id, error)
        if len(data) > self._config.max_response_bytes:
            error = self._too_large(RESPONSE_TOO_LARGE, "max_response_bytes")
            data = encode_error(id, error)
        if batch is not None:
            return self._report(connection, batch, entry, id, data) or error.code
        if connection.pushable:
            self._flow.send(connection.id, data)
        else:
            connection.move(ANSWER)
            self._outbox.append(Answer(connection.id, data, error.code, error.retry_after, connection.set_cookie))
        return error.code

    def no_reply(self, connection: Connection, batch: Batch | None) -> None:
        """This entry gets no reply: it is a notification or a response."""
        if batch is not None:
            batch.left -= 1
            if not batch.left:
                self._finish(connection, batch)
        elif not connection.pushable:
            connection.move(ANSWER)
            self._outbox.append(Answer(connection.id, None, None, None, connection.set_cookie))

    def _report(self, connection: Connection, batch: Batch, entry: int, id: WireId, data: bytes) -> int | None:
        """Returns the code of the error that replaces the reply, if the array has no room for it."""
        replaced = None
        batch.reserved -= self._left_out_bytes + len(id)
        if batch.size + len(data) + 1 + batch.reserved > self._config.max_batch_reply_bytes:
            data = encode_error(id, self._left_out)
            replaced = self._left_out.code
        size = len(data) + 1
        batch.size += size
        batch.replies[entry] = data
        connection.batch_reply_bytes += size
        self._shared.hold(size)
        batch.left -= 1
        if not batch.left:
            self._finish(connection, batch)
        return replaced

    def drop(self, connection: Connection, now: float) -> None:
        """The connection is closing: its incomplete batches are dropped."""
        self._shared.hold(-connection.batch_reply_bytes)
        connection.batch_reply_bytes = 0

    def _too_large(self, code: int, limit: str) -> ErrorObject:
        return ErrorObject.of(code, {"limit": limit, "allowed": getattr(self._config, limit)})

    def _finish(self, connection: Connection, batch: Batch) -> None:
        replies = [reply for reply in batch.replies if reply is not None]
        connection.batch_reply_bytes += 1 - batch.size
        self._shared.hold(1 - batch.size)
        data = join_batch(replies) if replies else None
        if not connection.pushable:
            connection.move(ANSWER)
            # JSON-RPC 2.0 section 6: an error belongs to its entry; the array as a whole is a success.
            self._outbox.append(Answer(connection.id, data, None, None, connection.set_cookie))
        elif data is not None:
            self._flow.send(connection.id, data)
