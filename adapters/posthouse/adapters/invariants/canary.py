"""The mark in each secret of a simulated client: it must come out of a server nowhere."""

from __future__ import annotations

from typing import Final

from .violation import must

CANARY: Final = "~KanaRi~"


def marked(secret: str) -> str:
    """This secret with the mark, as a simulated client sends it."""
    return secret + CANARY


def unmarked(secret: str) -> str:
    """A secret without its mark."""
    return secret.removesuffix(CANARY)


def keeps_secrets(place: str, *texts: object) -> None:
    """None of these texts and bytes has the mark. Raises Violation."""
    for text in texts:
        hidden = CANARY.encode() not in text if isinstance(text, bytes) else CANARY not in str(text)
        must(hidden, f"identity: a secret is in {place}", text)
