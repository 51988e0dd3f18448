from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.machine.systems import Bench, RealBench, SimulatedBench


@pytest.fixture(params=[RealBench, SimulatedBench], ids=["real", "simulated"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made: Bench = request.param()
    yield made
    made.close()


@pytest.fixture
def simulated() -> Iterator[SimulatedBench]:
    made = SimulatedBench()
    yield made
    made.close()
