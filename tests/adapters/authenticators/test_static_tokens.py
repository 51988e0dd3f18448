"""Tokens in a file: found by their hashes, with an error that names the line for every mistake."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.adapters.authenticators import StaticTokens
from posthouse.adapters.authenticators.static_tokens import read_tokens, token_digest
from posthouse.core.operations.operations import Refused
from posthouse.core.service.authenticators import Bearer
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

ADA, BOB = sha256(b"token of ada").hexdigest(), sha256(b"token of bob").hexdigest()

FILE = f"""\
# who may call
[[token]]
sha256 = "{ADA}"
user = "ada"
scopes = ["write", "read"]
expires = 2027-01-01T00:00:00Z
label = "laptop"

[[token]]
sha256 = "{BOB}"
user = "bob"
"""

UNKNOWN = Refused("the token is not in the file")


def test_a_token_is_found_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(FILE)
    tokens = StaticTokens(file)
    assert tokens(Bearer("token of ada")) == Identity("ada", ("read", "write"), 1798761600.0)
    assert tokens(Bearer("token of bob")) == Identity("bob")
    for other in ("", "token of ad", ADA, "token of ada ", "\ud800"):
        assert tokens(Bearer(other)) == UNKNOWN
    assert tokens.identities() == [Identity("ada", ("read", "write"), 1798761600.0), Identity("bob")]


def test_it_is_declared_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(FILE)
    service = Service("private")
    StaticTokens(str(file)).declare(service)
    StaticTokens(file).declare(service, name="more", namespace="more")
    found = [(each.name, each.scheme, each.namespace, each.blocking) for each in service.authenticators.values()]
    assert found == [("bearer", "bearer", "", False), ("more", "bearer", "more", False)]


def test_a_server_that_starts_reads_the_file_again(tmp_path: Path) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(FILE)
    tokens = StaticTokens(file)
    file.write_text("")
    tokens.prepare(Config())
    assert tokens.identities() == []
    file.write_text("[[token]]")
    with pytest.raises(UsageError, match=r"tokens.toml, line 1: it has no sha256$"):
        tokens.prepare(Config())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[token]]\nsha256 = x", ", line 2: it is not valid TOML: Invalid value"),
        ("x = ", ": it is not valid TOML: Invalid value (at end of document)"),
        ("token = 3", ": write each entry as [[token]], with two brackets"),
        ("[token]\nuser = 'ada'", ": write each entry as [[token]], with two brackets"),
        ("[[tokens]]", ": 'tokens' is unknown here: each entry begins with [[token]]"),
        ("token = [3]", ": expected object, got int"),
        ("\n[[token]]\nuser = 'ada'", ", line 2: it has no sha256"),
        (f"[[token]]\nsha256 = '{ADA}'", ", line 1: it has no user"),
        (f"[[token]]\nsha256 = '{ADA}'\nuser = 3", ", line 1: expected str, got int - at user"),
        (f"[[token]]\nsha256 = '{ADA}'\nuser = ''", ", line 1: the user of an identity is ''"),
        (f"[[token]]\nsha256 = '{ADA}'\nuser = 'a'\nscopes = 'x'", ", line 1: expected array, got str - at scopes"),
        (f"[[token]]\nsha256 = '{ADA}'\nuser = 'a'\nscopes = ['']", ", line 1: '' is not a scope"),
        (f"[[token]]\nsha256 = '{ADA}'\nuser = 'a'\nscope = 'x'", ", line 1: it has the unknown field scope"),
        (f"[[token]]\nsha256 = '{ADA.upper()}'\nuser = 'a'", ", line 1: its sha256 is not 64 hexadecimal digits"),
        (
            f"[[token]]\nsha256 = '{ADA}'\nuser = 'a'\nexpires = 2027-01-01T00:00:00",
            ", line 1: its time of expiry has no zone",
        ),
        (
            f"[[token]]\nsha256 = '{ADA}'\nuser = 'a'\nexpires = 2027-01-01",
            ", line 1: expected datetime | null, got date - at expires",
        ),
        (
            f"[[token]]\nsha256 = '{ADA}'\nuser = 'a'\n[[ token ]]\nsha256 = '{ADA}'\nuser = 'b'",
            ", line 4: its sha256 is that of an earlier entry: remove one of the two",
        ),
        (f"token = [{'[' * 5000}{']' * 5000}]", ": it is not valid TOML: it is nested too deeply"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(text: str, fault: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_tokens(text)
    assert str(raised.value).startswith(fault)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: data.decode("latin-1")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        read_tokens(f"[[token]]\n{text}")
    except UsageError as error:
        assert str(error).startswith((", line ", ": "))


@given(st.text())
def test_any_token_has_a_hash(token: str) -> None:
    assert len(token_digest(token)) == 32
    assert read_tokens(FILE).find(token) is None
