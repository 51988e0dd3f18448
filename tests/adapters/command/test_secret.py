"""Secrets come from a terminal, a pipe, a file or the environment, and are printed nowhere."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from posthouse.adapters.command import secret
from posthouse.adapters.command.secret import ask, token_to_send
from posthouse.adapters.terminal import Misuse

CANARY = "canary-token_1.~+/=="


class Piped:
    """Standard input with these bytes."""

    def __init__(self, data: bytes, *, terminal: bool = False) -> None:
        self.buffer = io.BytesIO(data)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("data", "found"),
    [(b"secret", "secret"), (b"secret\n", "secret"), (b"secret\r\nmore\n", "secret"), (b" \xc3\xa4 \n", " ä ")],
)
def test_a_pipe_has_the_secret_on_its_first_line(monkeypatch: pytest.MonkeyPatch, data: bytes, found: str) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(data))
    assert ask("password") == found


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "there is no password"),
        (b"\n", "there is no password"),
        (b"\xff", "the password is not UTF-8"),
        (b"x" * 65_537, "the password has more than 65536 bytes"),
    ],
)
def test_a_pipe_without_a_secret_is_misuse(monkeypatch: pytest.MonkeyPatch, data: bytes, fault: str) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(data))
    with pytest.raises(Misuse, match=f"^{fault}$"):
        ask("password")


def test_a_person_types_without_echo_and_twice_where_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    typed = iter(["one", "one", "two", "other"])

    def getpass(prompt: str) -> str:
        asked.append(prompt)
        return next(typed)

    monkeypatch.setattr(sys, "stdin", Piped(b"", terminal=True))
    monkeypatch.setattr(secret, "getpass", getpass)
    assert ask("token") == "one"
    with pytest.raises(Misuse, match=r"^the two are not the same password$"):
        ask("password", twice=True)
    assert asked == ["token: ", "password: ", "password, once more: "]
    monkeypatch.setattr(secret, "getpass", lambda prompt: "same")
    assert ask("password", twice=True) == "same"


def test_a_token_is_that_of_the_file_or_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(f"  {CANARY}\n")
    monkeypatch.delenv("POSTHOUSE_TOKEN", raising=False)
    assert token_to_send(None) is None
    monkeypatch.setenv("POSTHOUSE_TOKEN", "of-the-environment\n")
    assert token_to_send(None) == "of-the-environment"
    assert token_to_send(str(file)) == CANARY
    monkeypatch.setenv("POSTHOUSE_TOKEN", " ")
    assert token_to_send(None) is None


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o400, False), (0o640, True), (0o604, True)])
def test_a_file_that_others_may_read_is_warned_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: int, warned: bool
) -> None:
    file = tmp_path / "token"
    file.write_text(CANARY)
    file.chmod(mode)
    assert token_to_send(str(file)) == CANARY
    warning = f"warning: other users may read {file}: run chmod 600 {file}\n"
    assert capsys.readouterr().err == (warning if warned else "")


@pytest.mark.parametrize("text", ["", "two words", "Bearer canary", "canary\ncanary", "cänary", "=canary"])
def test_anything_else_than_one_token_is_misuse_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(Misuse) as raised:
        token_to_send(str(file))
    assert (str(raised.value), raised.value.hint) == (
        f"{file} holds no token",
        "it must hold one token and nothing else",
    )
    if text:
        monkeypatch.setenv("POSTHOUSE_TOKEN", text)
        with pytest.raises(Misuse, match=r"^POSTHOUSE_TOKEN holds no token$"):
            token_to_send(None)


@pytest.mark.parametrize(("name", "fault"), [("other", "No such file or directory"), ("nul\0", "embedded null byte")])
def test_a_file_that_cannot_be_read_is_misuse(name: str, fault: str) -> None:
    with pytest.raises(Misuse, match=f"^cannot read {name}: {fault}$"):
        token_to_send(name)
