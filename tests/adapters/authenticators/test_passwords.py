"""Passwords in a file: hashed in any case, within the memory of the config, and every mistake has its line."""

from __future__ import annotations

import logging
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.adapters.authenticators import Passwords, passwords
from posthouse.adapters.authenticators.hashes import Parameters, make_hash, parameters_of
from posthouse.adapters.authenticators.passwords import written_key
from posthouse.core.operations.operations import Refused
from posthouse.core.service.authenticators import Basic
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import Identity

CHEAP = Parameters(1, 16, 2)
OTHER = Parameters(2, 8, 1)
CONFIG = Config(argon2_passes=1, argon2_memory=16 * 1024, argon2_lanes=2)

ADA, BOB = make_hash(b"pw of ada", CHEAP), make_hash("pässwort".encode(), OTHER)
FILE = f'"ada" = {{ hash = "{ADA}", scopes = ["write"] }}\nbob = "{BOB}"\n'

WRONG, UNKNOWN = Refused("the password is wrong"), Refused("the user is not in the file")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "passwords.toml"
    file.write_text(FILE)
    return file


def test_a_user_is_known_by_the_password(file: Path) -> None:
    known = Passwords(file)
    assert known(Basic("ada", "pw of ada")) == Identity("ada", ("write",))
    assert known(Basic("bob", "pässwort")) == Identity("bob")
    assert known(Basic("ada", "pw of bob")) == WRONG
    assert known(Basic("ada", "")) == WRONG
    assert known(Basic("Ada", "pw of ada")) == known(Basic("", "x")) == known(Basic("\ud800", "\ud800")) == UNKNOWN
    assert known.identities() == [Identity("ada", ("write",)), Identity("bob")]


def test_it_is_declared_in_one_line_and_hashes_in_threads_of_its_own(file: Path) -> None:
    service = Service("private")
    Passwords(file).declare(service, namespace="staff")
    (found,) = service.authenticators.values()
    assert (found.scheme, found.namespace, found.hashing, found.blocking) == ("basic", "staff", True, True)


def test_an_unknown_user_costs_as_much_as_a_known_one(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[tuple[str, Parameters]] = []

    def matches(text: str, password: bytes) -> bool:
        hashed.append(("match", parameters_of(text) or CHEAP))
        return False

    monkeypatch.setattr(passwords, "hash_in_vain", lambda password, parameters: hashed.append(("vain", parameters)))
    monkeypatch.setattr(passwords, "matches", matches)
    known = Passwords(file)
    for number in range(64):
        known(Basic(f"nobody {number}", "x"))
        known(Basic(f"nobody {number}", "y"))
    assert [kind for kind, _ in hashed] == ["vain"] * 128
    # The parameters are those of users of the file: of each of them, and always the same for one name.
    found = [parameters for _, parameters in hashed]
    assert found[::2] == found[1::2]
    assert {*found} == {CHEAP, OTHER}
    hashed.clear()
    known(Basic("ada", "x"))
    assert hashed == [("match", CHEAP)]
    file.write_text("")
    empty = Passwords(file)
    empty.prepare(CONFIG)
    hashed.clear()
    empty(Basic("ada", "x"))
    assert hashed == [("vain", CHEAP)]


def test_a_hash_with_other_parameters_than_the_config_is_named_once(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    known = Passwords(file)
    known.prepare(CONFIG)
    for _ in range(2):
        known(Basic("ada", "pw of ada"))
        known(Basic("bob", "pässwort"))
        known(Basic("bob", "wrong"))
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "the hash of bob has other parameters than the config (argon2_…): make a new one"
    ]


@pytest.mark.parametrize(("kib", "fits"), [(15, False), (16, True), (17, True)])
def test_a_hash_must_fit_into_the_memory_of_the_config(file: Path, kib: int, fits: bool) -> None:
    known = Passwords(file)
    config = Config(argon2_memory=kib * 1024, argon2_lanes=1)
    if fits:
        known.prepare(config)
        return
    with pytest.raises(UsageError) as raised:
        known.prepare(config)
    assert str(raised.value) == (
        f"{file}, line 1: the hash of 'ada' needs 16384 bytes, more than argon2_memory = 15360: raise argon2_memory, "
        "or make a new hash"
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ada = 3", ", line 1: expected object, got int"),
        (
            "\nada = 'secret'",
            ", line 2: the hash of 'ada' is not one of argon2id: make it with posthouse password hash",
        ),
        (f"ada = '{ADA.replace('argon2id', 'argon2i')}'", ", line 1: the hash of 'ada' is not one of argon2id"),
        (f"ada = '{ADA.replace('v=19', 'v=16')}'", ", line 1: the hash of 'ada' is not one of argon2id"),
        (f"ada = '{ADA.replace('m=16', 'm=15')}'", ", line 1: the hash of 'ada' is not one of argon2id"),
        (f"ada = '{ADA.replace('t=1', 't=0')}'", ", line 1: the hash of 'ada' is not one of argon2id"),
        (f"ada = '{ADA}AA'", ", line 1: the hash of 'ada' is not one of argon2id"),
        (f"[ada]\nscope = 'x'\nhash = '{ADA}'", ", line 1: it has the unknown field scope"),
        ("[ada]\nscopes = []", ", line 1: it has no hash"),
        (f"ada = {{ hash = '{ADA}', scopes = [''] }}", ", line 1: '' is not a scope"),
        (f"'' = '{ADA}'", ", line 1: the user of an identity is ''"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    file = tmp_path / "passwords.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        Passwords(file)
    assert str(raised.value).startswith(f"{file}{fault}")
    assert ADA not in str(raised.value)


def test_without_its_library_the_remedy_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str, package: Any = None) -> None:
        return None

    monkeypatch.setattr(sys.modules["posthouse.adapters.authenticators.ready_made"], "find_spec", nothing)
    with pytest.raises(UsageError, match=r"^Passwords needs argon2-cffi: run pip install 'posthouse\[passwords\]'$"):
        Passwords(file)


@given(st.text(min_size=1).filter(lambda name: name.encode("utf-8", "replace").decode() == name))
def test_every_user_can_be_written_as_a_key(name: str) -> None:
    assert tomllib.loads(f"{written_key(name)} = 1") == {name: 1}


@given(st.text(max_size=300))
def test_any_text_has_parameters_or_none(text: str) -> None:
    assert parameters_of(text) is None
    assert parameters_of(f"$argon2id$v=19$m=16,t=1,p=2${text}") is None or text.count("$") == 1
