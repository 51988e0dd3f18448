"""The order of actions, as an observer outside of the machine sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from posthouse.core.values.effects import (
    AskStore,
    Cancel,
    ComparePassword,
    Drained,
    Emit,
    HashPassword,
    Invoke,
    Resolve,
    StopAccepting,
    Verify,
    Withdraw,
)
from posthouse.core.values.lifecycle import (
    CallCancelled,
    CallEnded,
    CallTimedOut,
    ConnectionClosed,
    ConnectionOpened,
    DrainStarted,
    Event,
)
from posthouse.core.values.peers import PUSHABLE, CallId, ConnectionId, Kind, OperationId, OutgoingId, SocketId
from posthouse.transports.hosted.messages import Accepted, Closing, Response
from posthouse.transports.switchboard.actions import (
    Action,
    CloseSocket,
    EndWriting,
    Reply,
    StartReading,
    StopReading,
    Write,
)

from .violation import must

HOSTED: Final = (Accepted, Closing, Response)
"""The actions that give a host something to send, even if it is no bytes."""


class Witness:
    """Sees every action, in order. Each thing happens once, and nothing of it happens after its end.

    `exchanges_told`: the gateway tells when exchanges open and close (`Gateway(tell_exchanges=…)`).
    """

    def __init__(self, *, exchanges_told: bool = True) -> None:
        self._exchanges_told = exchanges_told
        self.open: set[ConnectionId] = set()
        self.closed: set[ConnectionId] = set()
        self.invoked: set[CallId] = set()
        self.cancelled: set[CallId] = set()
        self.ended_early: set[CallId] = set()
        self.ended: set[CallId] = set()
        self.operations: set[OperationId] = set()
        self.withdrawn: set[OperationId] = set()
        self.resolved: set[OutgoingId] = set()
        self.replied: set[ConnectionId] = set()
        self.writing_ended: set[SocketId] = set()
        self.closing: set[SocketId] = set()
        self.aborted: set[SocketId] = set()
        self.paused: set[SocketId] = set()
        self.draining = False
        self.accepting = True
        self.drained = False
        self._seen: dict[type, Callable[[Any], None]] = {
            Write: self._see_write,
            EndWriting: self._see_end_writing,
            CloseSocket: self._see_close,
            StopReading: self._see_stop,
            StartReading: self._see_start,
            Invoke: self._see_invoke,
            Cancel: self._see_cancel,
            Verify: self._see_operation,
            AskStore: self._see_operation,
            HashPassword: self._see_operation,
            ComparePassword: self._see_operation,
            Withdraw: self._see_withdraw,
            Resolve: self._see_resolve,
            Reply: self._see_reply,
            StopAccepting: self._see_stop_accepting,
            Drained: self._see_drained,
            Emit: self._see_emit,
        }

    def see(self, action: Action) -> None:
        """The next action, before it is performed."""
        self._seen[type(action)](action)

    def _see_write(self, action: Write) -> None:
        must(action.socket not in self.writing_ended, "order: bytes are written after the end")
        must(bool(action.data) or isinstance(action.data, HOSTED), "order: a write is empty")

    def _see_end_writing(self, action: EndWriting) -> None:
        must(action.socket not in self.writing_ended, "order: writing ends twice")
        self.writing_ended.add(action.socket)

    def _see_close(self, action: CloseSocket) -> None:
        # A socket that closes after its last byte may still be aborted.
        must(action.socket not in self.aborted, "order: a socket is aborted twice")
        must(not action.flush or action.socket not in self.closing, "order: a socket is closed twice")
        self.writing_ended.add(action.socket)
        (self.closing if action.flush else self.aborted).add(action.socket)

    def _see_stop(self, action: StopReading) -> None:
        must(action.socket not in self.paused, "flow: reading stops twice")
        self.paused.add(action.socket)

    def _see_start(self, action: StartReading) -> None:
        must(action.socket in self.paused, "flow: reading starts that had not stopped")
        self.paused.discard(action.socket)

    def _see_invoke(self, action: Invoke) -> None:
        must(action.call not in self.invoked, "calls: a handler is run twice")
        if self._told(action.caller.kind):
            must(action.caller.connection in self.open, "calls: a handler is run without a connection")
        self.invoked.add(action.call)

    def _see_cancel(self, action: Cancel) -> None:
        must(action.call in self.invoked, "calls: a handler is cancelled that does not run")
        must(action.call not in self.cancelled, "calls: a handler is cancelled twice")
        self.cancelled.add(action.call)

    def _see_operation(self, action: Verify | AskStore | HashPassword | ComparePassword) -> None:
        must(action.operation not in self.operations, "operations: an operation begins twice")
        self.operations.add(action.operation)

    def _see_withdraw(self, action: Withdraw) -> None:
        must(action.operation in self.operations, "operations: an operation is withdrawn that never began")
        must(action.operation not in self.withdrawn, "operations: an operation is withdrawn twice")
        self.withdrawn.add(action.operation)

    def _see_resolve(self, action: Resolve) -> None:
        must(action.request not in self.resolved, "calls: a request has two outcomes")
        self.resolved.add(action.request)

    def _see_reply(self, action: Reply) -> None:
        must(action.connection not in self.replied, "answering: a local call has two outcomes")
        self.replied.add(action.connection)

    def _see_stop_accepting(self, action: StopAccepting) -> None:
        must(self.draining and self.accepting, "shutdown: accepting stops too early, or twice")
        self.accepting = False

    def _see_drained(self, action: Drained) -> None:
        must(self.draining, "shutdown: it ends before it began")
        must(not self.drained, "shutdown: it ends twice")
        self.drained = True

    def _told(self, kind: Kind) -> bool:
        """Is every connection of this kind told?"""
        return self._exchanges_told or PUSHABLE[kind]

    def _see_emit(self, action: Emit) -> None:
        event: Event = action.event
        if isinstance(event, ConnectionOpened):
            known = event.connection in self.open or event.connection in self.closed
            must(not known, "order: a connection opens twice")
            must(not self.draining or not PUSHABLE[event.kind], "shutdown: a lasting connection is let in")
            self.open.add(event.connection)
        elif isinstance(event, ConnectionClosed):
            known = event.connection in self.open or not self._told(event.kind)
            must(known, "order: a connection closes that is not open")
            self.open.discard(event.connection)
            self.closed.add(event.connection)
        elif isinstance(event, CallCancelled | CallTimedOut):
            must(event.call not in self.ended_early, "calls: a call has two outcomes")
            self.ended_early.add(event.call)
        elif isinstance(event, CallEnded):
            must(event.call not in self.ended, "calls: the end of a call is told twice")
            if event.call is not None:
                self.ended.add(event.call)
            elif self._told(event.kind):
                must(event.connection in self.open, "order: a closed connection has a request")
        elif isinstance(event, DrainStarted):
            must(not self.draining, "shutdown: it begins twice")
            self.draining = True

    def stopped(self, running: Iterable[Invoke]) -> None:
        """Every running handler whose connection has closed was cancelled, unless its method is to finish."""
        for invoke in running:
            if invoke.caller.connection in self.closed and invoke.method.on_disconnect == "cancel":
                must(invoke.call in self.cancelled, "calls: a handler runs on after its connection has closed")

    def at_rest(self) -> None:
        """Every connection that opened has closed."""
        must(not self.open, "rest: a connection is still open")
