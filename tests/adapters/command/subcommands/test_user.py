"""`posthouse user`, `posthouse token` and `posthouse session` on a store: a file, or that of a server."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme
from posthouse.adapters import Options, Server, running
from posthouse.adapters.command.main import main
from posthouse.adapters.store import SqliteStore
from posthouse.core import Config, Service
from posthouse.core.store.requests import AddSession
from posthouse.core.store.rows import SessionRow
from posthouse.core.values.peers import Identity

CHEAP = "argon2_passes = 1\nargon2_memory = 8192\nargon2_lanes = 1\ndrain_spread = 0.0\n"
LIMITS = Config(argon2_passes=1, argon2_memory=8192, argon2_lanes=1, drain_spread=0.0)


class Command:
    """Runs the command on one store. `out` has the lines that it has printed."""

    def __init__(self, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *where: str) -> None:
        self._patch, self._capsys, self._where = patch, capsys, where
        self.out: list[str] = []
        self.error = ""

    def __call__(self, *words: str, given: str = "") -> int:
        self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
        status = main([*words, *self._where])
        shown = self._capsys.readouterr()
        self.out, self.error = shown.out.splitlines(), shown.err
        return status

    @property
    def rows(self) -> list[Any]:
        return [json.loads(line) for line in self.out]


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "limits.toml"
    file.write_text(CHEAP)
    return str(file)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "users.sqlite")


@pytest.fixture
def command(path: str, config: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys, "--store", path, "--config", config)


def test_users_are_made_listed_changed_and_removed(command: Command) -> None:
    assert command("user", "add", "ada", "--scope", "write", given="canary\n") == 0
    assert command("user", "add", "bob", given="canary\n") == 0
    assert command("user", "list") == 0
    assert [(row["user"], row["scopes"]) for row in command.rows] == [("ada", ["write"]), ("bob", [])]
    assert "canary" not in "".join(command.out)
    assert command("user", "scopes", "ada", "--scope", "read") == 0
    assert command("user", "disable", "ada") == 0
    assert [(row["scopes"], row["disabled"]) for row in command.rows] == [(["read"], True)]
    assert command("user", "enable", "ada") == 0
    assert command("user", "password", "ada", given="another\n") == 0
    assert command("user", "remove", "bob") == 0
    assert command("user", "list") == 0
    assert [row["user"] for row in command.rows] == ["ada"]


def test_what_cannot_be_done_is_said(command: Command) -> None:
    assert command("user", "remove", "nobody") == 1
    assert "error -32602: Invalid params" in command.error
    assert "there is no such user" in command.error
    assert command("user", "add", "ada", given="") == 2
    assert "there is no password" in command.error


def test_tokens_are_made_listed_and_revoked(command: Command) -> None:
    command("user", "add", "ada", "--scope", "write", given="pw\n")
    assert command("token", "create", "ada", "--expires", "60", "--label", "laptop") == 0
    (token,) = command.out
    assert len(token) == 43
    assert command("token", "list", "ada") == 0
    ((row),) = command.rows
    assert (row["label"], row["scopes"]) == ("laptop", ["write"])
    assert row["expires_at"] == pytest.approx(row["created_at"] + 60)
    assert command("token", "revoke", row["id"]) == 0
    assert command("token", "list", "ada") == 0
    assert command.out == []
    assert command("token", "create", "ada", "--scope", "read") == 0


def test_sessions_of_a_file_are_listed_and_ended(command: Command, path: str) -> None:
    async def make() -> None:
        store = SqliteStore(path)
        await store.open()
        for number in range(101):
            row = SessionRow(
                id=f"{number:022}",
                identity=Identity("ada"),
                current=bytes([number]) * 32,
                created_at=1e9,
                used_at=4e9,
                ends_at=5e9,
            )
            await store.perform(AddSession(f"{number:032x}", row, 1000, 1000, 4e9, 1e9))
        await store.close()

    anyio.run(make)
    assert command("session", "list", "ada") == 0
    assert len(command.rows) == 101
    assert command("session", "end", f"{7:022}") == 0
    assert command("session", "end", f"{7:022}") == 1
    assert "there is no such session" in command.error
    assert command("session", "list") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give the store: --store PATH, or --url URL of a server"),
        (["--store", "x", "--url", "y"], "give the store"),
        (["--store", "x", "--token-file", "y"], "--token-file is for --url"),
    ],
)
def test_one_store_must_be_named(
    words: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = Command(monkeypatch, capsys, *words)
    assert command("user", "list") == 2
    assert message in command.error


class Serving:
    """A server with users in a thread of its own, on this file."""

    def __init__(self, path: str, certificate: Path | None = None) -> None:
        self._path = path
        self._certificate = certificate
        self.began, self.ends = threading.Event(), threading.Event()
        self.url = ""
        self._thread = threading.Thread(target=lambda: anyio.run(self._serve))

    async def _serve(self) -> None:
        service = Service("users", users=True, sessions="on")
        options: Options = {} if self._certificate is None else {"tls_cert": self._certificate}
        options |= {"port": 0, "store": SqliteStore(self._path), "config": LIMITS}
        async with running(service, **options) as server:
            self.url = at(server)
            self.began.set()
            await anyio.to_thread.run_sync(self.ends.wait)

    def __enter__(self) -> Serving:
        self._thread.start()
        assert self.began.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self._thread.join(60)


def at(server: Server) -> str:
    """The address of a server."""
    return server.bound[0].url


@pytest.fixture
def serving(command: Command, path: str, tmp_path: Path) -> Iterator[Serving]:
    command("user", "add", "root", "--scope", "users", "--scope", "write", given="pw\n")
    command("token", "create", "root")
    token = tmp_path / "token"
    token.write_text(command.out[0])
    token.chmod(0o600)
    command("user", "add", "ada", "--scope", "write", given="pw\n")
    command("token", "create", "ada")
    (tmp_path / "other").write_text(command.out[0])
    with Serving(path) as server:
        yield server


def test_a_server_is_asked_for_the_same(
    serving: Serving,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command("user", "list") == 1
    assert "is in use by" in command.error
    there = Command(monkeypatch, capsys, "--url", serving.url, "--token-file", str(tmp_path / "token"))
    assert there("user", "add", "bob", "--scope", "write", given="pw\n") == 0
    assert there("user", "list") == 0
    assert [row["user"] for row in there.rows] == ["ada", "bob", "root"]
    assert there("token", "create", "bob") == 0
    assert len(there.out[0]) == 43
    assert there("session", "list") == 0
    headers = {"Authorization": f"Bearer {(tmp_path / 'other').read_text()}"}
    create = {"jsonrpc": "2.0", "method": "session.create", "id": 1}
    made = httpx.post(f"{serving.url}/rpc", json=create, headers=headers).json()["result"]
    assert there("session", "list", "ada") == 0
    assert [row["id"] for row in there.rows] == [made["id"]]
    assert there("session", "end", made["id"]) == 0
    assert there("session", "list", "ada") == 0
    assert there.rows == []
    assert there("session", "end", "unknown") == 1
    monkeypatch.setenv("POSTHOUSE_TOKEN", (tmp_path / "other").read_text())
    ada = Command(monkeypatch, capsys, "--url", serving.url)
    assert ada("session", "list") == 0
    assert ada("session", "list", "root") == 1
    assert ada("user", "list") == 1
    assert "needs the scope users" in ada.error


def test_a_server_behind_an_authority_of_its_own_is_asked_with_its_file(
    command: Command,
    path: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command("user", "add", "root", "--scope", "users", given="pw\n")
    command("token", "create", "root")
    monkeypatch.setenv("POSTHOUSE_TOKEN", command.out[0])
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    assert command("user", "list", "--ca", str(tmp_path / "ca.pem")) == 2
    assert "--ca is for --url" in command.error
    with Serving(path, tmp_path / "server.pem") as server:
        trusting = Command(monkeypatch, capsys, "--url", server.url, "--ca", str(tmp_path / "ca.pem"))
        assert trusting("user", "list") == 0
        assert [row["user"] for row in trusting.rows] == ["root"]
        assert Command(monkeypatch, capsys, "--url", server.url)("user", "list") == 3
