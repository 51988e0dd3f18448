"""The states of the client's side of a WebSocket, as a table.

It may not know frames or deadlines.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from posthouse.core.values.transitions import table


class ClientState(StrEnum):
    """Where the connection is."""

    OPENING = "opening"  # our opening request was sent
    OPEN = "open"  # messages are exchanged
    CLOSING = "closing"  # our close frame was sent, the server's is awaited
    CLOSED = "closed"  # both close frames were sent; the server closes TCP
    SHUT = "shut"


class ClientEvent(StrEnum):
    """What changes the state."""

    OPEN = "open"  # the server accepted the handshake
    CLOSE = "close"  # the caller closes
    PEER_CLOSED = "peer closed"  # the server's close frame came
    SHUT = "shut"  # refused, failed, the end of input, or a deadline


TRANSITIONS: Final = table(
    {
        ClientState.OPENING: {
            ClientEvent.OPEN: ClientState.OPEN,
            ClientEvent.SHUT: ClientState.SHUT,
        },
        ClientState.OPEN: {
            ClientEvent.CLOSE: ClientState.CLOSING,
            ClientEvent.PEER_CLOSED: ClientState.CLOSED,
            ClientEvent.SHUT: ClientState.SHUT,
        },
        ClientState.CLOSING: {
            ClientEvent.PEER_CLOSED: ClientState.CLOSED,
            ClientEvent.SHUT: ClientState.SHUT,
        },
        ClientState.CLOSED: {
            ClientEvent.SHUT: ClientState.SHUT,
        },
        ClientState.SHUT: {},
    }
)
