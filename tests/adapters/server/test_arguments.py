"""Mistakes in the arguments of `serve` and `run` are named with their fix, before anything is opened."""

from __future__ import annotations

import asyncio
import inspect
import math
import sys
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from posthouse.adapters import run, serve
from posthouse.adapters.server.arguments import CHECKS, KINDS, OTHERS, Options
from posthouse.adapters.server.server import Server
from posthouse.core import Config, Service, UsageError

SERVICE: Any = Service("arguments", public=True)

Serve = Callable[..., None]


def with_serve(*arguments: Any, **options: Any) -> None:
    async def main() -> None:
        await serve(*arguments, **options)

    anyio.run(main)


@pytest.fixture(params=[run, with_serve], ids=["run", "serve"])
def served(request: pytest.FixtureRequest) -> Serve:
    """Both ways to start a server."""
    starts: Serve = request.param
    return starts


def refused(served: Serve, service: Any = SERVICE, **options: Any) -> str:
    with pytest.raises(UsageError) as caught:
        served(service, **{"port": 0, "started": stop, **options})  # what is not refused must not serve for ever
    return str(caught.value)


def stop(server: Server) -> None:
    server.shut_down()


def test_arguments_that_are_right_are_taken(served: Serve) -> None:
    served(SERVICE, port=0, host="localhost", started=stop, signals=False, config=Config(), allow_origins=(), dev=False)
    served(SERVICE, port=0, host=["::1", "127.0.0.1"], started=stop, allow_hosts=["localhost"])


def test_run_has_the_arguments_of_serve() -> None:
    arguments = set(inspect.signature(serve).parameters) - {"service", "task_status", "unknown"}
    assert set(Options.__annotations__) == arguments
    assert arguments >= {*CHECKS, *KINDS}
    assert not arguments & {*OTHERS}


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("hosts", "did you mean 'host'?"),
        ("started_at", "did you mean 'started'?"),
        ("reload", "the command reloads: posthouse serve --reload"),
        ("workers", "use run(service, processes=N), or posthouse serve --workers N; threads are "),
        ("ssl_certfile", "use tls_cert"),
        ("max_batch", "it is a limit, config=Config(max_batch=…)"),
        ("zzz", "its arguments are host, port, unix, unix_mode, unix_group, fds, pipes, "),
    ],
)
def test_an_unknown_argument_is_refused_with_what_to_use_instead(served: Serve, name: str, advice: str) -> None:
    assert refused(served, **{name: 1}).startswith(f"serve has no argument {name!r}: {advice}")


class Own(Service):
    """A service class of one's own."""


@pytest.mark.parametrize(
    ("service", "problem"),
    [
        (Service, 'the class Service: create an instance, such as Service("name")'),
        (Own, "the class Own: create an instance"),
        (
            "greeter:service",
            "the string 'greeter:service': import it, `from greeter import service`, or run the command "
            "`posthouse serve greeter:service`",
        ),
        ("greeter", "the string 'greeter': import it, `from greeter import service`"),
        (serve, "the function 'serve': declare it with @service.method, and serve the service"),
        (max, "the function 'max'"),
        (math, "the module 'math': serve the Service in it"),
        (None, "an object of the type NoneType"),
    ],
)
def test_what_is_not_a_service_is_refused(served: Serve, service: Any, problem: str) -> None:
    assert refused(served, service).startswith(f"serve takes a Service, not {problem}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": "8000"}, "port is '8000', but must be a whole number from 0 to 65535"),
        ({"port": 65536}, "port is 65536"),
        ({"port": -1}, "port is -1"),
        ({"port": True}, "port is True"),
        ({"port": None}, "port is None"),
        (
            {"host": "127.0.0.1:8000"},
            "host '127.0.0.1:8000' includes a port: use 127.0.0.1 as the host",
        ),
        ({"host": "[::1]:80"}, "host '[::1]:80' includes a port: use ::1 as the host and 80 as the port"),
        (
            {"host": ["localhost", "http://localhost"]},
            "host 'http://localhost' is a URL",
        ),
        ({"host": ""}, "host is empty: for every IPv4 address of this machine, use 0.0.0.0"),
        ({"host": 3}, "host is 3, but must be a string, or several"),
        ({"host": [3]}, "host is [3], but must be a string, or several"),
        ({"host": []}, "there is nothing to listen on: host is empty"),
        (
            {"allow_origins": "https://a.example"},
            "allow_origins is a single string: give a list, ['https://a.example']",
        ),
        ({"allow_hosts": "a.example"}, "allow_hosts is a single string: give a list, ['a.example']"),
        ({"config": {"max_batch": 3}}, "config is a mapping: use Config.from_mapping(…)"),
        ({"config": "x.toml"}, "config is 'x.toml': to read a TOML file, use Config.from_mapping(tomllib.load(file))"),
        ({"config": None}, "config is None: give a Config, or leave it out"),
        ({"dev": "false"}, "dev is 'false', but must be True or False"),
        ({"access_log": "no"}, "access_log is 'no', but must be True or False"),
        ({"signals": 1}, "signals is 1, but must be True or False"),
        ({"started": 3}, "started is 3, but must be a function that takes the Server"),
        ({"pipes": (0, 1)}, "pipes contains 0: each is a pair of descriptors, to read from and to write to"),
        ({"pipes": 0}, "pipes contains 0"),
        ({"fds": 3}, "fds is 3: give a list of descriptors, such as [3]"),
        ({"fds": "3"}, "fds is '3': give a list of descriptors"),
        ({"fds": [-1]}, "fds is [-1]: give a list of descriptors"),
        ({"fds": [True]}, "fds is [True]: give a list of descriptors"),
        ({"unix_mode": 0o1000}, "unix_mode is 512, but must be the permissions of a file, such as 0o660"),
        ({"unix_mode": "660"}, "unix_mode is '660', but must be the permissions of a file"),
        ({"pipes": [("in", "out")]}, "pipes contains ('in', 'out')"),
        ({"tls_key": "key.pem"}, "tls_key needs tls_cert"),
    ],
)
def test_a_wrong_value_is_refused_with_the_right_one(served: Serve, options: dict[str, Any], message: str) -> None:
    assert refused(served, **options).startswith(message)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("Trio", "backend is 'Trio': it must be 'asyncio', 'uvloop' or 'trio'"),
        ("curio", "backend is 'curio': it must be 'asyncio', 'uvloop' or 'trio'"),
    ],
)
def test_another_event_loop_is_refused(backend: str, message: str) -> None:
    assert refused(run, backend=backend) == message


@pytest.mark.parametrize(("backend", "extra"), [("trio", "trio"), ("uvloop", "fast")])
def test_an_event_loop_must_be_installed(backend: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("posthouse.adapters.server.arguments.find_spec", {}.get)
    assert refused(run, backend=backend) == f"{backend} is not installed: run pip install 'posthouse[{extra}]'"


@pytest.mark.parametrize("inside", ["asyncio", "trio"])
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_run_inside_an_event_loop_says_to_await_serve(inside: str, backend: str) -> None:
    async def main() -> None:
        message = "an event loop runs in this thread already: use `await serve(…)` instead of run"
        assert refused(run, backend=backend) == message

    anyio.run(main, backend=inside)


def test_an_error_of_a_running_server_is_not_taken_for_a_loop_that_runs() -> None:
    def fails(server: Server) -> None:
        asyncio.get_running_loop()
        raise RuntimeError("ours")

    with pytest.raises(ExceptionGroup) as caught:
        run(SERVICE, port=0, started=fails)
    assert str(caught.value.exceptions[0]) == "ours"
    assert sys.exc_info() == (None, None, None)
