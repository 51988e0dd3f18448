"""The calculator on bad networks, in a simulation: `pytest examples/test_calculator_simulated.py`.

Everything runs on a virtual clock and follows from a seed: a minute takes milliseconds, and failures can be reproduced.
`world` is a fixture. After a test that passed, every call must get an outcome and the server's tables must be empty.
"""

from __future__ import annotations

import pytest
from calculator import service
from posthouse.adapters.simulation import Client, Conditions, LinkConditions, MakeWorld, Storm, Transport
from posthouse.core import Config

pytest_plugins = ["posthouse.adapters.simulation.fixture"]


def test_a_sum_is_told_as_it_grows(world: MakeWorld) -> None:
    calm = world(service=service)
    alice = calm.client("alice")
    call = alice.call("sum.slowly", terms=[1, 2, 3], pause=1.0)
    calm.run(seconds=2)
    assert call.status == "pending"
    calm.run(seconds=2)
    assert call.result == 6


def test_a_client_that_is_cut_off_loses_its_call_and_comes_back(world: MakeWorld) -> None:
    rough = world(service=service, conditions=Conditions(links=LinkConditions(latency=0.1, jitter=0.3, fragment=300)))
    alice = rough.client("alice")
    lost = alice.call("sum.slowly", terms=[1, 2, 3], pause=5.0)
    rough.run(seconds=2)
    rough.cut("alice")
    again = alice.call("add", 1, 2)
    rough.run(seconds=60)
    assert (lost.status, again.result) == ("lost", 3)


@pytest.mark.parametrize("kind", ["websocket", "lines", "headers"])
def test_the_caller_is_asked_for_its_numbers(world: MakeWorld, kind: Transport) -> None:
    calm = world(service=service)
    alice = calm.client("alice", kind)
    alice.answers["number"] = lambda params: params["place"] * 10
    call = alice.call("sum.ask", count=3)
    calm.run(seconds=1)
    assert call.result == 60


def test_a_drain_lets_sums_end(world: MakeWorld) -> None:
    leaving = world(service=service, config=Config(drain_grace=10.0))
    call = leaving.client("alice").call("sum.slowly", terms=[1, 2, 3], pause=1.0)
    leaving.run(seconds=1)
    leaving.shut_down()
    leaving.run(seconds=10)
    assert call.result == 6


@pytest.mark.parametrize("seed", range(10))
def test_sums_are_right_in_any_storm(seed: int) -> None:
    def workload(client: Client) -> None:
        terms = [client.stream.choose(100) for _ in range(3)]
        call = client.call("sum.slowly", terms=terms, pause=0.1)
        call.then(lambda call: check(call.value, sum(terms)) if call.status == "result" else None)

    def check(result: int, expected: int) -> None:
        assert result == expected

    Storm(seed, service=service, workload=workload).run(seconds=30)
