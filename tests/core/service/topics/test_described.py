"""A rule as it stands in the OpenRPC document."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.service.topics.described import described_topic
from posthouse.core.service.topics.rules import Rule

NOTIFICATION = {
    "name": "topic.publication",
    "params": [
        {"name": "topic", "required": True, "schema": {"type": "string"}},
        {"name": "epoch", "required": True, "schema": {"type": "string"}},
        {"name": "offset", "required": True, "schema": {"type": "integer", "minimum": 1}},
        {"name": "data", "required": True, "schema": {"type": "boolean"}},
        {"name": "from", "required": False, "schema": {"type": "object"}},
    ],
}


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({}, {}),
        ({"history": True}, {"history": True}),
        ({"history": 5, "ttl": 60.0}, {"history": 5, "ttl": 60.0}),
    ],
)
def test_a_topic_is_bound_to_the_schema_of_its_notification(options: dict[str, Any], more: dict[str, Any]) -> None:
    rule = Rule.of("news.*", public=True, publish={"editor"}, **options)
    assert described_topic(rule, {"type": "boolean"}) == {
        "name": "news.*",
        "notification": NOTIFICATION,
        "publish": ["editor"],
        "subscribe": "public",
        "slow": "close",
        **more,
    }
