"""The memory of hashes is set aside, if the service has an authenticator that hashes."""

from __future__ import annotations

import pytest
from posthouse.core.gateway import Gateway
from posthouse.core.identity.hashes.hashing import beside_hashes
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity


def hashes(*, hashing: bool) -> Service:
    service = Service("hashes")

    @service.authenticator("bearer", namespace="tokens")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    @service.authenticator("basic", namespace="passwords", hashing=hashing)
    def basic(credentials: Basic) -> Identity | None:
        raise NotImplementedError

    return service


def config(memory_budget: int) -> Config:
    return Config(memory_budget=memory_budget, hashing_workers=3, argon2_memory=32768, argon2_lanes=1)


@pytest.mark.parametrize(("hashing", "left"), [(True, 101_696), (False, 200_000)])
def test_hashes_at_once_are_taken_off_the_memory_of_peers(hashing: bool, left: int) -> None:
    gateway = Gateway(hashes(hashing=hashing), config(200_000), wall=0.0, entropy=bytes)
    assert gateway.config.memory_budget == left
    assert gateway.config.argon2_memory == 32768


@pytest.mark.parametrize(
    ("memory", "lanes", "valid"), [(16_383, 2, False), (16_384, 2, True), (16_385, 2, False), (16_384, 3, False)]
)
def test_a_hash_has_eight_blocks_for_each_lane_at_least(memory: int, lanes: int, valid: bool) -> None:
    limits = Config(argon2_memory=memory, argon2_lanes=lanes)
    beside_hashes(limits, hashes(hashing=False).authenticators.values())
    if valid:
        assert beside_hashes(limits, hashes(hashing=True).authenticators.values()).memory_budget == 2**30 - 4 * memory
        return
    with pytest.raises(UsageError, match=f"^argon2_memory is {memory}: it must be a multiple of 1024, and with"):
        beside_hashes(limits, hashes(hashing=True).authenticators.values())


@pytest.mark.parametrize(("budget", "left"), [(98_303, None), (98_304, None), (98_305, 1)])
def test_something_must_be_left_for_peers(budget: int, left: int | None) -> None:
    authenticators = hashes(hashing=True).authenticators.values()
    if left is not None:
        assert beside_hashes(config(budget), authenticators).memory_budget == left
        return
    with pytest.raises(UsageError) as raised:
        beside_hashes(config(budget), authenticators)
    assert str(raised.value) == (
        f"memory_budget is {budget}, but hashing passwords takes 98304 (hashing_workers = 3, argon2_memory = 32768): "
        "raise memory_budget, or lower these"
    )
