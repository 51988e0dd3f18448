"""All rules of a service: a topic has one of them at most."""

from __future__ import annotations

import pytest
from posthouse.core.service.topics.rulebook import Rulebook
from posthouse.core.service.topics.rules import Rule
from posthouse.core.values.errors import UsageError


def book(*patterns: str) -> Rulebook:
    made = Rulebook("s")
    made.add(*(Rule.of(pattern, public=True) for pattern in patterns))
    return made


def found(rules: Rulebook, topic: str) -> str | None:
    rule = rules.find(topic)
    return None if rule is None else rule.pattern


def test_the_rule_of_one_topic_goes_before_that_of_a_pattern() -> None:
    rules = book("news.*", "news.sport", "rooms.>")
    assert found(rules, "news.sport") == "news.sport"
    assert found(rules, "news.art") == "news.*"
    assert found(rules, "rooms.1.typing") == "rooms.>"
    assert found(rules, "news") is None
    assert found(book("news"), "art") is None


def test_rules_are_listed_by_their_patterns() -> None:
    rules = book("rooms.*", "art", "news")
    assert [rule.pattern for rule in rules] == ["art", "news", "rooms.*"]
    assert len(rules) == 3
    assert len(book()) == 0


@pytest.mark.parametrize(
    ("known", "new", "text"),
    [
        ("news", "news", "service 's' declares it already"),
        ("a.*", "*.b", r"topic '\*.b': service 's' has the rule of 'a.\*' for the same topics"),
        ("a.>", "a.{b}", "for the same topics"),
    ],
)
def test_a_second_rule_for_a_topic_is_refused(known: str, new: str, text: str) -> None:
    rules = book(known)
    with pytest.raises(UsageError, match=text):
        rules.add(Rule.of("other", public=True), Rule.of(new, public=True))
    assert [rule.pattern for rule in rules] == [known]


def test_two_new_rules_for_a_topic_are_refused() -> None:
    with pytest.raises(UsageError):
        book("a.*", "a.>")


def test_a_rule_that_is_there_may_be_added_again() -> None:
    rules = book("news", "rooms.*")
    rules.add(*rules)
    assert len(rules) == 2
