"""The whole server under a loop of one's own: plain `selectors`, no threads and no tasks.

    python examples/embed_selectors.py 8000
    curl -s 127.0.0.1:8000/rpc -H 'content-type: application/json' \
         -d '{"jsonrpc": "2.0", "method": "add", "params": [1, 2], "id": 1}'

Every input of the switchboard leaves its consequences in `outbox`: they are performed in order, and only then does the
loop wait. Handlers here are plain functions and run at once. SIGTERM drains, and the program ends.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from posthouse.core import Address, Drained, Gateway, Invoke, RpcError, Service, SocketId, StopAccepting
from posthouse.transports import CloseSocket, EndWriting, StartReading, StopReading, Switchboard, Write

INTERNAL_ERROR = -32603

service = Service("embedded", public=True)


@service.method
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@service.method
def repeat(text: str, times: int) -> str:
    """Say something so many times."""
    return text * times


class Client:
    """One accepted socket: what it has not taken yet, and what is to happen when it has."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.unsent = bytearray()
        self.counted = 0  # of the unsent bytes, those that the switchboard knows to be held
        self.reading = True
        self.ended = False
        self.finishing = False
        self.closing = False


class Loop:
    """A listening socket, its clients, and the switchboard that tells what to do with them."""

    def __init__(self, service: Service, listener: socket.socket) -> None:
        self.board = Switchboard(Gateway(service, wall=time.time() - time.monotonic(), entropy=os.urandom))
        self.clients: dict[SocketId, Client] = {}
        self.running = True
        self.actions: dict[type, Callable[[Any], None]] = {
            Write: self.write,
            EndWriting: self.end_writing,
            StopReading: self.stop_reading,
            StartReading: self.start_reading,
            CloseSocket: self.close_socket,
            Invoke: self.invoke,
            StopAccepting: self.stop_accepting,
            Drained: self.stop,
        }
        self.listener = listener
        listener.setblocking(False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self.accept)

    def run(self) -> None:
        """Serve until the switchboard has drained. What came is read before what is due is done."""
        while self.running:
            deadline = self.board.next_timeout()
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            for key, events in self.selector.select(wait):
                key.data(events)
                self.perform()
            self.board.handle_timeout(time.monotonic())
            self.perform()

    def perform(self) -> None:
        """Mutate, drain, wait: do what the outbox says, while it grows; each socket is written to once a batch."""
        while self.board.outbox:
            touched: dict[SocketId, None] = {}
            for action in self.board.outbox:
                if type(action) in self.actions:
                    self.actions[type(action)](action)
                if isinstance(action, Write | EndWriting | CloseSocket):
                    touched[action.socket] = None
            self.board.outbox.clear()
            for id in touched:
                self.flush(id)

    def shut_down(self) -> None:
        """Leave in good order."""
        self.board.shut_down(time.monotonic())
        self.perform()

    # In

    def accept(self, events: int) -> None:
        accepted, (host, port) = self.listener.accept()
        id = self.board.opened(Address(host, port), time.monotonic())
        if id is None:
            accepted.close()
            return
        accepted.setblocking(False)
        self.clients[id] = Client(accepted)
        self.watch(id)

    def ready(self, id: SocketId, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self.flush(id)
        if events & selectors.EVENT_READ and id in self.clients:
            self.read(id)

    def read(self, id: SocketId) -> None:
        client = self.clients[id]
        try:
            data = client.socket.recv(self.board.config.read_bytes)
        except BlockingIOError:
            return
        except OSError:
            self.close(id)
            return
        if data:
            self.board.received(id, data, time.monotonic())
        else:
            client.ended = True
            self.watch(id)
            self.board.received_eof(id, time.monotonic())

    def stop_reading(self, action: StopReading) -> None:
        if client := self.clients.get(action.socket):
            client.reading = False
            self.watch(action.socket)

    def start_reading(self, action: StartReading) -> None:
        if client := self.clients.get(action.socket):
            client.reading = True
            self.watch(action.socket)

    def watch(self, id: SocketId) -> None:
        """Wait for what this socket is wanted for, and for nothing else."""
        client = self.clients[id]
        events = selectors.EVENT_WRITE if client.unsent else 0
        if client.reading and not client.ended:
            events |= selectors.EVENT_READ
        if client.socket in self.selector.get_map():
            self.selector.unregister(client.socket)
        if events:
            self.selector.register(client.socket, events, lambda events: self.ready(id, events))

    # Out

    def write(self, action: Write) -> None:
        if client := self.clients.get(action.socket):
            client.unsent += action.data
            client.counted += len(action.data) if action.report else 0

    def end_writing(self, action: EndWriting) -> None:
        if client := self.clients.get(action.socket):
            client.finishing = True

    def close_socket(self, action: CloseSocket) -> None:
        client = self.clients.get(action.socket)
        if client is not None and action.flush:
            client.closing = True
        elif client is not None:
            self.close(action.socket)

    def flush(self, id: SocketId) -> None:
        """Give a socket what it takes, and tell the switchboard what it did not take, and what of that went."""
        client = self.clients.get(id)
        if client is None:
            return
        try:
            taken = client.socket.send(client.unsent) if client.unsent else 0
        except BlockingIOError:
            taken = 0
        except OSError:
            self.close(id)
            return
        del client.unsent[:taken]
        went = min(taken, client.counted)
        held = len(client.unsent) - (client.counted - went)
        client.counted = len(client.unsent)
        self.watch(id)
        self.board.held(id, held, time.monotonic())
        self.board.sent(id, went, time.monotonic())
        if client.unsent:
            return
        if client.closing:
            self.close(id)
        elif client.finishing:
            client.finishing = False
            with suppress(OSError):  # it is broken: the next read says so
                client.socket.shutdown(socket.SHUT_WR)

    def close(self, id: SocketId) -> None:
        client = self.clients.pop(id)
        if client.socket in self.selector.get_map():
            self.selector.unregister(client.socket)
        client.socket.close()
        self.board.closed(id, time.monotonic())

    # Handlers

    def invoke(self, action: Invoke) -> None:
        """Run a handler. What it raises is its own affair: the caller learns that something went wrong, not what."""
        try:
            result = action.method.function(*action.args, **action.kwargs)
        except RpcError as error:
            self.board.fail(action.call, error, time.monotonic())
        except Exception:
            self.board.fail(action.call, RpcError(INTERNAL_ERROR), time.monotonic())
        else:
            self.board.complete(action.call, result, time.monotonic())

    def stop_accepting(self, action: StopAccepting) -> None:
        self.selector.unregister(self.listener)
        self.listener.close()

    def stop(self, action: Drained) -> None:
        self.running = False


def main() -> None:
    """Serve on the port of the first argument."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    loop = Loop(service, listener)
    # A signal comes at any moment; through a pair of sockets it becomes an input like any other.
    asked, asking = socket.socketpair()

    def drain(events: int) -> None:
        asked.recv(1)
        loop.shut_down()

    asking.setblocking(False)
    signal.set_wakeup_fd(asking.fileno())
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    loop.selector.register(asked, selectors.EVENT_READ, drain)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    with asked, asking:
        loop.run()


if __name__ == "__main__":
    main()
