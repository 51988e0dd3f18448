"""`posthouse serve`: options become arguments of the server, errors become hints, and real processes answer."""

from __future__ import annotations

import errno
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from posthouse.adapters.command import running
from posthouse.adapters.command.main import main
from posthouse.core.values.config import Config

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
COMMAND = [sys.executable, "-m", "posthouse.adapters"]

pytestmark = pytest.mark.usefixtures("in_the_examples")


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) != 0
    return capsys.readouterr().err


def test_serve_without_a_module_serves_the_built_in_methods(ran: dict[str, Any]) -> None:
    assert main(["serve"]) == 0
    assert not ran["service"].methods
    del ran["service"], ran["started"]
    assert ran == {
        "backend": "asyncio",
        "host": None,
        "port": 8000,
        "unix": None,
        "tls_cert": None,
        "tls_key": None,
        "config": Config(),
        "allow_hosts": [],
        "allow_origins": [],
        "dev": False,
        "journal": None,
        "journal_bytes": 64 * 1024 * 1024,
    }


def test_every_option_of_the_command_is_passed_to_serve(ran: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("max_batch = 7\n")
    words = "serve calculator:service --host ::1 --host 127.0.0.1 --port 0 --unix /tmp/s --tls-cert c --tls-key k"
    words += f" --backend trio --config {tmp_path}/limits.toml --allow-host a --allow-host b --allow-origin https://o"
    words += " --dev --log-level debug --log-format json --journal j --journal-bytes 70000"
    assert main(words.split()) == 0
    assert ran["service"].name == "calculator"
    del ran["service"], ran["started"]
    assert ran == {
        "backend": "trio",
        "host": ["::1", "127.0.0.1"],
        "port": 0,
        "unix": "/tmp/s",
        "tls_cert": "c",
        "tls_key": "k",
        "config": Config(max_batch=7),
        "allow_hosts": ["a", "b"],
        "allow_origins": ["https://o"],
        "dev": True,
        "journal": "j",
        "journal_bytes": 70_000,
    }


def test_a_port_that_is_in_use_is_an_error_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert complaint(capsys, "serve", "--port", str(port)) == (
            f"posthouse: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
            "  another program listens there: stop it, or use another --port (0 selects a free one)\n"
        )


@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.EACCES, "use a --port above 1023"), (errno.EADDRNOTAVAIL, "an address of this machine"), (errno.EIO, "")],
)
def test_an_error_of_the_system_has_a_hint(
    code: int, advice: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(running, "run", run)
    said = complaint(capsys, "serve")
    assert said.startswith("posthouse: refused\n")
    assert advice in said


def test_a_host_that_cannot_be_resolved_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot resolve 'host.invalid.'" in complaint(capsys, "serve", "--host", "host.invalid.")


def test_an_invalid_certificate_is_an_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    assert "cert.pem" in complaint(capsys, "serve", "--port", "0", "--tls-cert", f"{tmp_path}/cert.pem")
    assert "none.pem" in complaint(capsys, "serve", "--port", "0", "--tls-cert", f"{tmp_path}/none.pem")


def test_a_key_without_a_certificate_is_no_tls(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--tls-key needs --tls-cert" in complaint(capsys, "serve", "--tls-key", "key.pem")


def test_a_unix_socket_has_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the path of the unix socket is empty" in complaint(capsys, "serve", "--unix", "")


@pytest.mark.parametrize("option", [("--port", "0"), ("--port", "9000"), ("--tls-cert", "cert.pem")])
def test_options_for_tcp_are_refused_with_a_unix_socket_alone(
    option: tuple[str, str], ran: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    said = complaint(capsys, "serve", "--unix", "/tmp/s", *option)
    assert said.startswith(
        f"posthouse: {option[0]} is for TCP, but --unix alone listens on no TCP port\n  to listen on TCP too"
    )
    assert main(["serve", "--unix", "/tmp/s", "--host", "127.0.0.1", *option]) == 0
    assert main(["serve", "--unix", "/tmp/s"]) == 0
    assert (ran["unix"], ran["host"], ran["port"]) == ("/tmp/s", None, 8000)


def test_listening_beyond_this_machine_needs_allowed_host_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--allow-host" in complaint(capsys, "serve", "--host", "0.0.0.0", "--port", "0")
    assert "--dev is only for loopback addresses" in complaint(
        capsys, "serve", "--host", "0.0.0.0", "--port", "0", "--dev"
    )


def test_an_event_loop_that_is_not_installed_is_an_error_with_a_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "find_spec", lambda _: None)
    assert "pip install 'posthouse[trio]'" in complaint(capsys, "serve", "--backend", "trio")


def test_an_interrupted_command_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", interrupted)
    assert main(["serve"]) == 130


# Real processes


@contextmanager
def serving(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`posthouse serve`, and where it says that it listens."""
    command = [*COMMAND, "serve", "calculator:service", "--port", "0", *words]
    with subprocess.Popen(command, cwd=EXAMPLES, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            while not (line := process.stderr.readline()).startswith("listening on "):
                assert line, "it ended before it listened"
            yield process, line.removeprefix("listening on ").strip()
        finally:
            process.kill()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_serve_prints_its_address_answers_and_is_exit_code_0(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving("--backend", backend, "--log-format", "json", "--dev") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert main(["call", url, "subtract", "minuend:=42", "subtrahend:=23"]) == 0
        assert capsys.readouterr().out == "19\n"
        assert main(["call", url, "memory.store", "number:=1"]) == 0
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate()
        assert process.returncode == 0
    suggested, logged = rest.split("\n\n")
    assert f" call {url} subtract minuend:=42 subtrahend:=23\n" in suggested
    assert [json.decode(line)["event"] for line in logged.splitlines()][:2] == ["connection.closed"] * 2
