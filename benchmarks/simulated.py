"""The simulator: how many steps, and how many simulated seconds, go into one of the CPU's.

A world of 20 clients, of every kind that storms have, on links with jitter. Each calls a method about every two
seconds, and a call is three steps: it is made, it arrives, its answer arrives. All invariants are checked after each.
"""

from __future__ import annotations

from functools import partial
from time import process_time
from typing import Final

from posthouse.adapters.simulation import Client, LinkConditions, World
from posthouse.adapters.simulation.storms.swarm import TRANSPORTS
from posthouse.core import Service

CLIENTS: Final = 20

service: Final = Service("simulated", public=True)


@service.method
def echo(token: str) -> str:
    """What it was given."""
    return token


def simulated(seconds: float, *, modelled: bool) -> tuple[float, float]:
    """CPU seconds for a step, and simulated seconds in a CPU second. `modelled`: with the reference model beside it."""
    world = World(7, service=service, weather=LinkConditions(jitter=0.01), modelled=modelled)

    def act(client: Client) -> None:
        client.call("echo", client.name)
        world.after(1.0 + client.stream.choose(2000) / 1000, partial(act, client))

    for number in range(CLIENTS):
        act(world.client(f"client {number}", TRANSPORTS[number % len(TRANSPORTS)]))
    world.run(2.0)
    steps, began = world.steps, process_time()
    world.run(seconds)
    took = process_time() - began
    return took / (world.steps - steps), seconds / took
