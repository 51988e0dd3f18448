"""The services of storms about handlers themselves: each method has its result in a world, over each transport."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.adapters.simulation import World
from posthouse.adapters.simulation.clients.protocols.protocol import Transport
from posthouse.adapters.simulation.storms.insight import ERROR_CODES, META, RESULTS, guard, insight, known_of
from posthouse.adapters.simulation.storms.service import mirror
from posthouse.core import Service
from posthouse.core.values.peers import Identity

from .shop import every_transport


def world() -> World:
    service = Service("stage", public=True)
    service.include(insight, prefix="insight.")
    service.include(guard, prefix="guard.")
    return World(service=service)


def params_of(method: str) -> dict[str, Any]:
    more: dict[str, dict[str, Any]] = {"insight.in_thread": {"times": 3}, "insight.tidies": {"seconds": 0.2}}
    return {"token": "x", **more.get(method, {})}


@pytest.mark.parametrize("method", RESULTS)
def test_every_method_has_its_result(method: str) -> None:
    started = world()
    alice = started.client("alice")
    alice.answers["mirror"] = mirror
    params = params_of(method)
    call = alice.call(method, progress_token="p", params=params)
    started.run(2)
    assert call.result == RESULTS[method](params | {"received": len(call.progress)})
    started.finish()


@pytest.mark.parametrize("method", ERROR_CODES)
def test_methods_that_fail_have_their_code(method: str) -> None:
    started = world()
    call = started.client("alice").call(method, "x")
    started.run(2)
    assert call.error is not None
    assert (call.error.code, call.error.data) in [(code, None) for code in ERROR_CODES[method]]
    started.finish()


@every_transport
def test_a_handler_knows_its_call(transport: Transport) -> None:
    started = world()
    ada = Identity("ada", ("broadcast",))
    call = started.client("alice", transport, identity=ada).call("insight.whoami", **META, params={"token": "x"})
    started.run(2)
    assert call.result == known_of("x", transport, b"localhost", ada)
    started.finish()
