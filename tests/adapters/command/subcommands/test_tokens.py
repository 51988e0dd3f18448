"""Tokens from the command line to the command line: `serve --tokens` accepts those that `call` sends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from posthouse.adapters import serve
from posthouse.adapters.authenticators import StaticTokens
from posthouse.adapters.authenticators.static_tokens import token_digest
from posthouse.adapters.command import logs
from posthouse.adapters.command.client import address
from posthouse.adapters.command.client.streams import NoConnection
from posthouse.adapters.command.main import main
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

CANARY = "a-canary-token-of-ada"
MISSING = "to send a token, use --token-file FILE or the environment variable POSTHOUSE_TOKEN"
REFUSED = "the server does not accept these credentials: its log says why (auth.failed)"

service = Service("private")


@service.method
def who(context: Context) -> str | None:
    return context.user


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokens") / "tokens.toml"
    file.write_text(f"[[token]]\nsha256 = '{token_digest(CANARY).hex()}'\nuser = 'ada'\nscopes = ['admin']\n")
    return file


@pytest.fixture(scope="module")
def urls(tokens: Path) -> Iterator[list[str]]:
    """The server over HTTP, WebSocket and a unix socket."""
    StaticTokens(tokens).declare(service)
    socket = tokens.parent / "socket"
    config = Config(drain_spread=0.0, drain_grace=0.0)
    with start_blocking_portal() as portal:
        ended, server = portal.start_task(partial(serve, service, host="127.0.0.1", port=0, unix=socket, config=config))
        url = server.bound[0].url
        yield [url, url.replace("http", "ws"), f"unix:{socket}"]
        server.shut_down()
        ended.result()


@pytest.fixture
def token_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("POSTHOUSE_TOKEN", raising=False)
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(f"{CANARY}\n")
    return file


def test_a_token_is_sent_from_a_file_or_the_environment(
    urls: list[str], token_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in urls:
        assert main(["call", url, "who", "--token-file", str(token_file)]) == 0
    monkeypatch.setenv("POSTHOUSE_TOKEN", CANARY)
    for url in urls:
        assert main(["call", url, "who"]) == 0
    # A header that is given says more than the environment.
    assert main(["call", urls[0], "who", "--header", "Authorization: Bearer other"]) == 1
    shown = capsys.readouterr()
    assert shown.out == '"ada"\n' * 6
    assert "canary" not in shown.err


def test_a_caller_without_a_token_or_with_a_wrong_one_is_told_what_to_do(
    urls: list[str], token_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for url in urls:
        assert main(["call", url, "who"]) == 1
        first, *data, last = capsys.readouterr().err.splitlines()
        assert (first, last) == ("posthouse: error -32020: Unauthenticated", f"  {MISSING}")
        assert data == ['  {"requires": "authentication"}']
    token_file.write_text("wrong-canary")
    for url, status, text in (
        (urls[0], 1, "posthouse: error -32020: Unauthenticated"),
        (urls[1], 3, "posthouse: no WebSocket: the server answered with status 401"),
        (urls[2], 1, "posthouse: error -32020: Unauthenticated"),
    ):
        assert main(["call", url, "who", "--token-file", str(token_file)]) == status
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith(text), first
        assert second == f"  {REFUSED}"
        assert "canary" not in first


def test_a_token_over_the_network_without_encryption_is_warned_about(
    token_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*where: object) -> None:
        raise NoConnection("no connection")

    monkeypatch.setattr(address, "open_tcp", unreachable)
    warning = "warning: the token is sent without encryption: use https:// or wss://"
    for url, warned in (
        ("http://posthouse.invalid:1", True),
        ("WS://posthouse.invalid:1", True),
        ("http://127.0.0.1.posthouse.invalid:1", True),
        ("https://posthouse.invalid:1", False),
        ("http://127.0.0.1:1", False),
        ("ws://localhost:1/ws", False),
        ("http://[::1]:1", False),
    ):
        assert main(["call", url, "who", "--token-file", str(token_file)]) == 3
        assert (warning in capsys.readouterr().err) is warned, url


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (
            ["stdio:true", "who", "--token-file", "t"],
            "--token-file is for HTTP and WebSocket: a process has no headers",
        ),
        (
            ["http://127.0.0.1:1", "who", "--token-file", "t", "--header", "authorization: Basic x"],
            "--token-file and --header 'Authorization: ...' exclude each other",
        ),
        (["http://127.0.0.1:1", "who", "--token-file", "nowhere"], "cannot read nowhere: No such file or directory"),
    ],
)
def test_a_token_that_cannot_be_sent_is_exit_code_2(
    words: list[str], fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["call", *words]) == 2
    assert fault in capsys.readouterr().err


@pytest.mark.usefixtures("in_the_examples")
def test_serve_accepts_the_tokens_of_a_file_beside_those_of_the_service(
    tokens: Path, ran: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--tokens", str(tokens)]) == 0
    (found,) = ran["service"].authenticators.values()
    assert (found.name, found.namespace, isinstance(found.function, StaticTokens)) == ("tokens", "tokens", True)
    broken = tmp_path / "broken.toml"
    broken.write_text("[[token]]\nuser = 'ada'\n")
    for file, fault in ((broken, f"{broken}, line 1: it has no sha256"), (tmp_path / "no", "cannot read")):
        assert main(["serve", "--tokens", str(file)]) == 2
        assert fault in capsys.readouterr().err


PRIVATE = """
from posthouse.core import Service
service, mixed, public = Service("private"), Service("mixed"), Service("public", public=True)
service.method("one")(lambda: None)
service.method("two", public=True, scopes={"admin"})(lambda: None)
mixed.method("one")(lambda: None)
mixed.method("two", public=True)(lambda: None)
for number in range(7):
    public.method(f"m{number}")(lambda: None)
"""


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["service"], "--require-auth: service private cannot authenticate callers"),
        (["service", "--dev"], "--require-auth and --dev exclude each other: --dev gives every caller every scope"),
        (["service", "--tokens", "tokens.toml"], None),
        (["mixed", "--tokens", "tokens.toml"], "--require-auth: anyone may call two of service mixed"),
        (
            ["public", "--tokens", "tokens.toml"],
            "--require-auth: anyone may call m0, m1, m2, m3, m4 and 2 more of service public",
        ),
    ],
)
def test_a_service_that_must_be_private_is_not_served_if_it_is_not(
    words: list[str],
    fault: str | None,
    tokens: Path,
    tmp_path: Path,
    ran: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    monkeypatch.delitem(sys.modules, "all_private", raising=False)
    (tmp_path / "all_private.py").write_text(PRIVATE)
    (tmp_path / "tokens.toml").write_bytes(tokens.read_bytes())
    name, *options = words
    assert main(["serve", f"all_private:{name}", "--require-auth", *options]) == (0 if fault is None else 2)
    said = capsys.readouterr().err
    assert fault is None or said.startswith(f"posthouse: {fault}\n"), said
    assert bool(ran) is (fault is None)
    assert fault is not None or ran["config"].require_authentication


def test_without_the_option_authentication_is_not_required(ran: dict[str, Any]) -> None:
    assert main(["serve"]) == 0
    assert not ran["config"].require_authentication


def test_check_names_the_methods_for_which_no_entry_has_the_scopes(
    tmp_path: Path, tokens: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "scoped_vault.py").write_text(
        "from posthouse.core import Service\n"
        "service = Service('vault')\n"
        "service.method('open', scopes={'admin'})(lambda: None)\n"
        "service.method('burn', scopes={'owner'})(lambda: None)\n"
    )
    assert main(["check", "scoped_vault:service", "--tokens", str(tokens)]) == 0
    said = capsys.readouterr().err
    assert said.startswith("warning: no caller can call burn (needs the scope owner) of service vault: no user in the")
    assert main(["check", "scoped_vault:service", "--tokens", "nowhere"]) == 2
    assert "cannot read nowhere" in capsys.readouterr().err


def test_a_real_server_accepts_a_new_token(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vault.py").write_text(
        "from posthouse.core import Context, Service\n"
        "service = Service('vault')\n"
        "@service.method(scopes={'read'})\n"
        "def who(context: Context) -> str:\n"
        "    return context.user\n"
    )
    assert main(["token", "hash", "--new", "--user", "eve", "--scope", "read"]) == 0
    shown = capsys.readouterr()
    (tmp_path / "tokens.toml").write_text(shown.out)
    (tmp_path / "token").touch(0o600)
    (tmp_path / "token").write_text(shown.err.rpartition(" ")[2])
    command = [sys.executable, "-m", "posthouse", "serve", "vault:service", "--tokens", "tokens.toml"]
    with subprocess.Popen(
        [*command, "--port", "0", "--log-level", "warning"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("listening on "), line  # no warning that nobody can call
            url = line.removeprefix("listening on ").strip()
            assert main(["call", url, "who", "--token-file", str(tmp_path / "token")]) == 0
            assert capsys.readouterr().out == '"eve"\n'
            assert main(["call", url, "who"]) == 1
        finally:
            process.kill()
