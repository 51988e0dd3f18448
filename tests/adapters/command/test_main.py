"""The command as it is used: options into calls of the front door, failures into advice, and real processes."""

from __future__ import annotations

import errno
import os
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
from posthouse.adapters.command import logs
from posthouse.adapters.command import main as cli
from posthouse.adapters.command.main import main
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
COMMAND = [sys.executable, "-m", "posthouse.adapters"]


@pytest.fixture(autouse=True)
def in_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(logs, "configure", lambda *_: None)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `run` was asked for, instead of running it."""
    options: dict[str, Any] = {}

    def run(service: object, **given: object) -> None:
        options.update(given, service=service)

    monkeypatch.setattr(cli, "run", run)
    return options


# Help


@pytest.mark.parametrize("command", [[], ["serve"], ["stdio"], ["call"], ["check"], ["replay"]])
def test_every_command_has_help_with_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([*command, "--help"])
    assert left.value.code == 0
    assert "example" in capsys.readouterr().out


def test_the_help_says_that_given_names_replace_the_usual_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "in place of localhost, 127.0.0.1 and [::1]" in said
    assert "docs/proxy.md" in said and "docs/limits.md" in said


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == "posthouse 0.1.0\n"


@pytest.mark.parametrize(
    "words", [[], ["fly"], ["serve", "--port", "65536"], ["serve", "--port", "-1"], ["serve", "a:b", "c:d"]]
)
def test_a_wrong_command_line_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "usage: posthouse" in capsys.readouterr().err


# serve


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


def test_serve_hands_every_option_to_the_front_door(ran: dict[str, Any], tmp_path: Path) -> None:
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


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) != 0
    return capsys.readouterr().err


def test_a_port_that_is_taken_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert complaint(capsys, "serve", "--port", str(port)) == (
            f"posthouse: cannot listen on 127.0.0.1 port {port}: Address already in use\n"
            "  another program listens there: end it, or choose another port with --port (0 picks a free one)\n"
        )


@pytest.mark.parametrize(
    ("code", "advice"),
    [(errno.EACCES, "choose a port above 1023"), (errno.EADDRNOTAVAIL, "that this machine has"), (errno.EIO, "")],
)
def test_what_the_system_refuses_says_what_to_do(
    code: int, advice: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(cli, "run", run)
    said = complaint(capsys, "serve")
    assert said.startswith("posthouse: refused\n")
    assert advice in said


def test_a_name_that_leads_nowhere_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be resolved" in complaint(capsys, "serve", "--host", "host.invalid.")


def test_a_bad_certificate_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    assert "cert.pem" in complaint(capsys, "serve", "--port", "0", "--tls-cert", f"{tmp_path}/cert.pem")
    assert "none.pem" in complaint(capsys, "serve", "--port", "0", "--tls-cert", f"{tmp_path}/none.pem")


def test_a_key_without_a_certificate_is_no_tls(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--tls-key is given without --tls-cert" in complaint(capsys, "serve", "--tls-key", "key.pem")


def test_a_unix_socket_has_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the path of a unix socket is empty" in complaint(capsys, "serve", "--unix", "")


@pytest.mark.parametrize("option", [("--port", "0"), ("--port", "9000"), ("--tls-cert", "cert.pem")])
def test_what_is_for_tcp_is_refused_where_a_unix_socket_is_all(
    option: tuple[str, str], ran: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    said = complaint(capsys, "serve", "--unix", "/tmp/s", *option)
    assert said.startswith(
        f"posthouse: {option[0]} is for TCP, and with --unix alone there is none\n  to listen on both"
    )
    assert main(["serve", "--unix", "/tmp/s", "--host", "127.0.0.1", *option]) == 0
    assert main(["serve", "--unix", "/tmp/s"]) == 0
    assert (ran["unix"], ran["host"], ran["port"]) == ("/tmp/s", None, 8000)


def test_listening_to_more_than_this_machine_needs_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--allow-host" in complaint(capsys, "serve", "--host", "0.0.0.0", "--port", "0")
    assert "dev" in complaint(capsys, "serve", "--host", "0.0.0.0", "--port", "0", "--dev")


def test_a_loop_that_is_not_installed_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _: None)
    assert "pip install 'posthouse[trio]'" in complaint(capsys, "serve", "--backend", "trio")


def test_an_interrupted_command_is_exit_code_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", interrupted)
    assert main(["serve"]) == 130


# stdio


def test_stdio_takes_the_pipes_before_it_imports_the_service(
    ran: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[object] = []

    def take_pipes() -> tuple[int, int]:
        order.append("pipes")
        return 8, 9

    monkeypatch.setattr(cli, "take_pipes", take_pipes)

    def load(target: str) -> Service:
        order.append(target)
        return Service("loaded")

    monkeypatch.setattr(cli, "load_service", load)
    assert main(["stdio", "calculator:service", "--dev"]) == 0
    assert order == ["pipes", "calculator:service"]
    assert (ran["pipes"], ran["dev"], ran["backend"]) == ([(8, 9)], True, "asyncio")


# check


def test_check_lists_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "calculator:service"]) == 0
    said = capsys.readouterr().out
    assert "calculator 1.0.0: 8 methods\n" in said
    assert "divide(dividend: int | float, divisor: int | float) -> float\n" in said


def test_check_says_what_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong_service.py").write_text(
        "from posthouse.core import Service\nservice = Service('s')\nservice.method('connection.ping')(print)\n"
    )
    assert "posthouse: module wrong_service declares a service wrongly:" in complaint(
        capsys, "check", "wrong_service:service"
    )


def test_check_finds_what_only_the_whole_service_shows(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no_schema.py").write_text(
        "from typing import Any\nfrom msgspec import Struct\nfrom posthouse.core import Service\n"
        "class Strange(Struct):\n    thing: Any = object()\n"
        "service = Service('s')\n@service.method\ndef take(thing: Strange) -> None: ...\n"
    )
    assert complaint(capsys, "check", "no_schema:service").startswith(
        "posthouse: no_schema:service cannot be served: a type has no JSON Schema"
    )


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
def test_serve_says_where_it_listens_answers_and_leaves_with_0(
    backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
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


def test_stdio_speaks_lines_and_no_print_of_the_service_gets_between(tmp_path: Path) -> None:
    (tmp_path / "loud.py").write_text(
        "print('imported')\nfrom posthouse.core import Service\nservice = Service('loud', public=True)\n"
        "@service.method\ndef shout(text: str) -> str:\n    print('called')\n    return text.upper()\n"
    )
    request = {"jsonrpc": "2.0", "method": "shout", "params": ["hi"], "id": 1}
    done = subprocess.run(
        [*COMMAND, "stdio", "loud:service"], cwd=tmp_path, input=json.encode(request) + b"\n", capture_output=True
    )
    assert (done.returncode, done.stdout) == (0, b'{"jsonrpc":"2.0","result":"HI","id":1}\n'), done.stderr
    assert b"imported\n" in done.stderr
    assert b"called\n" in done.stderr


@pytest.mark.parametrize(
    ("said", "code"), [(b"nonsense\n" * 12, 4400), (b"Content-Length: x\r\n\r\n", 1002), (b"nonsense\n", None)]
)
def test_stdio_leaves_with_1_where_it_had_to_close_the_connection(said: bytes, code: int | None) -> None:
    command = [*COMMAND, "stdio", "calculator:service"]
    done = subprocess.run(command, cwd=EXAMPLES, input=said, capture_output=True)
    assert done.returncode == (0 if code is None else 1)
    assert (f"it was closed with {code}\n".encode() in done.stderr) is (code is not None)


def test_whoever_reads_our_output_may_go(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [*COMMAND, "check", "calculator:service"]
    done = subprocess.run(command, cwd=EXAMPLES, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
