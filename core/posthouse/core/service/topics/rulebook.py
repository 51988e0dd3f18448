"""All rules of a service, and which of them a topic has. A name has one rule at most."""

from __future__ import annotations

from collections.abc import Iterator

from posthouse.core.values.errors import UsageError

from .names import matches, overlap
from .rules import Rule


class Rulebook:
    """The rules of the service of this name. `exact`: those of one topic each. `templates`: those of patterns."""

    def __init__(self, service: str) -> None:
        self._service = service
        self.exact: dict[str, Rule] = {}
        self.templates: dict[str, Rule] = {}

    def __len__(self) -> int:
        return len(self.exact) + len(self.templates)

    def __iter__(self) -> Iterator[Rule]:
        """In the order of their patterns."""
        both = self.exact | self.templates
        return iter([both[pattern] for pattern in sorted(both)])

    def add(self, *rules: Rule) -> None:
        """Add rules; those that are here already change nothing. Raises UsageError, before any change, if a topic would
        have two of them."""
        known = [*self.exact.values(), *self.templates.values()]
        new = [rule for rule in rules if rule not in known]
        for rule in new:
            for other in known:
                if rule.exact is other.exact and overlap(rule.segments, other.segments):
                    same = rule.pattern == other.pattern
                    fault = "declares it already" if same else f"has the rule of {other.pattern!r} for the same topics"
                    raise UsageError(
                        f"topic {rule.pattern!r}: service {self._service!r} {fault}: a topic has one rule, and only "
                        "one without * and > goes before the others"
                    )
            known.append(rule)
        for rule in new:
            (self.exact if rule.exact else self.templates)[rule.pattern] = rule

    def find(self, topic: str) -> Rule | None:
        """The rule of this topic: its own, else that of its pattern. None: the topic is not declared."""
        rule = self.exact.get(topic)
        if rule is not None or not self.templates:
            return rule
        segments = topic.split(".")
        return next((each for each in self.templates.values() if matches(each.segments, segments)), None)
