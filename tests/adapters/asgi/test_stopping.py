"""The signals that stop a process are heard beside the server that handles them."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from threading import Thread
from types import FrameType

import pytest
from posthouse.adapters.asgi.stopping import SIGNALS, hear_signals


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The handlers of before are set again."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_is_heard_first_and_then_handled_as_before() -> None:
    heard: list[object] = []

    def handle(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    signal.signal(signal.SIGTERM, handle)
    undo = hear_signals(lambda: heard.append("heard"))
    signal.raise_signal(signal.SIGTERM)
    assert heard == ["heard", signal.SIGTERM]
    undo()
    assert signal.getsignal(signal.SIGTERM) is handle


def test_a_signal_that_ends_the_process_at_once_or_is_ignored_is_left_alone() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hear_signals(lambda: None)()
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == (signal.SIG_DFL, signal.SIG_IGN)


def test_a_handler_that_was_set_meanwhile_is_kept() -> None:
    def later(number: int, frame: FrameType | None) -> None: ...

    signal.signal(signal.SIGTERM, later)
    undo = hear_signals(lambda: None)

    def last(number: int, frame: FrameType | None) -> None: ...

    signal.signal(signal.SIGTERM, last)
    undo()
    assert signal.getsignal(signal.SIGTERM) is last


def test_outside_of_the_main_thread_nothing_is_heard() -> None:
    before = signal.getsignal(signal.SIGINT)

    def hear() -> None:
        hear_signals(lambda: None)()

    thread = Thread(target=hear)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
