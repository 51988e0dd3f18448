"""The whole server under trio alone: two tasks per socket, one per handler that waits, and one that watches the clock.

    python examples/embed_trio.py 8000

Compare `embed_selectors.py`: the switchboard is the same, and decides the same; only who waits for what differs.
SIGTERM drains, and the program ends.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import trio
from posthouse.core import Address, CallId, Cancel, Drained, Gateway, Invoke, RpcError, Service, SocketId, StopAccepting
from posthouse.transports import CloseSocket, EndWriting, StartReading, StopReading, Switchboard, Write

INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800

service = Service("embedded", public=True)


@service.method
def repeat(text: str, times: int) -> str:
    """Say something so many times."""
    return text * times


@service.method
async def nap(seconds: float) -> str:
    """Answer later."""
    await trio.sleep(seconds)
    return "rested"


class Client:
    """One accepted stream. Its reader stands still while `may_read` is not set; its writer wakes for `unsent`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.scope = trio.CancelScope()
        self.may_read = trio.Event()
        self.may_read.set()
        self.unsent: list[Write | EndWriting | CloseSocket] = []
        self.wake = trio.Event()


class Server:
    """One switchboard in one trio nursery."""

    def __init__(self, service: Service, nursery: trio.Nursery) -> None:
        self.board = Switchboard(Gateway(service, wall=time.time() - trio.current_time(), entropy=os.urandom))
        self.nursery = nursery
        self.clients: dict[SocketId, Client] = {}
        self.handlers: dict[CallId, trio.CancelScope] = {}
        self.listening = trio.CancelScope()
        self.changed = trio.Event()
        self.actions: dict[type, Callable[[Any], None]] = {
            Write: self.queue,
            EndWriting: self.queue,
            CloseSocket: self.close_socket,
            StopReading: self.stop_reading,
            StartReading: self.start_reading,
            Invoke: self.invoke,
            Cancel: self.cancel,
            StopAccepting: lambda action: self.listening.cancel(),
            Drained: lambda action: nursery.cancel_scope.cancel(),
        }

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Accept until the switchboard accepts no more; the nursery ends when it has drained."""
        self.nursery.start_soon(self.keep_time)
        self.nursery.start_soon(self.drain_on_sigterm)
        with self.listening:
            await trio.serve_listeners(self.serve, listeners, handler_nursery=self.nursery)

    def perform(self) -> None:
        """Do what the outbox says, while it grows. Nothing here waits: what must wait is left to a task."""
        for action in self.board.outbox:
            if type(action) in self.actions:
                self.actions[type(action)](action)
        self.board.outbox.clear()
        self.changed.set()

    async def keep_time(self) -> None:
        """The only timer."""
        while True:
            deadline = self.board.next_timeout()
            self.changed = trio.Event()
            with trio.move_on_at(math.inf if deadline is None else deadline):
                await self.changed.wait()
            if deadline is not None and deadline <= trio.current_time():
                await trio.lowlevel.checkpoint()  # others have their turn first
                self.board.handle_timeout(trio.current_time())
                self.perform()

    async def drain_on_sigterm(self) -> None:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                self.board.shut_down(trio.current_time())
                self.perform()

    # Sockets

    async def serve(self, stream: trio.SocketStream) -> None:
        """One socket, from its first byte to its last."""
        host, port, *_ = stream.socket.getpeername()
        socket = self.board.opened(Address(host, port), trio.current_time())
        if socket is None:
            await trio.aclose_forcefully(stream)
            return
        client = self.clients[socket] = Client(stream)
        self.perform()
        with client.scope:
            async with trio.open_nursery() as both:
                both.start_soon(self.write, socket, client)
                await self.read(socket, client)
        del self.clients[socket]
        stream.socket.close()
        self.board.closed(socket, trio.current_time())
        self.perform()

    async def read(self, socket: SocketId, client: Client) -> None:
        """Until its input ends; it is closed when the switchboard says so, which cancels the scope of both tasks."""
        data = b"\0"
        while data:
            try:
                data = await client.stream.receive_some(self.board.config.read_bytes)
            except trio.BrokenResourceError:
                client.scope.cancel()
                return
            if data:
                self.board.received(socket, data, trio.current_time())
            else:
                self.board.received_eof(socket, trio.current_time())
            self.perform()
            await client.may_read.wait()

    async def write(self, socket: SocketId, client: Client) -> None:
        """What was queued, in order. What this task has to wait with is said to be held, as it goes to be sent."""
        while True:
            await client.wake.wait()
            client.wake = trio.Event()
            batch, client.unsent = client.unsent, []
            data = b"".join(action.data for action in batch if isinstance(action, Write))
            held = sum(len(action.data) for action in batch if isinstance(action, Write) and not action.report)
            self.board.held(socket, held, trio.current_time())
            self.perform()
            try:
                await client.stream.send_all(data)
                if any(isinstance(action, EndWriting) for action in batch):
                    await client.stream.send_eof()
            except trio.BrokenResourceError:
                client.scope.cancel()
                return
            self.board.sent(socket, len(data), trio.current_time())
            self.perform()
            if any(isinstance(action, CloseSocket) for action in batch):
                client.scope.cancel()

    def queue(self, action: Write | EndWriting | CloseSocket) -> None:
        if client := self.clients.get(action.socket):
            client.unsent.append(action)
            client.wake.set()

    def close_socket(self, action: CloseSocket) -> None:
        client = self.clients.get(action.socket)
        if client is not None and action.flush:
            self.queue(action)
        elif client is not None:
            client.scope.cancel()

    def stop_reading(self, action: StopReading) -> None:
        if client := self.clients.get(action.socket):
            client.may_read = trio.Event()

    def start_reading(self, action: StartReading) -> None:
        if client := self.clients.get(action.socket):
            client.may_read.set()

    # Handlers

    def invoke(self, action: Invoke) -> None:
        scope = self.handlers[action.call] = trio.CancelScope()
        self.nursery.start_soon(self.handle, action, scope)

    def cancel(self, action: Cancel) -> None:
        self.handlers[action.call].cancel()

    async def handle(self, action: Invoke, scope: trio.CancelScope) -> None:
        """Run one handler. However it ends, its end is reported, once."""
        outcome: Any = RpcError(REQUEST_CANCELLED)
        with scope:
            try:
                outcome = action.method.function(*action.args, **action.kwargs)
                if action.method.is_async:
                    outcome = await outcome
            except RpcError as error:
                outcome = error
            except Exception:
                outcome = RpcError(INTERNAL_ERROR)
        del self.handlers[action.call]
        if isinstance(outcome, RpcError):
            self.board.fail(action.call, outcome, trio.current_time())
        else:
            self.board.complete(action.call, outcome, trio.current_time())
        self.perform()


async def main() -> None:
    """Serve on the port of the first argument."""
    listeners = await trio.open_tcp_listeners(int(sys.argv[1]), host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        server = Server(service, nursery)
        port = listeners[0].socket.getsockname()[1]
        print(f"listening on http://127.0.0.1:{port}", file=sys.stderr, flush=True)
        await server.run(listeners)


if __name__ == "__main__":
    trio.run(main)
