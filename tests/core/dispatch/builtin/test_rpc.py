"""`rpc.*`: calls are cancelled and the service is described."""

from __future__ import annotations

import pytest
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.effects import Cancel, Invoke
from posthouse.core.values.peers import Identity

from tests.core.dispatch.builtin.house import House
from tests.values import changeable


@pytest.mark.parametrize("name", ["rpc.cancel", "$/cancelRequest"])
def test_a_call_is_cancelled_by_its_id_only_from_its_own_connection(name: str) -> None:
    house = House()
    caller, stranger = house.connect(), house.connect()
    house.receive(caller, {"method": "work", "id": "x"})
    (invoke,) = (effect for effect in house.effects if isinstance(effect, Invoke))
    assert house.call(stranger, name, {"id": "x"}) == {"cancelled": False}
    assert house.call(caller, name, {"id": "x"}) == {"cancelled": True}
    assert Cancel(invoke.call) in house.effects
    assert house.call(caller, name, {"id": "x"}) == {"cancelled": False}


def test_discover_answers_with_the_service_as_a_document() -> None:
    service = Service("shop", public=True)
    house = House(service)
    found = house.call(house.connect(), "rpc.discover")
    assert (found["openrpc"], found["info"]["title"]) == ("1.4.1", "shop")
    assert [method["name"] for method in found["methods"]] == [
        "connection.info",
        "connection.ping",
        "connection.stats",
        "message.broadcast",
        "message.send",
        "rpc.cancel",
        "rpc.discover",
        "work",
    ]


def test_discover_names_the_log_ins_of_a_service_with_authenticators_and_of_no_other() -> None:
    service = Service("shop", public=True)

    @service.authenticator("bearer")
    def bearer(credentials: Bearer) -> Identity | None:
        return None

    house = House(service)
    found = house.call(house.connect(), "rpc.discover")
    names = [method["name"] for method in found["methods"]]
    assert [name for name in names if name.startswith("auth.")] == ["auth.login", "auth.logout", "auth.refresh"]
    plain = House()
    found = plain.call(plain.connect(), "rpc.discover")
    assert [method["name"] for method in found["methods"] if method["name"].startswith("auth.")] == []


def test_a_value_that_was_built_cannot_change() -> None:
    assert changeable("posthouse.core.dispatch.builtin.rpc") == []
