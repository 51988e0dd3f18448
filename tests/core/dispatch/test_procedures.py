"""Procedures: methods that ask for one thing after the other, and what becomes of them when nobody waits."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from posthouse.core.dispatch.procedures import Answers, Later, Pending, Procedures, Reply, Steps
from posthouse.core.operations.operations import Busy, Failed, Refused
from posthouse.core.service.method import Method
from posthouse.core.store.outcomes import Done, MaybeApplied
from posthouse.core.store.requests import AddSession, EndSession, FindSession
from posthouse.core.values.effects import Withdraw
from posthouse.core.values.errors import FORBIDDEN, ErrorObject, RpcError
from posthouse.core.values.lifecycle import CallFailed
from posthouse.core.values.peers import Caller, CallId, ConnectionId, OperationId

from tests.core.accounts import AccountWorld, accounted
from tests.core.sessions.sessioned import SessionWorld
from tests.core.world import code_of
from tests.values import changeable

ONE, TWO = OperationId(1), OperationId(2)


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


# What is asked of the store


def asking(**limits: Any) -> tuple[SessionWorld, ConnectionId]:
    """A connection whose call waits for the store outside."""
    world = SessionWorld(external=True, **limits)
    one = world.opened()
    world.call(one, "session.create", {}, 1)
    return world, one


def test_a_store_in_memory_answers_at_once() -> None:
    world = SessionWorld()
    assert world.create(world.opened())["version"] == 1
    assert world.gateway._procedures.records == {}


def test_a_call_is_answered_when_the_store_has_answered() -> None:
    world, _one = asking()
    (asked,) = world.hear()
    assert isinstance(asked, AddSession)
    assert world.said() == []
    world.perform()
    (reply,) = world.said()
    assert (reply["id"], reply["result"]["version"]) == (1, 1)
    assert (world.gateway._procedures.records, world.gateway._calls.later) == ({}, {})


@pytest.mark.parametrize("outcome", [Failed(), Busy(), MaybeApplied(), Refused("exists")])
def test_a_store_that_cannot_do_it_is_unavailable(outcome: object) -> None:
    world, _one = asking()
    world.hear()
    world.settle(ONE, outcome)
    (reply,) = world.said()
    assert reply["error"]["code"] == -32035
    assert reply["error"]["data"] == {"retryable": True, "retry_after_ms": 1000}


def test_a_store_that_does_not_answer_in_time_is_unavailable_and_told_to_take_it_back() -> None:
    world, _one = asking(storage_timeout=5.0)
    (asked,) = world.hear()
    assert isinstance(asked, AddSession)
    world.at(5.0)
    (taken_back,) = world.hear()
    assert isinstance(taken_back, EndSession)
    assert taken_back.session == asked.row.id
    assert world.codes() == [-32035]
    assert world.settle(ONE, Done(())) is False


def test_with_too_many_operations_the_server_is_busy() -> None:
    world, _one = asking(max_external_operations=1)
    two = world.opened()
    world.call(two, "session.create", {}, 2)
    assert [code_of(reply) for reply in world.said(two)] == [-32009]


def test_a_call_that_ends_before_takes_its_write_back_when_the_store_has_done_it() -> None:
    world, one = asking()
    world.hear()
    world.call(one, "rpc.cancel", {"id": 1}, 2)
    assert world.hear() == []
    assert Withdraw(ONE) not in world.gateway.outbox
    assert world.codes() == [-32800, None]
    assert (list(world.gateway._procedures.records), world.gateway._procedures.by_call) == ([1], {})
    world.perform()
    (taken_back,) = world.hear()
    assert isinstance(taken_back, EndSession)
    assert world.gateway._procedures.records == {}


def test_a_question_that_changes_nothing_is_only_withdrawn() -> None:
    world, one = asking()
    world.perform()
    world.call(one, "session.get", {}, 2)
    (asked,) = world.hear()
    assert isinstance(asked, FindSession)
    world.gateway.disconnected(one, None, 0.0)
    assert Withdraw(TWO) in world.gateway.outbox
    assert world.hear() == []


def test_an_answer_that_comes_too_late_for_the_call_is_taken_back() -> None:
    world = SessionWorld(external=True, call_timeout=3.0, storage_timeout=5.0)
    one = world.opened()
    world.call(one, "session.create", {}, 1)
    world.hear()
    world.now = 4.0  # its deadline is due, and was not handled yet
    world.perform()
    (taken_back,) = world.hear()
    assert isinstance(taken_back, EndSession)
    assert world.codes() == [-32030]


def test_a_call_that_asks_twice_answers_after_the_second() -> None:
    world, one = asking()
    world.perform()
    (made,) = world.said()
    key = {"session": made["result"]["id"], "secret": made["result"]["secret"]}
    two = world.opened()
    world.call(two, "session.resume", {**key, "replaces": world.public_id(one)}, 3)
    world.perform()
    world.hear()
    assert world.said(two) == []
    world.perform()
    (reply,) = world.said(two)
    assert reply["result"]["id"] == made["result"]["id"]
