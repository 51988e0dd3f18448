"""The ids and secrets of sessions, as clients send them."""

from __future__ import annotations

from hashlib import sha256

import pytest
from posthouse.core.sessions.keys import SessionKey, digest_of, read_key, read_secret, text_of

ID, SECRET = "A" * 22, "A" * 42 + "E"


def test_a_key_is_an_id_and_a_secret_with_a_dot_between_them() -> None:
    key = read_key(f"{ID}.{SECRET}")
    assert key == SessionKey(ID, SECRET)
    assert key is not None
    assert key.text == f"{ID}.{SECRET}"


@pytest.mark.parametrize(
    "text",
    ["", ".", ID, SECRET, f"{ID}{SECRET}", f"{ID}.", f".{SECRET}", f"{ID[1:]}.{SECRET}", f"{ID}.{SECRET}A", f"{ID}.+"],
)
def test_other_texts_are_no_keys(text: str) -> None:
    assert read_key(text) is None


def test_a_secret_has_one_text() -> None:
    assert read_secret(text_of(bytes(31) + b"\1")) == bytes(31) + b"\1"
    assert read_secret("A" * 42 + "F") is None  # bits that are left over
    assert read_secret("A" * 42 + "\n") is None


def test_a_repr_shows_no_secret() -> None:
    assert repr(SessionKey(ID, SECRET)) == f"SessionKey('{ID}', secret=<hidden>)"


def test_the_digest_of_a_secret_is_its_sha_256() -> None:
    assert digest_of("canary") == sha256(b"canary").digest()
    assert len(digest_of("\ud800")) == 32
