"""The simulator: how many steps and simulated seconds it runs in a second of the CPU.

A world of 20 clients, over every transport, on links with jitter. Each client calls a method about every two seconds. A
call over a socket takes three steps: it is sent, it arrives, its reply arrives. Over pipes, the threads that read and
write take three more; the watchdog of the server takes twenty in a second. The invariants are checked after each step.
"""

from __future__ import annotations

from functools import partial
from time import process_time
from typing import Final

from posthouse.adapters.simulation import Client, Conditions, LinkConditions, Monitoring, World
from posthouse.adapters.simulation.storms.scenario import TRANSPORTS
from posthouse.core import Service

from benchmarks.figures import Question

CLIENTS: Final = 20
SECONDS: Final = 200.0
"""Simulated seconds of one round."""

service: Final = Service("simulated", public=True)


@service.method
def echo(token: str) -> str:
    """Return the token."""
    return token


def simulated(seconds: float, *, model: bool) -> tuple[float, float]:
    """CPU seconds for a step, and simulated seconds in a CPU second. `model`: use the reference model."""
    conditions, monitoring = Conditions(links=LinkConditions(jitter=0.01)), Monitoring(model=model)
    world = World(7, service=service, conditions=conditions, monitoring=monitoring)

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


def worlds(runs: int) -> dict[str, Question]:
    """Worlds without and with the reference model. They take turns."""
    question: Question = {name: {"steps": [], "seconds": []} for name in MODELS}
    for _ in range(runs):
        for name, model in MODELS.items():
            step, seconds = simulated(SECONDS, model=model)
            question[name]["steps"].append(1 / step)
            question[name]["seconds"].append(seconds)
    return {"simulation": question}


MODELS: Final = {"invariants": False, "invariants and model": True}
