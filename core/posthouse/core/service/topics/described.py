"""A rule as it stands in the OpenRPC document: the topics, bound to the schema of their notification."""

from __future__ import annotations

from typing import Any, Final

from .rules import Rule

PUBLICATION: Final = "topic.publication"
"""The notification that carries a publication."""


def described_topic(rule: Rule, payload: dict[str, Any]) -> dict[str, Any]:
    """The topics of a rule. `payload` is the schema of their data."""
    text, number = {"type": "string"}, {"type": "integer", "minimum": 1}
    members = (("topic", text), ("epoch", text), ("offset", number), ("data", payload))
    params = [{"name": name, "required": True, "schema": schema} for name, schema in members]
    params.append({"name": "from", "required": False, "schema": {"type": "object"}})
    shown: dict[str, Any] = {"name": rule.pattern, "notification": {"name": PUBLICATION, "params": params}}
    shown["publish"], shown["subscribe"] = rule.publish.shown, rule.subscribe.shown
    shown["slow"] = rule.slow
    if rule.history != 0:
        shown["history"] = True if rule.history is None else rule.history
    if rule.ttl is not None:
        shown["ttl"] = rule.ttl
    return shown
