"""The gateway without I/O. The names listed here are public; the modules are private.

To write services: `Service`, `Context`, `RpcError`. To embed the gateway: `Gateway`, `Config`, `Peer`, the effects. For
hooks and interceptors: the events and `Outcome`.
"""

from __future__ import annotations

from .gateway import Gateway
from .service.context import Context, HookContext
from .service.hooks import Hook
from .service.method import Method, OnCall, OnOutcome, Outcome, Raised, Returned
from .service.parameters import Arguments
from .service.results import ResultError
from .service.service import Service
from .values.close_reasons import CLOSE_REASONS, CloseReason
from .values.config import Config
from .values.effects import (
    Accept,
    Answer,
    BeginDrain,
    Cancel,
    Disconnect,
    Drained,
    Effect,
    Emit,
    Heartbeat,
    Invoke,
    Multicast,
    PauseReading,
    Resolve,
    ResumeReading,
    StopAccepting,
    Transmit,
)
from .values.errors import ERRORS, ErrorCode, ErrorObject, RpcError, UsageError, http_status
from .values.lifecycle import (
    EVENTS,
    AcceptingStopped,
    CallCancelled,
    CallEnded,
    CallFailed,
    CallOutcome,
    CallTimedOut,
    ConnectionClosed,
    ConnectionOpened,
    DrainStarted,
    Event,
    LimitBreached,
    RequestRefused,
)
from .values.peers import (
    ALL_SCOPES,
    ANONYMOUS,
    Address,
    Caller,
    CallId,
    ConnectionId,
    Identity,
    Kind,
    Meta,
    OutgoingId,
    Peer,
    SocketId,
)
from .values.stats import Health

__all__ = [
    "ALL_SCOPES",
    "ANONYMOUS",
    "CLOSE_REASONS",
    "ERRORS",
    "EVENTS",
    "Accept",
    "AcceptingStopped",
    "Address",
    "Answer",
    "Arguments",
    "BeginDrain",
    "CallCancelled",
    "CallEnded",
    "CallFailed",
    "CallId",
    "CallOutcome",
    "CallTimedOut",
    "Caller",
    "Cancel",
    "CloseReason",
    "Config",
    "ConnectionClosed",
    "ConnectionId",
    "ConnectionOpened",
    "Context",
    "Disconnect",
    "DrainStarted",
    "Drained",
    "Effect",
    "Emit",
    "ErrorCode",
    "ErrorObject",
    "Event",
    "Gateway",
    "Health",
    "Heartbeat",
    "Hook",
    "HookContext",
    "Identity",
    "Invoke",
    "Kind",
    "LimitBreached",
    "Meta",
    "Method",
    "Multicast",
    "OnCall",
    "OnOutcome",
    "Outcome",
    "OutgoingId",
    "PauseReading",
    "Peer",
    "Raised",
    "RequestRefused",
    "Resolve",
    "ResultError",
    "ResumeReading",
    "Returned",
    "RpcError",
    "Service",
    "SocketId",
    "StopAccepting",
    "Transmit",
    "UsageError",
    "http_status",
]
