"""Rows 25 to 28: guessed, stolen and old secrets of sessions; two resumptions at once; a request that is sent again."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.values.effects import Answer, AskStore, Disconnect, Effect, Invoke, Transmit
from posthouse.core.values.peers import ConnectionId

from tests.core.sessions.sessioned import ADA, BOB, SessionWorld

GUESSED = {"session": "A" * 21 + "Q", "secret": "A" * 43}


def attempt(kind: str, method: str, over: Any, *, external: bool) -> tuple[list[type], list[Any]]:
    """A caller who knows no secret tries to use a session of this kind. The kinds of effects, and what was said."""
    world = SessionWorld(external=external, session_idle=50.0)
    one = world.opened(ADA)
    world.call(one, "session.create", {"data": {"secret": "canary"}}, 1)
    if external:
        world.perform()
    (reply,) = world.said()
    made = reply["result"]
    if kind == "expired":
        world.gateway.disconnected(one, None, 0.0)
        world.now = 50.0
    named = GUESSED["session"] if kind == "unknown" else made["id"]
    params = {"resume": {"session": named, "secret": GUESSED["secret"]}, "end": {"session": named}}[method]
    if kind == "foreign" and method == "resume":
        params["secret"] = made["secret"]
    attacker = world.opened(BOB, over)
    world.call(attacker, f"session.{method}", params, 7)
    seen: list[Effect] = list(world.gateway.outbox)
    world.gateway.outbox.clear()
    for effect in [each for each in seen if isinstance(each, AskStore)]:
        world.conclude(effect.operation, world.store.perform(effect.request))
        seen += world.gateway.outbox
        world.gateway.outbox.clear()
    said = [effect.data for effect in seen if isinstance(effect, Transmit | Answer)]
    return [type(each.request) if isinstance(each, AskStore) else type(each) for each in seen], said


@pytest.mark.parametrize("external", [False, True])
@pytest.mark.parametrize("over", ["websocket", "http"])
@pytest.mark.parametrize("method", ["resume", "end"])
def test_row_25_guessed_ids_get_equal_answers_in_equal_effects(method: str, over: Any, external: bool) -> None:
    found = [attempt(kind, method, over, external=external) for kind in ("unknown", "expired", "foreign", "known")]
    assert found == [found[0]] * 4
    assert found[0][1] == [b'{"jsonrpc":"2.0","error":{"code":-32040,"message":"Unknown or expired session"},"id":7}']


def resumed(world: SessionWorld, key: dict[str, Any], **more: Any) -> tuple[ConnectionId, Any]:
    """A new connection resumes a session with this key: the connection, and the result or the code."""
    one = world.connect()
    return one, world.ask(one, "resume", session=key["id"], secret=key["secret"], **more)


def test_row_26_a_stolen_id_alone_is_of_no_use_and_an_old_secret_ends_the_session() -> None:
    world = SessionWorld()
    first = world.create(world.opened())
    assert resumed(world, {**first, "secret": GUESSED["secret"]})[1] == -32040
    _, second = resumed(world, first)
    owner, third = resumed(world, second)
    thief = world.connect()
    world.call(thief, "session.resume", {"session": first["id"], "secret": first["secret"]}, 7)
    assert owner in [each.connection for each in world.gateway.outbox if isinstance(each, Disconnect)]
    assert world.codes(thief) == [-32040]
    assert resumed(world, third)[1] == -32040
    assert list(world.store.sessions) == []


@pytest.mark.parametrize("at_once", [False, True])
def test_row_27_of_two_resumptions_that_replace_one_connection_exactly_one_wins(at_once: bool) -> None:
    world = SessionWorld(external=True)
    old = world.opened()
    world.call(old, "session.create", {}, 1)
    world.perform()
    (reply,) = world.said()
    key = {"session": reply["result"]["id"], "secret": reply["result"]["secret"]}
    ones = [world.connect(), world.connect()]
    for one in ones:
        world.call(one, "session.resume", {**key, "replaces": world.public_id(old)}, 7)
        while not at_once and (world.hear() or world.asked_store):
            world.perform()
    while world.hear() or world.asked_store:
        world.perform()
    effects = list(world.gateway.outbox)
    said = [each.data for each in effects if isinstance(each, Transmit) and each.connection in ones]
    assert sorted(b"-32043" in data for data in said) == [False, True]
    assert [(each.connection, each.code) for each in effects if isinstance(each, Disconnect)] == [(old, 4409)]
    (session,) = world.gateway._sessions.records.values()
    assert len(session.connections) == 1


@pytest.mark.parametrize("over", ["websocket", "http"])
def test_row_28_a_captured_request_that_is_sent_again_runs_no_second_handler(over: Any) -> None:
    world = SessionWorld()
    first, again = world.opened(ADA, over), world.opened(ADA, over)
    world.call(first, "echo", [1], 1, idempotency_key="once")
    (invoke,) = world.invoked()
    world.complete(invoke.call, "done")
    world.take()
    world.call(again, "echo", [1], 1, idempotency_key="once")
    assert [each for each in world.gateway.outbox if isinstance(each, Invoke)] == []
    (reply,) = world.said(again)
    assert reply["result"] == "done"
