"""The echo server of the Autobahn suite: our own server, with a gateway that sends each message back.

    python -m tests.conformance.autobahn.echo

Its first line of output is its URL. Everything but the one method below is what every server of this project runs.
"""

from __future__ import annotations

import os
import sys

import anyio
from posthouse.adapters.loop.runner import Runner
from posthouse.adapters.metrics.exposition import Exposition
from posthouse.adapters.server.driving import Entrances, drive
from posthouse.adapters.server.entrances.listeners import listen_tcp
from posthouse.adapters.server.server import Server
from posthouse.adapters.system.machine import Machine
from posthouse.core import Config, ConnectionId, Gateway, Service, Transmit
from posthouse.core.values.config import MIB
from posthouse.transports.policy import Policy
from posthouse.transports.switchboard.switchboard import Switchboard

CONFIG = Config(
    max_message_bytes=32 * MIB,
    max_fragments=100_000,  # 9.3.1 sends 4 MiB in 65,536
    max_inflate_ratio=1_100,  # more than deflate can do: 12.* and 13.* repeat themselves
    message_timeout=300.0,
    write_timeout=300.0,  # the client, in Python 2, takes long over 16 MiB
    heartbeat_interval=None,  # a ping of ours would be a frame that no case expects
)


class EchoGateway(Gateway):
    """Answers each text, or binary message, with itself."""

    def receive(self, connection: ConnectionId, data: bytes, now: float) -> None:
        """One whole message."""
        self.outbox.append(Transmit(connection, data))


async def main() -> None:
    """Serve on a free port until this process is ended."""
    machine = Machine()
    service = Service("echo")
    gateway = EchoGateway(service, CONFIG, wall=machine.wall() - machine.now(), entropy=os.urandom)
    (listener,) = listen_tcp(machine.sockets, ["127.0.0.1"], 0)
    runner = Runner(Switchboard(gateway, Policy(binary=True)), machine)

    def accepts() -> None:
        sys.stdout.write(f"ws://127.0.0.1:{listener.bound.port}/ws\n")
        sys.stdout.flush()

    server = Server(runner, (listener.bound,), Exposition({"version": "", "started_at": 0.0}))
    await drive(
        service,
        server,
        Entrances([listener]),
        accepts,
    )


if __name__ == "__main__":
    anyio.run(main)
