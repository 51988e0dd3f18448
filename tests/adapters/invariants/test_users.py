"""Facts of users in the store: who is in who may not be, and what nobody waits for, is found."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace
from posthouse.adapters.invariants import Violation, identity, users
from posthouse.core.dispatch.procedures import Pending
from posthouse.core.service.authenticators import Basic, Bearer

from tests.core.accounts import THERE, AccountWorld


def check(world: AccountWorld) -> None:
    users(world.gateway)
    identity(world.gateway)


def test_users_that_log_in_and_wait_are_as_they_must_be() -> None:
    world = AccountWorld(outside=True, credential_cache=0, max_hashes_per_address=1)
    one = world.user()
    check(world)
    world.answers = world.hashes = False
    world.join(Basic("ada", "pw"), THERE), world.join(Bearer("x"))
    world.ask(one, "user.password", old="pw", new="y"), world.ask(one, "token.list")
    check(world)
    while world.asks:
        asked = world.asks.pop(0)
        world.gateway.conclude(asked.operation, world.store.perform(asked.request), world.now)
        world.run()
        check(world)


def disabled(world: AccountWorld) -> None:
    world.store.users["ada"] = replace(world.store.users["ada"], disabled=True)


def removed(world: AccountWorld) -> None:
    del world.store.users["ada"]


def narrowed(world: AccountWorld) -> None:
    world.store.users["ada"] = replace(world.store.users["ada"], scopes=())


def token_gone(world: AccountWorld) -> None:
    world.store.tokens.clear()


@pytest.mark.parametrize("change", [disabled, removed, narrowed, token_gone])
def test_whoever_is_in_or_remembered_who_may_not_be_is_found(change: Callable[[AccountWorld], None]) -> None:
    world = AccountWorld()
    one = world.user(scopes=("write",))
    world.join(Bearer(world.ask(one, "token.create")["token"]))
    check(world)
    change(world)
    with pytest.raises(Violation, match="users: "):
        users(world.gateway)


def test_a_procedure_that_nobody_waits_for_is_found() -> None:
    world = AccountWorld(outside=True)
    one = world.user()
    world.answers = False
    world.ask(one, "token.list")
    (procedure,) = world.gateway._procedures.records.values()
    check(world)
    procedure.call = None
    with pytest.raises(Violation, match="a procedure goes on although nobody waits"):
        users(world.gateway)
    procedure.pending = Pending(None)
    users(world.gateway)
    procedure.pending = None
    with pytest.raises(Violation, match="a procedure waits for something"):
        users(world.gateway)
