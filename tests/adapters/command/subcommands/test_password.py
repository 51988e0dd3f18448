"""`posthouse password hash`: an entry that a server accepts, made with the parameters of its config."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from posthouse.adapters.authenticators import Passwords
from posthouse.adapters.command.main import main
from posthouse.core.service.authenticators import Basic
from posthouse.core.values.peers import Identity

CHEAP = "argon2_passes = 1\nargon2_memory = 16384\nargon2_lanes = 2\n"


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "limits.toml"
    file.write_text(f"{CHEAP}max_password_bytes = 20\n")
    return str(file)


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_an_entry_has_the_hash_of_the_password(
    config: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["ada"], ["ada b", "--scope", "write", "--scope", 'a"b']):
        pipe(monkeypatch, "canary pässword\n")
        assert main(["password", "hash", *words, "--config", config]) == 0
    shown = capsys.readouterr()
    first, second = shown.out.splitlines()
    assert first.startswith('ada = "$argon2id$v=19$m=16,t=1,p=2$')
    assert second.startswith('"ada b" = { hash = "$argon2id$')
    assert (shown.err, "canary" in shown.out) == ("", False)
    file = tmp_path / "passwords.toml"
    file.write_text(shown.out)
    known = Passwords(file)
    assert known(Basic("ada", "canary pässword")) == Identity("ada")
    assert known(Basic("ada b", "canary pässword")) == Identity("ada b", ("write", 'a"b'))


def test_without_a_config_the_parameters_are_those_of_the_defaults(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, "canary")
    assert main(["password", "hash", "ada"]) == 0
    assert capsys.readouterr().out.startswith('ada = "$argon2id$v=19$m=65536,t=3,p=4$')


@pytest.mark.parametrize(
    ("words", "text", "fault"),
    [
        (["ada"], "", "there is no password"),
        (["ada"], "x" * 21, "the password has more than max_password_bytes = 20 bytes"),
        ([""], "canary", "USER is empty"),
        (["ada", "--scope", ""], "canary", "--scope is empty"),
        ([], "canary", "missing argument 'USER'"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2(
    words: list[str],
    text: str,
    fault: str,
    config: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pipe(monkeypatch, text)
    assert main(["password", "hash", *words, "--config", config]) == 2
    shown = capsys.readouterr()
    assert (shown.out, fault in shown.err) == ("", True)


def test_parameters_that_no_hash_can_have_are_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "limits.toml"
    file.write_text("argon2_memory = 1024\n")
    pipe(monkeypatch, "canary")
    assert main(["password", "hash", "ada", "--config", str(file)]) == 2
    assert "argon2_memory is 1024: it must be a multiple of 1024, and with argon2_lanes" in capsys.readouterr().err


def test_without_its_library_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing(name: str, package: Any = None) -> None:
        return None

    monkeypatch.setattr(sys.modules["posthouse.adapters.authenticators.ready_made"], "find_spec", nothing)
    assert main(["password", "hash", "ada"]) == 1
    assert "needs argon2-cffi: run pip install 'posthouse[passwords]'" in capsys.readouterr().err
