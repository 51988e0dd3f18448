"""Procedures: methods that ask for one thing after the other, and what becomes of them when nobody waits."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from posthouse.core.dispatch.errands import Later
from posthouse.core.dispatch.procedures import Answers, Pending, Procedures, Reply, Steps
from posthouse.core.service.method import Method
from posthouse.core.values.errors import FORBIDDEN, ErrorObject, RpcError
from posthouse.core.values.lifecycle import CallFailed
from posthouse.core.values.peers import Caller, CallId

from tests.core.accounts import AccountWorld, accounted
from tests.values import changeable


class Wish(str):
    """What procedures of these tests ask for: it comes at once if it begins with "now"."""


class Wishes(AccountWorld):
    """A procedure that a test steers, behind the name of a method: `asked` has what waits, `heard` what it was sent."""

    def __init__(self, *wishes: str, answers_early: bool = False, fails: Exception | None = None) -> None:
        super().__init__(accounted())
        self.wishes = wishes
        self.answers_early, self.fails = answers_early, fails
        self.asked: list[tuple[int, str]] = []
        self.heard: list[Reply] = []
        self.withdrawn: list[str] = []
        self.closed = 0
        self.table: Procedures = self.gateway._procedures
        self.table.on(Wish, self._wished)
        builtins = self.gateway._dispatch._builtins
        method: Method = builtins.methods["token.list"]
        builtins.methods["token.list"] = replace(method, function=self.listed)
        self.part = builtins._parts["token.list"]

    def listed(self, user: str | None = None, after: str = "") -> Any:
        return self.part.begin(self.steps())

    def steps(self) -> Steps:
        try:
            for wish in self.wishes:
                self.heard.append((yield Wish(wish)))
                if self.answers_early:
                    yield Answers({"tokens": [], "next": "early"})
            if self.fails is not None:
                raise self.fails
            return {"tokens": [], "next": "end"}
        except GeneratorExit:
            self.closed += 1
            raise

    def _wished(self, number: int, caller: Caller, wish: Wish, now: float) -> object:
        if wish.startswith("now"):
            return f"{wish} granted"
        self.asked.append((number, wish))
        keeps = wish.startswith("keep")
        return Pending(None if keeps else lambda: self.withdrawn.append(wish))

    def grant(self, outcome: object = "granted") -> None:
        """What is asked for has this outcome."""
        number, _ = self.asked.pop(0)
        self.table.resume(number, outcome, self.now)
        self.run()


def test_what_comes_at_once_is_answered_at_once() -> None:
    world = Wishes("now this", "now that")
    user = world.user()
    assert world.ask(user, "token.list") == {"tokens": [], "next": "end"}
    assert world.heard == [Reply("now this granted", 0.0, True), Reply("now that granted", 0.0, True)]
    assert not world.table.records and not world.table.by_call


def test_what_comes_later_is_answered_later() -> None:
    world = Wishes("this", "now that", "other")
    user = world.user()
    assert world.ask(user, "token.list") is None
    world.now = 1.0
    world.grant()
    assert world.reply(user) is None
    world.now = 2.0
    world.grant("other outcome")
    assert world.reply(user) == {"tokens": [], "next": "end"}
    assert [(reply.outcome, reply.now, reply.wanted) for reply in world.heard] == [
        ("granted", 1.0, True),
        ("now that granted", 1.0, True),
        ("other outcome", 2.0, True),
    ]
    assert not world.table.records and not world.table.by_call


@pytest.mark.parametrize("wish", ["now", "later"])
def test_an_error_is_the_answer(wish: str) -> None:
    world = Wishes(wish, fails=RpcError(FORBIDDEN))
    user = world.user()
    answer = world.ask(user, "token.list")
    if wish == "later":
        world.grant()
        answer = world.reply(user)
    assert answer == {"code": -32021, "message": "Forbidden"}
    assert not world.table.records and not world.table.by_call


@pytest.mark.parametrize("wish", ["now", "later"])
def test_a_defect_is_reported_and_ends_its_call_alone(wish: str) -> None:
    world = Wishes(wish, fails=Later())
    user = world.user()
    answer = world.ask(user, "token.list")
    if wish == "later":
        world.grant()
        answer = world.reply(user)
    (failed,) = world.events(CallFailed)
    assert answer == {"code": -32603, "message": "Internal error", "data": {"incident": failed.incident}}
    assert (failed.method, failed.reason) == ("token.list", "the procedure raised Later in Wishes.steps")
    assert not world.table.records and not world.table.by_call
    assert "pong" in world.ask(user, "connection.ping")


def test_a_defect_after_the_answer_is_reported_too() -> None:
    world = Wishes("later", "keep", answers_early=True, fails=KeyError())
    user = world.user()
    world.ask(user, "token.list")
    world.grant()
    assert world.reply(user) == {"tokens": [], "next": "early"}
    world.grant()
    (failed,) = world.events(CallFailed)
    assert failed.reason == "the procedure raised KeyError in Wishes.steps"
    assert not world.table.records


@pytest.mark.parametrize("wish", ["now", "later"])
def test_a_procedure_may_answer_before_its_end(wish: str) -> None:
    world = Wishes(wish, "keep", answers_early=True)
    user = world.user()
    answer = world.ask(user, "token.list")
    if wish == "later":
        world.grant()
        answer = world.reply(user)
    assert answer == {"tokens": [], "next": "early"}
    assert len(world.table.records) == 1
    world.grant()
    assert [reply.wanted for reply in world.heard] == [True, False]
    assert not world.table.records and not world.table.by_call


def test_what_nobody_waits_for_is_withdrawn() -> None:
    world = Wishes("this")
    user = world.user()
    world.ask(user, "token.list")
    world.gateway.disconnected(user, None, world.now)
    assert (world.withdrawn, world.closed) == (["this"], 1)
    assert not world.table.records and not world.table.by_call


def test_what_was_changed_is_followed_to_its_end() -> None:
    world = Wishes("keep", "then")
    user = world.user()
    world.ask(user, "token.list")
    world.gateway.disconnected(user, None, world.now)
    assert (world.withdrawn, world.closed, len(world.table.records)) == ([], 0, 1)
    world.grant()
    assert [reply.wanted for reply in world.heard] == [False]
    world.grant()
    assert not world.table.records and not world.table.by_call


def test_a_call_whose_time_is_over_wants_nothing_any_more() -> None:
    world = Wishes("keep")
    user = world.user()
    world.ask(user, "token.list")
    world.now = 30.0
    world.grant()
    assert [reply.wanted for reply in world.heard] == [False]
    assert world.reply(user)["code"] == -32030


def test_the_values_of_procedures_cannot_change_and_their_records_can() -> None:
    assert changeable("posthouse.core.dispatch.procedures") == ["Procedure"]
    assert Answers(ErrorObject.of(FORBIDDEN)) == Answers(ErrorObject.of(FORBIDDEN))
    assert CallId(1) not in Wishes().table.by_call
