"""Handlers on the virtual clock: what goes wrong under them is not theirs, and their manners are."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from posthouse.adapters.invariants import Violation
from posthouse.adapters.simulation import Model, World
from posthouse.core import Context, Service
from posthouse.core.gateway import Gateway


def talkative() -> Service:
    """Methods whose handlers say something."""
    service = Service("talkative", public=True)

    @service.method
    def plain(number: int) -> int:
        return number

    @service.method
    async def slow(number: int) -> int:
        await anyio.sleep(1)
        return number

    @service.method
    def tell(context: Context, number: int) -> int:
        context.notify("told", [number])
        return number

    @service.method
    async def tell_slowly(context: Context, number: int) -> int:
        await anyio.sleep(1)
        context.notify("told", [number])
        return number

    @service.method
    def progress(context: Context, number: int) -> int:
        context.progress(0.5)
        return number

    @service.method
    async def ask(context: Context, number: int) -> int:
        answer: int = await context.call("double", [number], result_type=int, timeout=3.0)
        return answer

    return service


UNDER = [
    ("plain", "complete"),
    ("slow", "complete"),
    ("tell", "notify"),
    ("tell_slowly", "notify"),
    ("progress", "progress"),
    ("ask", "request"),
    ("ask", "complete"),
]


@pytest.mark.parametrize(("method", "input"), UNDER)
def test_a_violation_under_a_handler_is_not_swallowed_by_its_firewall(
    method: str, input: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    saw = Model.saw

    def planted(self: Model, name: str, *rest: Any) -> None:
        if name == input:
            raise Violation(f"planted: in {input}")
        saw(self, name, *rest)

    monkeypatch.setattr(Model, "saw", planted)
    world = World(service=talkative())
    alice = world.client("alice")
    alice.answers["double"] = lambda params: 2 * params[0]
    alice.call(method, 3)
    with pytest.raises(Violation, match=f"^planted: in {input}\n"):
        world.run(seconds=10)


@pytest.mark.parametrize(("method", "input"), [*UNDER, ("ask", "abandon")])
def test_an_exception_of_the_core_under_a_handler_is_not_swallowed_either(
    method: str, input: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(*arguments: Any, **named: Any) -> None:
        raise LookupError(input)

    monkeypatch.setattr(Gateway, input, planted)
    world = World(service=talkative())
    alice = world.client("alice")
    alice.answers["double"] = lambda params: 2 * params[0]
    if input == "abandon":
        alice.answer_delay = 100.0
        call = alice.call(method, 3)
        world.after(1.0, lambda: alice.cancel(call))
    else:
        alice.call(method, 3)
    with pytest.raises(LookupError, match=f"^'?{input}'?\n"):
        world.run(seconds=10)
