"""The whole server under Twisted's reactor: a protocol for each socket, a coroutine for each handler that waits.

    pip install twisted
    python examples/embed_twisted.py 8000

Compare `embed_asyncio.py`: the switchboard is the same. Twisted tells a producer when a client does not take its bytes,
and when it does again. SIGTERM drains, and the program ends.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from posthouse.core import Address, CallId, Cancel, Drained, Gateway, Invoke, RpcError, Service, SocketId, StopAccepting
from posthouse.transports import CloseSocket, EndWriting, StartReading, StopReading, Switchboard, Write
from twisted.internet import reactor as installed
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800

reactor: Any = installed

service = Service("embedded", public=True)


@service.method
def repeat(text: str, times: int) -> str:
    """Say something so many times."""
    return text * times


@service.method
async def nap(seconds: float) -> str:
    """Answer later."""
    await deferLater(reactor, seconds)
    return "rested"


@implementer(IHalfCloseableProtocol, IPushProducer)
class Client(Protocol):
    """One accepted socket. `full`: it does not take its bytes. `held`: those that wait since then."""

    transport: Any

    def __init__(self, server: Server) -> None:
        self.server = server
        self.board = server.board
        self.id: SocketId | None = None
        self.full = False
        self.ended = False
        self.held = 0

    # What Twisted tells

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        peer = self.transport.getPeer()
        self.id = self.board.opened(Address(peer.host, peer.port), self.server.now())
        if self.id is None:
            self.transport.abortConnection()
        else:
            self.server.clients[self.id] = self
        self.server.perform()

    def dataReceived(self, data: bytes) -> None:
        size = self.board.config.read_bytes
        for start in range(0, len(data), size):
            if self.id is not None:
                self.board.received(self.id, data[start : start + size], self.server.now())
                self.server.perform()

    def readConnectionLost(self) -> None:
        """The client has half-closed: the socket stays open for what is to be sent."""
        if self.id is not None:
            self.ended = True
            self.board.received_eof(self.id, self.server.now())
            self.server.perform()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self.id is not None:
            id, self.id = self.id, None
            del self.server.clients[id]
            self.board.closed(id, self.server.now())
            self.server.perform()

    def pauseProducing(self) -> None:
        """The client does not take its bytes: all that are written from now on are held."""
        self.full = True

    def resumeProducing(self) -> None:
        """The client has taken everything."""
        self.full = False
        if self.id is not None and self.held:
            went, self.held = self.held, 0
            self.board.sent(self.id, went, self.server.now())
            self.server.perform()

    def stopProducing(self) -> None:
        pass

    # What the switchboard asks for

    def write(self, action: Write) -> None:
        self.transport.write(action.data)
        size, now = len(action.data), self.server.now()
        if self.id is not None and self.full:
            self.held += size
            if not action.report:
                self.board.held(self.id, size, now)
        elif self.id is not None and action.report:
            self.board.sent(self.id, size, now)

    def close(self, *, flush: bool) -> None:
        if flush:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()


class Server(Factory):
    """One switchboard in the reactor."""

    def __init__(self, service: Service) -> None:
        self.now = time.monotonic
        self.board = Switchboard(Gateway(service, wall=time.time() - self.now(), entropy=os.urandom))
        self.clients: dict[SocketId, Client] = {}
        self.handlers: dict[CallId, Deferred[Any]] = {}
        self.listener: Any = None
        self.alarm: Any = None
        self.performing = False
        self.actions: dict[type, Callable[[Any], object]] = {
            Write: self.write,
            EndWriting: self.end_writing,
            CloseSocket: self.close_socket,
            StopReading: self.stop_reading,
            StartReading: self.start_reading,
            Invoke: self.invoke,
            Cancel: lambda action: self.handlers[action.call].cancel(),
            StopAccepting: lambda action: self.listener.stopListening(),
            Drained: lambda action: reactor.stop(),
        }

    def buildProtocol(self, addr: Any) -> Client:
        return Client(self)

    def perform(self) -> None:
        """Do what the outbox says, while it grows. Then set the only timer."""
        if self.performing:
            return  # Twisted has called back from within: the outer call goes on with what that has left
        self.performing = True
        while self.board.outbox:
            batch, self.board.outbox[:] = list(self.board.outbox), []
            for action in batch:
                if type(action) in self.actions:
                    self.actions[type(action)](action)
        self.performing = False
        self.rearm()

    def rearm(self) -> None:
        due = self.board.next_timeout()
        if self.alarm is not None and self.alarm.active():
            self.alarm.cancel()
        self.alarm = None if due is None else reactor.callLater(max(0.0, due - self.now()), self.ring)

    def ring(self) -> None:
        self.board.handle_timeout(self.now())
        self.perform()

    def shut_down(self) -> None:
        """Leave in good order."""
        self.board.shut_down(self.now())
        self.perform()

    # Sockets

    def write(self, action: Write) -> None:
        if client := self.clients.get(action.socket):
            client.write(action)

    def end_writing(self, action: EndWriting) -> None:
        if client := self.clients.get(action.socket):
            client.transport.loseWriteConnection()

    def close_socket(self, action: CloseSocket) -> None:
        if client := self.clients.get(action.socket):
            client.close(flush=action.flush)

    def stop_reading(self, action: StopReading) -> None:
        client = self.clients.get(action.socket)
        if client is not None and not client.ended:
            client.transport.pauseProducing()

    def start_reading(self, action: StartReading) -> None:
        client = self.clients.get(action.socket)
        if client is not None and not client.ended:
            client.transport.resumeProducing()

    # Handlers

    def invoke(self, action: Invoke) -> None:
        """Run one handler, at once or as a coroutine. However it ends, its end is reported, once."""
        try:
            outcome = action.method.function(*action.args, **action.kwargs)
        except Exception as error:
            outcome = error
        if not action.method.is_async or isinstance(outcome, Exception):
            self.report(action.call, outcome)
            return
        deferred = self.handlers[action.call] = Deferred.fromCoroutine(outcome)
        deferred.addBoth(self.ended, action.call)

    def ended(self, outcome: Any, call: CallId) -> None:
        self.handlers.pop(call, None)
        if isinstance(outcome, Failure):
            outcome = RpcError(REQUEST_CANCELLED) if isinstance(outcome.value, CancelledError) else outcome.value
        self.report(call, outcome)
        self.perform()

    def report(self, call: CallId, outcome: Any) -> None:
        if isinstance(outcome, RpcError):
            self.board.fail(call, outcome, self.now())
        elif isinstance(outcome, BaseException):
            self.board.fail(call, RpcError(INTERNAL_ERROR), self.now())
        else:
            self.board.complete(call, outcome, self.now())


def main() -> None:
    """Serve on the port of the first argument."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    listener.setblocking(False)
    server = Server(service)
    server.listener = reactor.adoptStreamPort(listener.fileno(), socket.AF_INET, server)
    port = listener.getsockname()[1]
    listener.close()
    reactor.callWhenRunning(
        signal.signal, signal.SIGTERM, lambda number, frame: reactor.callFromThread(server.shut_down)
    )
    print(f"listening on http://127.0.0.1:{port}", file=sys.stderr, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
