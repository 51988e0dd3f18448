"""The whole server with blocking sockets: a thread for each connection, and no event loop at all.

    python examples/embed_threads.py 8000

Compare `embed_selectors.py`: the switchboard is the same. It belongs to one thread at a time, so a lock guards it, and
nobody waits for a client or for a handler while it holds the lock. Handlers run in a few threads of their own and may
block. A client that does not take its bytes has a second thread until it does. SIGTERM drains, and the program ends.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Condition, Event, Thread
from typing import Any

from posthouse.core import Address, Drained, Gateway, Invoke, RpcError, Service, SocketId, StopAccepting
from posthouse.transports import CloseSocket, EndWriting, StartReading, StopReading, Switchboard, Write

INTERNAL_ERROR = -32603

service = Service("embedded", public=True)


@service.method
def repeat(text: str, times: int) -> str:
    """Say something so many times."""
    return text * times


@service.method
def nap(seconds: float) -> str:
    """Answer later. Others are answered meanwhile."""
    time.sleep(seconds)
    return "rested"


class Client:
    """One accepted socket. `held`: the unsent bytes that the switchboard knows of."""

    def __init__(self, accepted: socket.socket) -> None:
        self.socket = accepted
        self.may_read = Event()
        self.may_read.set()
        self.over = Event()
        self.unsent = bytearray()
        self.held = 0
        self.writing = False
        self.finishing = False
        self.closing = False


class Server:
    """One switchboard and its lock. `changed` wakes the thread that keeps the time."""

    def __init__(self, service: Service, listener: socket.socket) -> None:
        self.board = Switchboard(Gateway(service, wall=time.time() - time.monotonic(), entropy=os.urandom))
        self.changed = Condition()
        self.listener = listener
        self.clients: dict[SocketId, Client] = {}
        self.handlers = ThreadPoolExecutor(self.board.config.blocking_workers)
        self.drained = False
        self.actions: dict[type, Callable[[Any], object]] = {
            Write: self.write,
            EndWriting: self.end_writing,
            CloseSocket: self.close_socket,
            StopReading: self.stop_reading,
            StartReading: self.start_reading,
            Invoke: lambda action: self.handlers.submit(self.handle, action),
            StopAccepting: self.stop_accepting,
            Drained: self.stop,
        }

    def tell(self, told: Callable[[float], object]) -> None:
        """Give the switchboard an input, and do what follows. This is the only way to it."""
        with self.changed:
            told(time.monotonic())
            while self.board.outbox:
                batch, self.board.outbox[:] = list(self.board.outbox), []
                for action in batch:
                    if type(action) in self.actions:
                        self.actions[type(action)](action)
                for id, client in list(self.clients.items()):
                    self.flush(id, client)
            self.changed.notify()

    def keep_time(self) -> None:
        """Until the switchboard has drained. This thread is the only timer."""
        while not self.drained:
            with self.changed:
                due = self.board.next_timeout()
                wait = None if due is None else due - time.monotonic()
                if wait is None or wait > 0:
                    self.changed.wait(wait)
            if due is not None and due <= time.monotonic():
                self.tell(self.board.handle_timeout)

    def shut_down(self) -> None:
        """Leave in good order."""
        self.tell(self.board.shut_down)

    # Threads that wait

    def accept(self) -> None:
        """Accept until the listener is closed."""
        with suppress(OSError):
            while True:
                accepted, (host, port) = self.listener.accept()
                Thread(target=self.serve, args=(accepted, Address(host, port)), daemon=True).start()

    def serve(self, accepted: socket.socket, address: Address) -> None:
        """One socket, from its first byte to its last."""
        client, ids = Client(accepted), list[SocketId]()

        def open_(now: float) -> None:
            id = self.board.opened(address, now)
            if id is not None:
                ids.append(id)
                self.clients[id] = client

        self.tell(open_)
        for id in ids:
            self.read(id, client)
            client.over.wait()
            self.tell(partial(self.forget, id))
        accepted.close()

    def read(self, id: SocketId, client: Client) -> None:
        while not client.over.is_set():
            client.may_read.wait()
            try:
                data = client.socket.recv(self.board.config.read_bytes)
            except OSError:
                client.over.set()
                return
            if not data:
                break
            self.tell(partial(self.board.received, id, data))
        if not client.over.is_set():
            self.tell(partial(self.board.received_eof, id))

    def forget(self, id: SocketId, now: float) -> None:
        del self.clients[id]
        self.board.closed(id, now)

    def send_rest(self, id: SocketId, client: Client) -> None:
        """Send what a client did not take at once, as fast as it takes it."""
        while not client.over.is_set():
            with self.changed:
                data = bytes(client.unsent[: self.board.config.write_ahead])
                if not data:
                    client.writing = False
                    break
            try:
                sent = client.socket.send(data)
            except OSError:
                client.over.set()
                return
            self.tell(partial(self.took, id, client, sent))

    def handle(self, action: Invoke) -> None:
        """Run one handler. However it ends, its end is reported, once."""
        outcome: Any = RpcError(INTERNAL_ERROR)
        with suppress(Exception):
            try:
                outcome = action.method.function(*action.args, **action.kwargs)
            except RpcError as error:
                outcome = error
        if isinstance(outcome, RpcError):
            self.tell(partial(self.board.fail, action.call, outcome))
        else:
            self.tell(partial(self.board.complete, action.call, outcome))

    # What the switchboard asks for: with the lock, and without waiting

    def write(self, action: Write) -> None:
        if client := self.clients.get(action.socket):
            client.unsent += action.data
            client.held += len(action.data) if action.report else 0

    def flush(self, id: SocketId, client: Client) -> None:
        """Give a socket what it takes at once. A thread sends the rest."""
        if client.unsent and not client.writing:
            sent = 0
            with suppress(BlockingIOError, OSError):
                sent = client.socket.send(client.unsent, socket.MSG_DONTWAIT)
            self.took(id, client, sent, time.monotonic())
            if client.unsent:
                client.writing = True
                Thread(target=self.send_rest, args=(id, client), daemon=True).start()
        elif client.unsent:
            self.took(id, client, 0, time.monotonic())
        if not client.unsent and client.finishing:
            client.finishing = False
            with suppress(OSError):
                client.socket.shutdown(socket.SHUT_WR)
        if not client.unsent and client.closing:
            self.end(client)

    def took(self, id: SocketId, client: Client, sent: int, now: float) -> None:
        """Tell the switchboard which bytes wait now, and which wait no longer."""
        del client.unsent[:sent]
        went = min(sent, client.held)
        more = len(client.unsent) - (client.held - went)
        client.held = len(client.unsent)
        if id in self.clients:
            self.board.held(id, more, now)
            self.board.sent(id, went, now)

    def end_writing(self, action: EndWriting) -> None:
        if client := self.clients.get(action.socket):
            client.finishing = True

    def close_socket(self, action: CloseSocket) -> None:
        client = self.clients.get(action.socket)
        if client is not None and action.flush:
            client.closing = True
        elif client is not None:
            self.end(client)

    def end(self, client: Client) -> None:
        """Wake the threads that wait for this client: they end."""
        client.over.set()
        client.may_read.set()
        with suppress(OSError):
            client.socket.shutdown(socket.SHUT_RDWR)

    def stop_reading(self, action: StopReading) -> None:
        if client := self.clients.get(action.socket):
            client.may_read.clear()

    def start_reading(self, action: StartReading) -> None:
        if client := self.clients.get(action.socket):
            client.may_read.set()

    def stop_accepting(self, action: StopAccepting) -> None:
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # close alone does not wake the thread that accepts
        self.listener.close()

    def stop(self, action: Drained) -> None:
        self.drained = True


def main() -> None:
    """Serve on the port of the first argument."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # the main thread waits for it
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    server = Server(service, listener)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
    Thread(target=server.accept, daemon=True).start()
    timekeeper = Thread(target=server.keep_time)
    timekeeper.start()
    signal.sigwait([signal.SIGTERM])
    server.shut_down()
    timekeeper.join()


if __name__ == "__main__":
    main()
