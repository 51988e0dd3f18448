"""The exception for a fact that does not hold."""

from __future__ import annotations


class Violation(AssertionError):
    """A fact that must hold does not. `sentence` is `<invariant>: <sentence>`, and is equal for equal violations. The
    message adds the values that were `seen`."""

    def __init__(self, sentence: str, *seen: object) -> None:
        super().__init__(f"{sentence}: {', '.join(map(str, seen))}" if seen else sentence)
        self.sentence = sentence


def must(holds: object, sentence: str, *seen: object) -> None:
    """Raise Violation with this sentence and the values that were seen, unless it holds."""
    if not holds:
        raise Violation(sentence, *map(repr, seen))
