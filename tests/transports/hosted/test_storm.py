"""Storms of a host pass, and find bugs that are planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from posthouse.adapters.invariants import Violation
from posthouse.core.values.transitions import IllegalEvent
from posthouse.transports.assembly import Assembly
from posthouse.transports.codec import Codec, Ended, Send, Shut
from posthouse.transports.hosted import board, exchange
from posthouse.transports.hosted.board import HostedBoard
from posthouse.transports.hosted.exchange import HostedExchange
from posthouse.transports.hosted.messages import Accepted, Closing
from posthouse.transports.hosted.websocket import HostedWebSocket

from .storm import Storm

SEEDS: Final = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_passes(seed: int) -> None:
    Storm(seed).run()


class Unmeasured(Assembly):
    """A body whose size is not known."""

    size = property(lambda self: 0, lambda self, size: None)


Plant = Callable[[pytest.MonkeyPatch], None]


def deadline_of_bodies_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(HostedExchange, "next_timeout", lambda self: None)


def answered_twice(patch: pytest.MonkeyPatch) -> None:
    answer_whole = HostedExchange.answer_whole

    def twice(self: HostedExchange, data: bytes | None, code: int | None, now: float) -> bytes | None:
        whole = answer_whole(self, data, code, now)
        self.output += [] if whole is None else [Send(whole)]
        return whole

    patch.setattr(HostedExchange, "answer_whole", twice)


def closed_twice(patch: pytest.MonkeyPatch) -> None:
    def close(self: HostedWebSocket, code: int, now: float) -> None:
        self.output += (Send(Closing(code)), Send(Closing(code)), Ended(code), Shut())

    patch.setattr(HostedWebSocket, "close", close)


def accepted_twice(patch: pytest.MonkeyPatch) -> None:
    accept = HostedExchange.accept

    def twice(self: HostedExchange, now: float) -> Codec:
        self.output.append(Send(Accepted(None)))
        return accept(self, now)

    patch.setattr(HostedExchange, "accept", twice)


def size_of_bodies_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(exchange, "Assembly", Unmeasured)


def responses_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(board, "WHOLE", 20)


def refusal_without_an_answer(patch: pytest.MonkeyPatch) -> None:
    def refuse(self: HostedExchange, refusal: Any) -> None:
        self.output.append(Shut())

    patch.setattr(HostedExchange, "_refuse", refuse)


def work_left_behind_a_message(patch: pytest.MonkeyPatch) -> None:
    def received_message(self: HostedBoard, socket: Any, message: str | bytes, now: float) -> None:
        state = self._sockets.find(socket)
        if state is not None and isinstance(state.codec, HostedWebSocket):
            state.codec.receive_message(message, now)

    patch.setattr(HostedBoard, "received_message", received_message)


PLANTED: Final[tuple[Plant, ...]] = (
    deadline_of_bodies_forgotten,
    answered_twice,
    accepted_twice,
    size_of_bodies_forgotten,
    responses_cut,
    closed_twice,
    refusal_without_an_answer,
    work_left_behind_a_message,
)


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((Violation, IllegalEvent)):
        for seed in SEEDS:
            Storm(seed).run()
