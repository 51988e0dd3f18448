"""Rules for the whole suite: a slow machine is no failure, a run can be repeated, tests may run beside each other."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "suite", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", settings.get_profile("suite"), derandomize=False)
settings.load_profile("suite")

# In debug mode (`python -X dev`), asyncio warns of callbacks that took 100 ms, as they do on a busy machine.
logging.getLogger("asyncio").setLevel(logging.ERROR)

RINGS = tuple(Path(__file__).parent / ring for ring in ("core", "transports"))


@pytest.fixture(scope="module", params=[True, False], ids=["direct", "general"])
def either_way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the tests of a module twice: switchboards hand whole messages on directly, and they never do."""
    from posthouse.transports.switchboard.switchboard import Switchboard  # later than `Measurement`, which measures it

    defaults = Switchboard.__init__.__kwdefaults__
    assert defaults is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(defaults, "direct", request.param)
        yield


class Measurement:
    """Measures core and transports during collection, which imports them, and during the tests of these two rings.

    A line that only a test of another ring runs counts as not covered, and those tests run at full speed.
    """

    def __init__(self) -> None:
        self.coverage = coverage.Coverage(data_suffix=True)
        self.coverage.start()
        self.running = True

    def switch(self, on: bool) -> None:
        """Start or stop to measure."""
        if on != self.running:
            self.running = on
            (self.coverage.start if on else self.coverage.stop)()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        self.switch(any(item.path.is_relative_to(ring) for ring in RINGS))
        return (yield)

    def pytest_unconfigure(self) -> None:
        self.switch(False)
        self.coverage.save()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--coverage", action="store_true", help="measure how the tests of core and transports cover them")


def pytest_configure(config: pytest.Config) -> None:
    distributes = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if config.getoption("--coverage") and not distributes:
        config.pluginmanager.register(Measurement())
