"""The states of the server's side of a WebSocket after its handshake, as a table.

It may not know frames or deadlines.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from posthouse.core.values.transitions import table


class WebSocketState(StrEnum):
    """Where the connection is."""

    OPEN = "open"  # messages are exchanged
    CLOSING = "closing"  # our close frame was sent, the peer's is awaited
    DISCARDING = "discarding"  # it failed: bytes that come are discarded
    SHUT = "shut"


class WebSocketEvent(StrEnum):
    """What changes the state."""

    CLOSE = "close"  # the gateway closes
    FAIL = "fail"  # the peer broke a rule
    END = "end"  # both close frames, or the end of input
    SHUT = "shut"  # enough was discarded, or a deadline came


TRANSITIONS: Final = table(
    {
        WebSocketState.OPEN: {
            WebSocketEvent.CLOSE: WebSocketState.CLOSING,
            WebSocketEvent.FAIL: WebSocketState.DISCARDING,
            WebSocketEvent.END: WebSocketState.SHUT,
        },
        WebSocketState.CLOSING: {
            WebSocketEvent.FAIL: WebSocketState.DISCARDING,
            WebSocketEvent.END: WebSocketState.SHUT,
        },
        WebSocketState.DISCARDING: {
            WebSocketEvent.SHUT: WebSocketState.SHUT,
        },
        WebSocketState.SHUT: {},
    }
)
