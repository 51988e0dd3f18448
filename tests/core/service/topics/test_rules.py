"""One rule of a service: what may be declared, and what it means."""

from __future__ import annotations

from typing import Any

import pytest
from posthouse.core.service.topics.rules import Access, Rule
from posthouse.core.values.errors import UsageError


def test_by_default_the_server_publishes_and_callers_subscribe_as_they_call() -> None:
    rule = Rule.of("news", public=True)
    assert (rule.publish, rule.subscribe) == (Access(False, nobody=True), Access(True))
    assert Rule.of("news", public=False).subscribe == Access(False)
    assert (rule.history, rule.ttl, rule.slow) == (0, None, "close")


def test_a_rule_says_who_may_publish_and_subscribe() -> None:
    rule = Rule.of("news", public=True, publish={"editor", "admin"}, subscribe="authenticated")
    assert (rule.publish, rule.subscribe) == (Access(False, ("admin", "editor")), Access(False))
    assert (rule.publish.shown, rule.subscribe.shown) == (["admin", "editor"], "authenticated")
    assert (Access(True).shown, Access(False, nobody=True).shown) == ("public", "nobody")


@pytest.mark.parametrize(("declared", "kept"), [(False, 0), (True, None), (0, 0), (7, 7)])
def test_history_is_a_number_or_that_of_the_config(declared: Any, kept: int | None) -> None:
    assert Rule.of("news", public=True, history=declared).history == kept


@pytest.mark.parametrize(
    ("pattern", "exact"), [("news", True), ("news.a", True), ("news.*", False), ("news.{a}", False), ("news.>", False)]
)
def test_a_rule_without_a_pattern_is_that_of_one_topic(pattern: str, exact: bool) -> None:
    assert Rule.of(pattern, public=True).exact is exact


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pattern": "a b"}, "'a b' is no name of topics"),
        ({"pattern": 7}, "7 is no name of topics"),
        ({"pattern": "$events.a"}, "topic '\\$events.a' is reserved"),
        ({"pattern": "a" * 129}, "is too long: at most 128 bytes"),
        ({"history": -1}, "topic 'news': history is -1"),
        ({"history": 1.5}, "topic 'news': history is 1.5"),
        ({"history": 1, "ttl": 0}, "topic 'news': ttl is 0"),
        ({"history": 1, "ttl": True}, "topic 'news': ttl is True"),
        ({"history": 1, "ttl": "x"}, "topic 'news': ttl is 'x'"),
        ({"history": 1, "ttl": float("inf")}, "it must be finite"),
        ({"ttl": 5.0}, "needs history"),
        ({"slow": "shrug"}, "topic 'news': slow is 'shrug'"),
        ({"publish": "editor"}, "topic 'news': publish is 'editor': give .* scopes such as {'editor'}"),
        ({"subscribe": ()}, "topic 'news': subscribe has no scope"),
        ({"subscribe": [""]}, "'' is not a scope"),
        ({"subscribe": 7}, "scopes is 7"),
    ],
)
def test_a_wrong_declaration_is_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Rule.of(options.pop("pattern", "news"), public=True, **options)
