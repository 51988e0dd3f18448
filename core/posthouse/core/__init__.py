"""The gateway without I/O. The names listed here are public; the modules are private.

To write services: `Service`, `Context`, `RpcError`. To embed the gateway: `Gateway`, `Config`, `Peer`, the effects. For
hooks and interceptors: the events and `Outcome`.
"""

from __future__ import annotations

from .gateway import Gateway
from .operations.operations import Failed, Refused
from .service.authenticators import Authenticator, Basic, Bearer, UnreadableCredentials
from .service.context import AuthContext, Context, HookContext
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
    Verify,
    Withdraw,
)
from .values.errors import ERRORS, ErrorCode, ErrorObject, RpcError, UsageError, http_status
from .values.lifecycle import (
    EVENTS,
    AcceptingStopped,
    AuthFailed,
    AuthFailure,
    AuthSucceeded,
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
    OperationId,
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
    "AuthContext",
    "AuthFailed",
    "AuthFailure",
    "AuthSucceeded",
    "Authenticator",
    "Basic",
    "Bearer",
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
    "Failed",
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
    "OperationId",
    "Outcome",
    "OutgoingId",
    "PauseReading",
    "Peer",
    "Raised",
    "Refused",
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
    "UnreadableCredentials",
    "UsageError",
    "Verify",
    "Withdraw",
    "http_status",
]
