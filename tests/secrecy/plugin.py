"""The plugin of the suite: in every test, no credential may come out of a server."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from .watch import Watch

TESTS: Final = Path(__file__).parents[1]

COUNTED: Final = TESTS / "benchmarks"
"""These tests count the calls that a server makes."""


class Secrecy:
    """Watches each test from its set-up to its tear-down. A secret that came out makes an error of its tear-down."""

    def __init__(self) -> None:
        self._watch: Watch | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> object:
        from .hooks import hooked, watching  # not before collection: what they import is measured

        with ExitStack() as stack:
            if not item.path.is_relative_to(COUNTED):
                stack.enter_context(hooked())
                self._watch = stack.enter_context(watching())
            try:
                return (yield)
            finally:
                self._watch = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> object:
        result = yield
        if self._watch is not None:
            for _, _, printed in item._report_sections:
                self._watch.out("what a program printed", printed)
            leaks = self._watch.leaks()
            if leaks:
                pytest.fail("\n".join(leaks), pytrace=False)
        return result
