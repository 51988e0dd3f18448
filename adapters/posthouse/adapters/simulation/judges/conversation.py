"""The messages of one connection over a pipe or a WebSocket: each request has at most one answer, to its own id."""

from __future__ import annotations

from typing import Any, Final

from posthouse.core.values.config import Config

from .texts import NULL, Asked, asked, error_code, fault_of, key_of, parse

CANCEL: Final = "$/cancelRequest"


class Conversation:
    """The requests of a client that have no answer, and the requests that the server has made.

    `unread`: errors without an id that answered a single message.
    """

    def __init__(self, config: Config) -> None:
        self._config: Final = config
        self.unread = 0
        self._singles: Final[dict[str, list[Asked]]] = {}
        self._batches: Final[list[Asked]] = []
        self._spare = 0  # how many messages of the client may still be refused without an id
        self._requested: Final[dict[str, None]] = {}

    def unreadable(self) -> None:
        """The client sent bytes that are no text of a valid size: an error without an id may answer them."""
        self._spare += 1

    def sent(self, text: bytes, end: int) -> None:
        """The client sent a text, which ends at this offset of its bytes."""
        made = asked(text, self._config)
        made.end = end
        if made.doubtful:
            self._spare += 1
        if made.batch:
            if made.entries:
                self._batches.append(made)
        elif made.entries and made.entries[0][0] != NULL:
            self._singles.setdefault(made.entries[0][0], []).append(made)

    def received(self, text: bytes) -> int | None:
        """The client received a text. Returns the code of the error if it is one without an id, else None. Raises
        ValueError with the rule that it breaks."""
        try:
            message = parse(text)
        except ValueError:
            raise ValueError("a text is not JSON") from None
        entries = message if isinstance(message, list) else [message]
        for entry in entries:
            fault = fault_of(entry)
            if fault is not None:
                raise ValueError(f"a message is not JSON-RPC: {fault}")
        if isinstance(message, list):
            self._batch_answered(message)
        elif "method" in message:
            self._on_request(message)
        else:
            key = key_of(message["id"])
            return self._answered(key, message)
        return None

    def _answered(self, key: str | None, message: dict[str, Any]) -> int | None:
        singles = self._singles.get(key or NULL)
        if singles:
            singles.pop(0)
            if not singles:
                del self._singles[key or NULL]
            return None
        if key != NULL:
            raise ValueError("an answer belongs to no request, or is its second one")
        self._spare -= 1
        if self._spare < 0:
            raise ValueError("there are more errors without an id than messages")
        self.unread += 1
        return error_code(message)

    def _batch_answered(self, entries: list[dict[str, Any]]) -> None:
        if not entries or any("method" in entry for entry in entries):
            raise ValueError("an array is no array of answers")
        keys = [key_of(entry["id"]) or NULL for entry in entries]
        for place, batch in enumerate(self._batches):
            if batch.is_answered_by(keys):
                del self._batches[place]
                return
        raise ValueError("an array of answers belongs to no batch, or has another order")

    def _on_request(self, message: dict[str, Any]) -> None:
        params = message.get("params")
        if "id" in message:
            if message["id"] in self._requested:
                raise ValueError("two requests of the server have the same id")
            self._requested[message["id"]] = None
        elif message["method"] == CANCEL and isinstance(params, dict) and params.get("id") not in self._requested:
            raise ValueError("the server cancels a request that it has not made")

    def unanswered(self, delivered: int) -> list[str]:
        """The ids of the requests before this offset that have no answer. Errors without an id may have answered as
        many messages."""
        waiting = [made for singles in self._singles.values() for made in singles] + self._batches
        late = [made for made in waiting if made.end <= delivered and made.required and not made.doubtful]
        return [] if len(late) <= self.unread else [key for made in late for key in made.required]
