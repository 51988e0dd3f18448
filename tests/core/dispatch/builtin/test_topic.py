"""`topic.*`: there if the service declares topics, with the parameters that clients give."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.service.service import Service

from tests.core.dispatch.builtin.house import House


def service() -> Service:
    made = Service("s", public=True)
    made.topic("news", history=5, publish="public")
    return made


def test_a_service_without_topics_has_no_methods_for_them() -> None:
    house = House()
    one = house.connect()
    for method in ("subscribe", "unsubscribe", "publish", "history"):
        assert house.call(one, f"topic.{method}", {"topic": "news"})["code"] == -32601


def test_a_service_with_topics_has_them() -> None:
    house = House(service())
    one = house.connect()
    here = house.call(one, "topic.subscribe", {"topic": "news"})
    assert here == {"epoch": (2).to_bytes(8, "big").hex(), "offset": 0}
    assert house.call(one, "topic.publish", ["news", [1]]) == {**here, "offset": 1}
    assert house.payloads()[0][1]["params"]["data"] == [1]
    page = house.call(one, "topic.history", {"topic": "news", "limit": 1, "from": here})
    assert [each["offset"] for each in page["publications"]] == [1]
    assert house.call(one, "topic.history", ["news", 3, True])["offset"] == 1
    assert house.call(one, "topic.unsubscribe", ["news"]) == {"unsubscribed": True}


@pytest.mark.parametrize(
    ("params", "parameter"),
    [
        ({"topic": "news", "limit": 0}, "limit"),
        ({"topic": "news"}, "limit"),
        ({"topic": 1, "limit": 1}, "topic"),
        ({"topic": "news", "limit": 1, "since": {"epoch": "e", "offset": 0}}, "since"),
        ({"topic": "news", "limit": 1, "from": 7}, "from"),
        ({"topic": "news", "limit": 1, "x" * 200: {"epoch": "e", "offset": 0}}, "x" * 128),
    ],
)
def test_wrong_parameters_are_refused(params: dict[str, Any], parameter: str) -> None:
    house = House(service())
    error = house.call(house.connect(), "topic.history", params)
    assert (error["code"], error["data"]["parameter"]) == (-32602, parameter)


def test_row_37_a_publication_is_of_its_connection_not_of_its_parameters() -> None:
    house = House(service())
    error = house.call(house.connect(), "topic.publish", {"topic": "news", "data": 1, "from": {"user": "root"}})
    assert (error["code"], error["data"]) == (-32602, {"parameter": "from", "reason": "unknown parameter"})
