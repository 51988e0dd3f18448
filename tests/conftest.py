"""Rules for the whole suite: a slow machine is no failure, a run can be repeated, tests may run beside each other."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import coverage
import pytest
from hypothesis import HealthCheck, settings

from tests.secrecy.plugin import Secrecy

settings.register_profile(
    "suite", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("search", settings.get_profile("suite"), derandomize=False)
settings.load_profile("suite")

# In debug mode (`python -X dev`), asyncio warns of callbacks that took 100 ms, as they do on a busy machine.
logging.getLogger("asyncio").setLevel(logging.ERROR)

TESTS = Path(__file__).parent

SERVER = tuple(f"adapters/posthouse/adapters/{folder}" for folder in ("handlers", "loop", "server", "system"))
"""The folders of adapters whose branches are measured: what runs in a server."""


@pytest.fixture(autouse=True)
def the_process_is_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets the level and the shape of its log, and the hooks for uncaught
    exceptions: they are set back for other tests."""
    from posthouse.adapters.terminal import output  # later than `Measurement`, which measures it

    loggers = [logging.getLogger(name) for name in (None, "posthouse", "posthouse.access")]
    levels = [logger.level for logger in loggers]
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook, output.shape
    yield
    sys.excepthook, sys.unraisablehook, threading.excepthook, output.shape = hooks
    logging.captureWarnings(False)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


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
    """Measures core, transports and the server during collection, which imports them, and then each by its own tests:
    those of `tests/core` and `tests/transports`, and those of `tests/adapters`.

    A line of core that only a test of the server runs counts as not covered. All other tests run at full speed, and so
    do those with the mark `unmeasured`, which try thousands of inputs.
    """

    def __init__(self) -> None:
        self._kinds = {"core": coverage.Coverage(data_suffix=True)}
        self._kinds["transports"] = self._kinds["core"]
        self._running: coverage.Coverage | None = None
        self._switch("core")

    def _switch(self, kind: str) -> None:
        """Measure this kind of tests from now on."""
        if kind == "adapters" and kind not in self._kinds:
            self._kinds[kind] = coverage.Coverage(data_suffix=True, source=list(SERVER))
        measured = self._kinds.get(kind)
        if measured is not self._running:
            if self._running is not None:
                self._running.stop()
            if measured is not None:
                measured.start()
            self._running = measured

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        measured = item.path.is_relative_to(TESTS) and not item.get_closest_marker("unmeasured")
        self._switch(item.path.relative_to(TESTS).parts[0] if measured else "")
        return (yield)

    def pytest_unconfigure(self) -> None:
        self._switch("")
        for measured in dict.fromkeys(self._kinds.values()):
            measured.save()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--coverage", action="store_true", help="measure how core, transports and the server are covered")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Secrecy())
    distributes = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if config.getoption("--coverage") and not distributes:
        config.pluginmanager.register(Measurement())
