"""The whole server under asyncio alone, without anyio: a protocol for each socket, a task for each handler that waits.

    python examples/embed_asyncio.py 8000

Compare `embed_selectors.py`: the switchboard is the same. Here asyncio's transports read and write the sockets. They
tell when a client does not take its bytes, and that is reported to the switchboard. SIGTERM drains, and the program
ends.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

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
    await asyncio.sleep(seconds)
    return "rested"


class Client(asyncio.Protocol):
    """One accepted socket. `held`: the bytes in asyncio's buffer that the switchboard knows of."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.board = server.board
        self.id: SocketId | None = None
        self.held = 0
        self.ended = False

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=0)  # each byte that is not taken counts
        host, port, *_ = transport.get_extra_info("peername")
        self.id = self.board.opened(Address(host, port), self.server.now())
        if self.id is None:
            transport.abort()
        else:
            self.server.clients[self.id] = self
        self.server.perform()

    def data_received(self, data: bytes) -> None:
        size = self.board.config.read_bytes
        for start in range(0, len(data), size):
            if self.id is not None:
                self.board.received(self.id, data[start : start + size], self.server.now())
                self.server.perform()

    def eof_received(self) -> bool:
        """The client has half-closed: the socket stays open for what is to be sent."""
        if self.id is not None and not self.ended:
            self.ended = True
            self.board.received_eof(self.id, self.server.now())
            self.server.perform()
        return True

    def resume_writing(self) -> None:
        self.settle()
        self.server.perform()

    def connection_lost(self, error: Exception | None) -> None:
        if self.id is not None:
            id, self.id = self.id, None
            del self.server.clients[id]
            self.board.closed(id, self.server.now())
            self.server.perform()

    # What the switchboard asks for

    def write(self, data: bytes, report: int) -> None:
        """Send these bytes; `report` of them count as held already."""
        self.held += report
        self.transport.write(data)

    def end_writing(self) -> None:
        if not self.transport.is_closing():
            self.transport.write_eof()

    def stop_reading(self) -> None:
        if not self.ended:
            self.transport.pause_reading()

    def start_reading(self) -> None:
        if not self.ended:
            self.transport.resume_reading()

    def settle(self) -> None:
        """Tell the switchboard which bytes wait now, and which wait no longer."""
        if self.id is None:
            return
        waiting, before = self.transport.get_write_buffer_size(), self.held
        self.held = waiting
        if waiting > before:
            self.board.held(self.id, waiting - before, self.server.now())
        elif waiting < before:
            self.board.sent(self.id, before - waiting, self.server.now())


class Server:
    """One switchboard in one event loop."""

    def __init__(self, service: Service) -> None:
        self.loop = asyncio.get_running_loop()
        self.now = self.loop.time
        self.board = Switchboard(Gateway(service, wall=time.time() - self.now(), entropy=os.urandom))
        self.clients: dict[SocketId, Client] = {}
        self.handlers: dict[CallId, asyncio.Task[Any]] = {}
        self.alarm: asyncio.TimerHandle | None = None
        self.listener: asyncio.Server | None = None
        self.drained = asyncio.Event()
        self.performing = False
        self.actions: dict[type, Callable[[Any], None]] = {
            StopReading: lambda action: self.for_client(action, Client.stop_reading),
            StartReading: lambda action: self.for_client(action, Client.start_reading),
            Invoke: self.invoke,
            Cancel: self.cancel,
            StopAccepting: self.stop_accepting,
            Drained: lambda action: self.drained.set(),
        }

    def for_client(self, action: StopReading | StartReading, do: Callable[[Client], None]) -> None:
        if client := self.clients.get(action.socket):
            do(client)

    def perform(self) -> None:
        """Do what the outbox says, while it grows. Then set the only timer."""
        if self.performing:
            return  # asyncio has called back from within: the outer call goes on with what that has left
        self.performing = True
        while self.board.outbox:
            batch, self.board.outbox[:] = list(self.board.outbox), []
            for action in batch:
                if isinstance(action, Write | EndWriting | CloseSocket):
                    self.send(action)
                elif type(action) in self.actions:
                    self.actions[type(action)](action)
            for client in list(self.clients.values()):
                client.settle()
        self.performing = False
        self.rearm()

    def send(self, action: Write | EndWriting | CloseSocket) -> None:
        client = self.clients.get(action.socket)
        if client is None:
            return
        if isinstance(action, Write):
            client.write(action.data, len(action.data) if action.report else 0)
        elif isinstance(action, EndWriting):
            client.end_writing()
        elif action.flush:
            client.transport.close()
        else:
            client.transport.abort()

    def stop_accepting(self, action: StopAccepting) -> None:
        if self.listener is not None:
            self.listener.close()

    def rearm(self) -> None:
        due = self.board.next_timeout()
        if self.alarm is not None:
            self.alarm.cancel()
        self.alarm = None if due is None else self.loop.call_at(due, self.ring)

    def ring(self) -> None:
        for client in list(self.clients.values()):
            client.settle()  # a client that takes some of its bytes is not stalled
        self.board.handle_timeout(self.now())
        self.perform()

    def shut_down(self) -> None:
        """Leave in good order."""
        self.board.shut_down(self.now())
        self.perform()

    # Handlers

    def invoke(self, action: Invoke) -> None:
        """Run one handler, at once or as a task. However it ends, its end is reported, once."""
        try:
            outcome = action.method.function(*action.args, **action.kwargs)
        except Exception as error:
            outcome = error
        if not action.method.is_async or isinstance(outcome, Exception):
            self.report(action.call, outcome)
            return
        task = self.handlers[action.call] = self.loop.create_task(outcome)
        task.add_done_callback(lambda task: self.ended(action.call, task))

    def cancel(self, action: Cancel) -> None:
        self.handlers[action.call].cancel()

    def ended(self, call: CallId, task: asyncio.Task[Any]) -> None:
        del self.handlers[call]
        if task.cancelled():
            self.report(call, RpcError(REQUEST_CANCELLED))
        else:
            self.report(call, task.exception() or task.result())
        self.perform()

    def report(self, call: CallId, outcome: Any) -> None:
        if isinstance(outcome, RpcError):
            self.board.fail(call, outcome, self.now())
        elif isinstance(outcome, BaseException):
            self.board.fail(call, RpcError(INTERNAL_ERROR), self.now())
        else:
            self.board.complete(call, outcome, self.now())


async def main() -> None:
    """Serve on the port of the first argument."""
    loop = asyncio.get_running_loop()
    server = Server(service)
    server.listener = await loop.create_server(lambda: Client(server), "127.0.0.1", int(sys.argv[1]))
    loop.add_signal_handler(signal.SIGTERM, server.shut_down)
    port = server.listener.sockets[0].getsockname()[1]
    print(f"listening on http://127.0.0.1:{port}", file=sys.stderr, flush=True)
    await server.drained.wait()


if __name__ == "__main__":
    asyncio.run(main())
