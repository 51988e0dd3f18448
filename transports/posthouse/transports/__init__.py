"""Bytes to texts and back, without I/O: the switchboard, the codecs of both sides, and their actions and outputs.

The names listed here are public; modules are private. To embed the server you need `Switchboard`, `Policy` and the
actions; to speak or test one protocol you need its codec and the outputs.
"""

from __future__ import annotations

from .client.http import Http1Client
from .client.responses import Failed, Response
from .client.websocket import OpeningRequest, WebSocketClient
from .codec import (
    Answered,
    Binary,
    Codec,
    Ended,
    Exchange,
    Finish,
    Handshake,
    HeadRead,
    Heard,
    Output,
    Pause,
    Probe,
    Resume,
    Selected,
    Send,
    Shut,
    Text,
    Upgrade,
)
from .http.server import Http1
from .paths import Paths
from .pipes.content_length import ContentLengthFraming
from .pipes.newline import NewlineFraming
from .policy import Policy
from .switchboard.actions import Action, CloseSocket, EndWriting, Reply, StartReading, StopReading, Write
from .switchboard.switchboard import Switchboard
from .websocket.server import WebSocket

__all__ = [
    "Action",
    "Answered",
    "Binary",
    "CloseSocket",
    "Codec",
    "ContentLengthFraming",
    "EndWriting",
    "Ended",
    "Exchange",
    "Failed",
    "Finish",
    "Handshake",
    "HeadRead",
    "Heard",
    "Http1",
    "Http1Client",
    "NewlineFraming",
    "OpeningRequest",
    "Output",
    "Paths",
    "Pause",
    "Policy",
    "Probe",
    "Reply",
    "Response",
    "Resume",
    "Selected",
    "Send",
    "Shut",
    "StartReading",
    "StopReading",
    "Switchboard",
    "Text",
    "Upgrade",
    "WebSocket",
    "WebSocketClient",
    "Write",
]
