"""`posthouse token hash`: an entry that a server accepts, and a token that is shown once or not at all."""

from __future__ import annotations

import io
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from posthouse.adapters.authenticators import StaticTokens
from posthouse.adapters.command.main import main
from posthouse.adapters.command.subcommands.token import entry
from posthouse.core.service.authenticators import Bearer
from posthouse.core.values.peers import Identity

CANARY = "a-canary-token-of-20"


def pipe(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_a_new_token_is_shown_once_beside_its_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["token", "hash", "--new", "--user", "ada", "--scope", "write", "--scope", "read"]
    assert main([*words, "--expires", "2027-01-01", "--label", 'the "laptop"']) == 0
    shown = capsys.readouterr()
    _, _, token = shown.err.strip().rpartition("the token, which is shown this once: ")
    assert len(token) == 43
    assert token not in shown.out
    lines = shown.out.splitlines()
    assert [lines[0], *lines[2:]] == [
        "[[token]]",
        'user = "ada"',
        'scopes = ["write", "read"]',
        "expires = 2027-01-01T00:00:00Z",
        'label = "the \\"laptop\\""',
    ]
    file = tmp_path / "tokens.toml"
    file.write_text(shown.out * 1)
    assert StaticTokens(file)(Bearer(token)) == Identity("ada", ("read", "write"), 1798761600.0)
    assert main(words) == 0
    assert token not in capsys.readouterr().err


def test_a_token_that_exists_is_read_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, f"{CANARY}\n")
    assert main(["token", "hash"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "canary" not in shown.out
    file = tmp_path / "tokens.toml"
    file.write_text(shown.out)
    assert StaticTokens(file)(Bearer(CANARY)) == Identity("me")


def test_a_new_token_is_written_to_a_new_file_that_only_this_user_may_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, entries = tmp_path / "token", tmp_path / "tokens.toml"
    assert main(["token", "hash", "--new", "--token-file", str(file)]) == 0
    shown = capsys.readouterr()
    entries.write_text(shown.out)
    assert (shown.err, file.stat().st_mode & 0o777) == ("", 0o600)
    assert StaticTokens(entries)(Bearer(file.read_text().strip())) == Identity("me")
    assert main(["token", "hash", "--new", "--token-file", str(file)]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"cannot write {file}: File exists" in shown.err


@pytest.mark.parametrize(
    ("text", "words", "fault"),
    [
        ("", [], "there is no token"),
        (CANARY[:-1], [], "this token is too short: it could be guessed"),
        (f"{CANARY} x", [], "this cannot be a bearer token"),
        (CANARY, ["--token-file", "t"], "--token-file is for a new token"),
        (CANARY, ["--user", ""], "--user is empty"),
        (CANARY, ["--scope", ""], "--scope is empty"),
        (CANARY, ["--expires", "soon"], "'soon' is not a date or a time: write 2027-01-31 or 2027-01-31T12:00:00Z"),
        (CANARY, ["--expires", "0001-01-01T00:00:00+01:00"], "is not a date or a time"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_and_prints_no_entry(
    text: str, words: list[str], fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, text)
    assert main(["token", "hash", *words]) == 2
    shown = capsys.readouterr()
    assert (shown.out, fault in shown.err, "canary" in shown.err) == ("", True, False)


def test_a_time_of_expiry_is_written_in_utc(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(monkeypatch, CANARY)
    assert main(["token", "hash", "--expires", "2027-01-31T12:00:00+02:00"]) == 0
    assert "expires = 2027-01-31T10:00:00Z\n" in capsys.readouterr().out


@given(st.text(min_size=1), st.lists(st.text(min_size=1), max_size=3), st.text(min_size=1))
def test_any_text_is_written_as_toml(user: str, scopes: list[str], label: str) -> None:
    lines = "\n".join(entry(CANARY, user, tuple(scopes), None, label))
    (read,) = tomllib.loads(lines)["token"]
    assert (read["user"], read.get("scopes", []), read["label"]) == (user, scopes, label)
