"""Rows count what they take of memory, and their texts tell no secret."""

from __future__ import annotations

from posthouse.core.values.peers import Identity

from tests.core.store.rows import session, token, user


def test_a_text_of_a_user_tells_neither_its_password_nor_its_profile() -> None:
    row = user(password="$argon2id$canary", profile=b'"canary"', scopes=("read",))
    assert repr(row) == "UserRow('ada', scopes=('read',), disabled=False, version=1)"


def test_a_text_of_a_session_tells_neither_its_data_nor_its_secrets() -> None:
    row = session(data=b'{"canary":1}', previous=b"canary")
    assert repr(row) == "SessionRow('s', ('', 'ada'), data=<12 bytes>, version=1)"


def test_a_session_has_the_user_of_its_identity() -> None:
    assert session().user == ("", "ada")
    assert session(name=None).user is None


def test_rows_take_more_memory_with_longer_texts() -> None:
    assert user().size == 1_024 + 3 + 4
    assert user(password="12345", profile=b"1234567", scopes=("ab", "cd")).size == 1_024 + 3 + 5 + 7 + 4
    assert user(profile=b"").size == 1_024 + 3
    assert token(label="123", scopes=("ab",)).size == 1_024 + 3 + 3 + 2
    assert session(name=None).size == 1_026
    row = session(retired=(b"1", b"2"), data=b"1234")
    assert row.size == 1_024 + 3 + 4 + 128


def test_a_session_counts_the_texts_of_its_identity() -> None:
    row = session()
    identity = Identity("ada", ("a", "bc"), namespace="work")
    assert (
        type(row)(id="s", identity=identity, current=b"", created_at=0.0, used_at=0.0, ends_at=1.0).size
        == 1_024 + 2 + 3 + 4 + 3
    )
