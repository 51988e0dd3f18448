"""The open sockets and pipes of a server, by id, and the actions of the switchboard that concern them.

An action may name a socket that has closed in the meantime: it is ignored.
"""

from __future__ import annotations

from typing import Final, Protocol

from posthouse.core.values.peers import SocketId
from posthouse.transports.switchboard.actions import CloseSocket, EndWriting, StartReading, StopReading, Write


class Endpoint(Protocol):
    """A socket, or a pair of pipes. The switchboard calls both a socket."""

    def write(self, data: bytes, report: bool) -> None:
        """Send these bytes at the end of the turn, after those that wait already. With `report` they count as held."""
        ...

    def end_writing(self) -> None:
        """Half-close when everything written has been sent."""
        ...

    def close_when_sent(self) -> None:
        """Close when everything written has been sent."""
        ...

    def close(self, *, abort: bool = False) -> None:
        """Close now. With `abort`, unsent bytes are dropped."""
        ...

    def stop_reading(self) -> None:
        """Do not read until `start_reading`."""
        ...

    def start_reading(self) -> None:
        """Read again."""
        ...


class Endpoints:
    """Open endpoints by id. Each endpoint removes itself (`forget`) when it closes."""

    def __init__(self) -> None:
        self.by_id: Final[dict[SocketId, Endpoint]] = {}

    def forget(self, socket: SocketId) -> None:
        """This endpoint has closed."""
        del self.by_id[socket]

    def abort(self) -> None:
        """Close every endpoint at once."""
        for endpoint in list(self.by_id.values()):
            endpoint.close(abort=True)

    def write(self, action: Write) -> None:
        endpoint = self.by_id.get(action.socket)
        if endpoint is not None:
            endpoint.write(action.data, action.report)

    def end_writing(self, action: EndWriting) -> None:
        endpoint = self.by_id.get(action.socket)
        if endpoint is not None:
            endpoint.end_writing()

    def stop_reading(self, action: StopReading) -> None:
        endpoint = self.by_id.get(action.socket)
        if endpoint is not None:
            endpoint.stop_reading()

    def start_reading(self, action: StartReading) -> None:
        endpoint = self.by_id.get(action.socket)
        if endpoint is not None:
            endpoint.start_reading()

    def close(self, action: CloseSocket) -> None:
        endpoint = self.by_id.get(action.socket)
        if endpoint is None:
            return
        if action.flush:
            endpoint.close_when_sent()
        else:
            endpoint.close(abort=True)
