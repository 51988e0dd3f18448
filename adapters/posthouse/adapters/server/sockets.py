"""Every socket and pipe of one runner, by its id, and the actions of the switchboard that concern them.

An action may name what has closed in the meantime: it then concerns nobody.
"""

from __future__ import annotations

from typing import Final, Protocol

from posthouse.adapters.loop.runner import Runner
from posthouse.core.values.peers import SocketId
from posthouse.transports.switchboard.actions import CloseSocket, EndWriting, StartReading, StopReading, Write


class Line(Protocol):
    """A socket or a pair of pipes."""

    def write(self, data: bytes, *, report: bool) -> None:
        """Bytes that leave when the batch ends, behind those that wait already. With `report` they count as held."""
        ...

    def end_writing(self) -> None:
        """Half-close, when all has gone that was written."""
        ...

    def close_when_sent(self) -> None:
        """Close, when all has gone that was written."""
        ...

    def close(self, *, abort: bool = False) -> None:
        """Close it now. With `abort` what was not sent is forgotten."""
        ...

    def stop_reading(self) -> None:
        """Read no more until `start_reading`."""
        ...

    def start_reading(self) -> None:
        """Read again."""
        ...


class Sockets:
    """The table. Each line removes itself (`forget`) when it closes."""

    def __init__(self, runner: Runner) -> None:
        self.lines: Final[dict[SocketId, Line]] = {}
        runner.actions[Write] = self._write
        runner.actions[EndWriting] = self._end_writing
        runner.actions[StopReading] = self._stop_reading
        runner.actions[StartReading] = self._start_reading
        runner.actions[CloseSocket] = self._close

    def forget(self, socket: SocketId) -> None:
        """It is closed."""
        del self.lines[socket]

    def abort(self) -> None:
        """Close whatever is open, at once."""
        for line in list(self.lines.values()):
            line.close(abort=True)

    def _write(self, action: Write) -> None:
        line = self.lines.get(action.socket)
        if line is not None:
            line.write(action.data, report=action.report)

    def _end_writing(self, action: EndWriting) -> None:
        line = self.lines.get(action.socket)
        if line is not None:
            line.end_writing()

    def _stop_reading(self, action: StopReading) -> None:
        line = self.lines.get(action.socket)
        if line is not None:
            line.stop_reading()

    def _start_reading(self, action: StartReading) -> None:
        line = self.lines.get(action.socket)
        if line is not None:
            line.start_reading()

    def _close(self, action: CloseSocket) -> None:
        line = self.lines.get(action.socket)
        if line is None:
            return
        if action.flush:
            line.close_when_sent()
        else:
            line.close(abort=True)
