"""A link of a client with the judge of its bytes: everything passes the judge before the client's codec gets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from posthouse.adapters.simulation.judges.judge import Judge, ServerEnd
from posthouse.adapters.simulation.network import Link


class JudgedLink:
    """One link. `received` and `received_end` are called with what has passed the judge."""

    def __init__(
        self, link: Link, judge: Judge, received: Callable[[bytes], None], received_end: Callable[[], None]
    ) -> None:
        self._link: Final = link
        self._judge: Final = judge
        self._received: Final = received
        self._received_end: Final = received_end
        link.down.deliver = self._deliver
        link.down.deliver_eof = self._deliver_eof
        link.down.on_end = self._server_ended

    def _deliver(self, data: bytes) -> None:
        self._judge.received(data)
        self._received(data)

    def _deliver_eof(self) -> None:
        self._judge.received_end()
        self._received_end()

    def _server_ended(self) -> None:
        up, down = self._link.up, self._link.down
        full = 2 * down.room < down.conditions.capacity
        self._judge.server_ended(ServerEnd(down.now, up.delivered, up.eof_at, full))

    def write(self, data: bytes) -> int:
        """Write the bytes for which the link has room. Returns their number."""
        taken = self._link.up.write(data)
        if taken:
            self._judge.sent(data if taken == len(data) else data[:taken])
        return taken

    def end(self) -> None:
        """End the client's output."""
        if not self._link.up.ended:
            self._judge.sent_end()
            self._link.up.end()

    def leave(self, *, waits: bool) -> None:
        """Close the connection. `waits`: not before the server ends its output, whose last bytes are still judged."""
        self.end()
        down = self._link.down
        if waits:
            down.reading = True
            down.plan_delivery()
        else:
            down.drop()
