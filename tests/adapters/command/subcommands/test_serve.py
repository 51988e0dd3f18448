"""`posthouse serve`: options become arguments of the server, errors become hints, and real processes answer."""

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
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import json
from posthouse.adapters.command import running
from posthouse.adapters.command.main import main
from posthouse.adapters.server import arguments
from posthouse.core.values.config import Config

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
COMMAND = [sys.executable, "-m", "posthouse"]

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
        "unix_mode": 0o600,
        "unix_group": None,
        "fds": [],
        "store": None,
        "tls_cert": None,
        "tls_key": None,
        "tls_passphrase": None,
        "tls_passphrase_file": None,
        "config": Config(),
        "allow_hosts": [],
        "allow_origins": [],
        "rpc_path": "/rpc",
        "ws_path": "/ws",
        "root_path": "",
        "metrics": None,
        "dev": False,
        "access_log": False,
        "journal": None,
        "journal_bytes": 64 * 1024 * 1024,
    }


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            ["serve"],
            [
                "listening on http://127.0.0.1:8000",
                "only the built-in methods are served: to serve yours, run posthouse serve MODULE:SERVICE",
            ],
        ),
        (["serve", "calculator:service"], ["listening on http://127.0.0.1:8000"]),
    ],
)
def test_serve_says_when_it_has_no_service(
    words: list[str], lines: list[str], ran: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    ran["started"](SimpleNamespace(bound=[SimpleNamespace(url="http://127.0.0.1:8000")], metrics=None))
    assert capsys.readouterr().err.splitlines() == lines


def test_every_option_of_the_command_is_passed_to_serve(ran: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("max_batch = 7\n")
    words = "serve calculator:service --host ::1 --host 127.0.0.1 --port 0 --unix /tmp/s --tls-cert c --tls-key k"
    words += " --tls-passphrase-file p --unix-mode 660 --unix-group g --fd 8 --fd 9"
    words += f" --backend trio --config {tmp_path}/limits.toml --allow-host a --allow-host b --allow-origin https://o"
    words += " --rpc-path /r --ws-path / --root-path /api --metrics 127.0.0.1:9100"
    words += " --trust-proxy 10.0.0.0/8 --trust-proxy unix --proxy-headers forwarded --trust-forwarded-host"
    words += " --dev --log-level debug --log-format json --access-log --journal j --journal-bytes 70000"
    assert main(words.split()) == 0
    assert ran["service"].name == "calculator"
    del ran["service"], ran["started"]
    assert ran == {
        "backend": "trio",
        "host": ["::1", "127.0.0.1"],
        "port": 0,
        "unix": "/tmp/s",
        "unix_mode": 0o660,
        "unix_group": "g",
        "fds": [8, 9],
        "store": None,
        "tls_cert": "c",
        "tls_key": "k",
        "tls_passphrase": None,
        "tls_passphrase_file": "p",
        "config": Config(
            max_batch=7,
            trust_proxies=("10.0.0.0/8", "unix"),
            proxy_headers="forwarded",
            trust_forwarded_host=True,
        ),
        "allow_hosts": ["a", "b"],
        "allow_origins": ["https://o"],
        "rpc_path": "/r",
        "ws_path": "/",
        "root_path": "/api",
        "metrics": "127.0.0.1:9100",
        "dev": True,
        "access_log": True,
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


def test_it_prints_its_configuration_and_serves_nothing(
    ran: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = tmp_path / "limits.toml"
    limits.write_text("call_timeout = 5.0\n")
    words = f"serve calculator:service --print-config --config {limits} --trust-proxy unix --trust-forwarded-host"
    assert main(words.split()) == 0
    printed = capsys.readouterr().out.splitlines()
    assert f"call_timeout = 5.0  # {limits}" in printed
    assert 'trust_proxies = ["unix"]  # --trust-proxy' in printed
    assert "trust_forwarded_host = true  # --trust-forwarded-host" in printed
    assert "require_authentication = false  # default" in printed
    assert ran == {}
    assert main(["serve", "--print-config"]) == 0
    assert "call_timeout = 30.0  # default" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("mode", ["0o660x", "8", "1777", "-1", ""])
def test_permissions_are_octal_digits(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "serve", "--unix", "s", "--unix-mode", mode)
    assert f"--unix-mode {mode!r}: give permissions as octal digits, such as 660" in said


@pytest.mark.parametrize("option", ["--unix-mode", "--unix-group"])
def test_permissions_need_a_unix_socket(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"{option} is for a unix socket: add --unix PATH" in complaint(capsys, "serve", option, "660")


def test_a_key_without_a_certificate_is_no_tls(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--tls-key needs --tls-cert" in complaint(capsys, "serve", "--tls-key", "key.pem")


def test_a_unix_socket_has_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert "the path of the unix socket is empty" in complaint(capsys, "serve", "--unix", "")


@pytest.mark.parametrize(
    ("words", "passphrase"), [("--tls-cert c", "words"), ("--tls-cert c --tls-passphrase-file p", None), ("", None)]
)
def test_the_passphrase_of_a_key_may_be_in_the_environment(
    words: str, passphrase: str | None, ran: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTHOUSE_TLS_PASSPHRASE", "words")
    assert main(["serve", "calculator:service", *words.split()]) == 0
    assert ran["tls_passphrase"] == passphrase


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


@pytest.mark.parametrize("option", ["--rpc-path", "--ws-path", "--root-path"])
def test_a_path_that_cannot_be_served_is_refused_with_one_that_can(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(capsys, "serve", option, "api/") == (
        f"posthouse: {option} 'api/': write it as '/api', with single slashes and none at its end\n"
    )


def test_an_address_for_metrics_has_a_host_and_a_port(capsys: pytest.CaptureFixture[str]) -> None:
    assert complaint(capsys, "serve", "--metrics", "9100") == (
        "posthouse: --metrics '9100': write a host and a port from 0 to 65535, such as '127.0.0.1:9100'\n"
    )


def test_proxies_are_trusted_by_the_configuration_file_unless_the_command_line_names_some(
    ran: dict[str, Any], tmp_path: Path
) -> None:
    lines = ('trust_proxies = ["10.0.0.1"]', 'proxy_headers = "forwarded"', "trust_forwarded_host = true")
    (tmp_path / "limits.toml").write_text("\n".join(lines) + "\n")
    words = ["serve", "--config", f"{tmp_path}/limits.toml"]
    assert main(words) == 0
    assert ran["config"] == Config(trust_proxies=("10.0.0.1",), proxy_headers="forwarded", trust_forwarded_host=True)
    assert main([*words, "--trust-proxy", "::1", "--proxy-headers", "x-forwarded"]) == 0
    assert ran["config"] == Config(trust_proxies=("::1",), trust_forwarded_host=True)


def test_a_proxy_that_is_no_address_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "serve", "--trust-proxy", "10.0.0.0/33")
    assert said.startswith("posthouse: --trust-proxy contains '10.0.0.0/33': give a network such as 10.0.0.0/8 or ")
    assert "proxy.example" in complaint(capsys, "serve", "--trust-proxy", "proxy.example")


@pytest.mark.parametrize("option", [("--proxy-headers", "forwarded"), ("--trust-forwarded-host",)])
def test_options_about_trusted_proxies_need_one(option: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    said = complaint(capsys, "serve", *option)
    assert said.startswith(f"posthouse: {option[0]} is about trusted proxies, and there is none\n  add --trust-proxy")


def test_listening_beyond_this_machine_needs_allowed_host_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--allow-host" in complaint(capsys, "serve", "--host", "0.0.0.0", "--port", "0")
    assert "--dev is only for loopback addresses" in complaint(
        capsys, "serve", "--host", "0.0.0.0", "--port", "0", "--dev"
    )


def test_an_event_loop_that_is_not_installed_is_an_error_with_a_hint(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "find_spec", lambda _: None)
    assert "pip install 'posthouse[trio]'" in complaint(capsys, "serve", "--backend", "trio")
    assert "pip install 'posthouse[fast]'" in complaint(capsys, "serve", "--backend", "uvloop")


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


@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_serve_prints_its_address_answers_and_is_exit_code_0(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving("--backend", backend, "--dev", "--log-level", "warning") as (process, url):
        assert url.startswith("http://127.0.0.1:")
        assert main(["call", url, "subtract", "minuend:=42", "subtrahend:=23"]) == 0
        assert capsys.readouterr().out == "19\n"
        assert main(["call", url, "memory.store", "number:=1"]) == 0
        process.send_signal(signal.SIGTERM)
        _, suggested = process.communicate()
        assert process.returncode == 0
    assert f" call {url} subtract minuend:=42 subtrahend:=23\n" in suggested


# For machines: every line of stderr is a JSON object

NOISY = """
import asyncio, gc, logging, sys, threading, warnings
from posthouse.core import Service

warnings.warn("on import")
service = Service("noisy", public=True)

@service.method
def warn() -> None:
    warnings.warn("a\\nb")

@service.method
def misfit() -> None:
    logging.getLogger("mine").warning("%d", "x")

@service.method
def broken() -> None:
    raise ValueError("one\\ntwo")

@service.method
def thread() -> None:
    started = threading.Thread(target=lambda: 1 / 0)
    started.start()
    started.join()

@service.method
def unraisable() -> None:
    class Broken:
        def __del__(self) -> None:
            raise LookupError
    Broken()
    gc.collect()

@service.on("call.failed")
def hook(event) -> None:
    raise RuntimeError

@service.method(public=False)
def closed() -> None: ...
"""


@pytest.fixture
def noisy(tmp_path: Path) -> Path:
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "crashing.py").write_text("raise ValueError('one\\ntwo')")
    return tmp_path


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.decode(line, type=dict[str, Any]) for line in text.splitlines()]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_every_line_is_json_whatever_goes_wrong(noisy: Path, backend: str) -> None:
    command = [*COMMAND, "serve", "noisy:service", "--port", "0", "--log-format", "json", "--backend", backend]
    environment = {**os.environ, "PYTHONASYNCIODEBUG": "1", "PYTHONWARNINGS": "default"}
    with subprocess.Popen(
        [*command, "--log-level", "debug", "--access-log"],
        cwd=noisy,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines: list[dict[str, Any]] = []
        while not lines or lines[-1].get("event") != "server.listening":
            lines += json_lines(process.stderr.readline())
        for method in ("warn", "misfit", "broken", "thread", "unraisable", "closed", "no\nsuch"):
            main(["call", lines[-1]["url"], method])
        process.send_signal(signal.SIGTERM)
        out, rest = process.communicate()
        assert (process.returncode, out) == (0, "")
    lines += json_lines(rest)
    events = [line["logger"] if line["event"] == "log" else line["event"] for line in lines]
    for event in ("methods.uncallable", "py.warnings", "log.failed", "call.failed", "hook.failed", "uncaught"):
        assert event in events
    assert "server.stopped" in events[-2:]  # asyncio says in its debug mode that its loop is closed
    ended = [(line["method"], line["outcome"], line.get("code")) for line in lines if line.get("event") == "call.ended"]
    assert ended == [
        ("warn", "result", None),
        ("misfit", "result", None),
        ("broken", "error", -32603),
        ("thread", "result", None),
        ("unraisable", "result", None),
        ("closed", "error", -32020),
        ("no\\nsuch", "error", -32601),
    ]
    assert {line["kind"] for line in lines if line.get("event") == "uncaught"} == {"ZeroDivisionError", "LookupError"}


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["noisy:nothing"], 2, "noisy has no 'nothing'"),
        (["noisy:\udcff"], 2, "noisy has no '\\udcff'"),
        (["crashing:service"], 1, "module crashing raised an exception on import"),
        (["noisy:service", "--unix", "s", "--tls-cert", "k"], 2, "--tls-cert is for TCP"),
        (["noisy:service", "--config", "none.toml"], 2, "cannot read none.toml"),
        (["noisy:service", "--host", "0.0.0.0"], 2, "0.0.0.0 is not a loopback address"),
        (["noisy:service", "--journal", "none/j"], 1, "cannot write the journal none/j"),
    ],
)
def test_a_failure_of_the_command_is_a_line_of_json(noisy: Path, words: list[str], status: int, message: str) -> None:
    command = [*COMMAND, "serve", *words, "--port", "0", "--log-format", "json"]
    command = [word for word in command if "--unix" not in command or word not in ("--port", "0")]
    done = subprocess.run(command, cwd=noisy, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (status, "")
    failure = json_lines(done.stderr)[-1]
    assert (failure["level"], failure["event"]) == ("error", "command.failed")
    assert failure["message"].startswith(message)


def test_a_defect_of_the_command_is_a_line_of_json(noisy: Path) -> None:
    program = (
        "import sys\nfrom posthouse.adapters.command import running\nfrom posthouse.adapters.command.main import main\n"
        "def broken(*_, **__):\n    raise LookupError('one\\ntwo')\nrunning.run = broken\n"
        "sys.exit(main(['serve', '--log-format', 'json']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=noisy, capture_output=True, text=True)
    (line,) = json_lines(done.stderr)
    assert (done.returncode, line["event"], line["kind"]) == (1, "uncaught", "LookupError")
    assert line["traceback"][-2:] == ["LookupError: one", "two"]
