"""What is raised where something does not hold that must."""

from __future__ import annotations


class Violation(AssertionError):
    """Something that must hold does not. `sentence` says what, as `<invariant>: <sentence>`, and is the same whenever
    the same does not hold; the message adds what was `seen`."""

    def __init__(self, sentence: str, *seen: object) -> None:
        super().__init__(f"{sentence}: {', '.join(map(str, seen))}" if seen else sentence)
        self.sentence = sentence


def must(holds: object, sentence: str, *seen: object) -> None:
    """Raise Violation with this sentence, and what was seen behind it, unless it holds."""
    if not holds:
        raise Violation(sentence, *map(repr, seen))
