"""Draw docs/internals/states.md from the state tables: `python tools/states.py`, as `make states`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from posthouse.core.connections import state as connection
from posthouse.transports.client import state as client
from posthouse.transports.hosted import state as hosted
from posthouse.transports.http import state as http
from posthouse.transports.switchboard import socket_state as socket
from posthouse.transports.websocket import state as websocket

DOCUMENT: Final = Path(__file__).resolve().parents[1] / "docs" / "internals" / "states.md"

HEADER: Final = """\
# States

Each machine that has states has them as a table. `make states` draws this page from the tables, and a test compares
them. An event without an arrow is a defect of Posthouse: it raises `IllegalEvent`, which names the event and the state.
"""

Table = Mapping[Any, Mapping[Any, Any]]

MACHINES: Final[tuple[tuple[str, str, str, Table], ...]] = (
    ("A connection", "core/connections/state.py", connection.State.OPEN, connection.TRANSITIONS),
    ("A socket", "transports/switchboard/socket_state.py", socket.SocketPhase.IDLE, socket.TRANSITIONS),
    ("HTTP/1.1, the server's side", "transports/http/state.py", http.HttpState.HEAD, http.TRANSITIONS),
    (
        "A request of a host",
        "transports/hosted/state.py",
        hosted.HostedState.BODY,
        hosted.TRANSITIONS,
    ),
    (
        "WebSocket, the server's side",
        "transports/websocket/state.py",
        websocket.WebSocketState.OPEN,
        websocket.TRANSITIONS,
    ),
    ("WebSocket, the client's side", "transports/client/state.py", client.ClientState.OPENING, client.TRANSITIONS),
)
"""The title of each machine, its file, the state in which it begins, and its table."""


def drawn(begin: str, table: Table) -> list[str]:
    """A state diagram of Mermaid."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {begin}"]
    lines += [f"    {state} --> {to} : {event}" for state, row in table.items() for event, to in row.items()]
    return [*lines, "```"]


def page() -> str:
    """The whole document."""
    parts = [HEADER]
    for title, path, begin, table in MACHINES:
        parts += [f"## {title}", "", f"`{path}`", "", *drawn(begin, table), ""]
    return "\n".join(parts)


if __name__ == "__main__":
    DOCUMENT.write_text(page(), encoding="utf-8")
