"""HTTP clients that stop to send before they have their answer: some still wait for it, the others have given up."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator

import aiohttp
import httpx
import pytest
import requests
from posthouse.core import Config

from tests.adapters.loopback import PATIENCE, post

from .served import Served, result, served, text

SOON = 0.05


@pytest.fixture(scope="module", params=["asyncio", "trio"])
def hurried(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server that waits only for a moment for a client that ended its input."""
    with served(request.param, config=Config(drain_grace=0.0, drain_spread=0.0, half_close_timeout=SOON)) as server:
        yield server


def test_a_client_that_ends_its_output_behind_its_requests_gets_every_answer(server: Served) -> None:
    """As `nc -N` does."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(post(text("echo", 1)) + post(text("echo", 2)))
        connection.shutdown(socket.SHUT_WR)
        answers = b"".join(iter(lambda: connection.recv(65536), b""))
    assert [result(answer.split(b"\r\n\r\n")[1]) for answer in answers.split(b"HTTP/1.1 200 OK")[1:]] == [1, 2]


def half_close(server: Served, name: str) -> None:
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as connection:
        connection.sendall(post(text("wait", name)))
        assert server.begun.get(timeout=PATIENCE) == name
        connection.shutdown(socket.SHUT_WR)
        try:
            assert connection.recv(1) == b""
        except ConnectionResetError:
            pass


def by_curl(server: Served, name: str) -> None:
    command = shutil.which("curl")
    if command is None:
        pytest.skip("curl is not installed")
    with subprocess.Popen(
        [command, "-sS", "-H", "Content-Type: application/json", "--data-binary", text("wait", name), server.rpc]
    ) as process:
        assert server.begun.get(timeout=PATIENCE) == name
        process.terminate()


def by_httpx(server: Served, name: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            server.rpc,
            content=text("wait", name),
            headers={"Content-Type": "application/json"},
            timeout=httpx.Timeout(PATIENCE, read=0.2),
        )


def by_requests(server: Served, name: str) -> None:
    headers = {"Content-Type": "application/json"}
    with pytest.raises(requests.ReadTimeout):
        requests.post(server.rpc, data=text("wait", name), headers=headers, timeout=(PATIENCE, 0.2))


def by_aiohttp(server: Served, name: str) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
            asking = asyncio.ensure_future(session.post(server.rpc, data=text("wait", name)))
            assert await asyncio.to_thread(server.begun.get, timeout=PATIENCE) == name
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    asyncio.run(main())


GIVE_UP: list[Callable[[Served, str], None]] = [half_close, by_curl, by_httpx, by_requests, by_aiohttp]


@pytest.mark.parametrize("give_up", GIVE_UP)
def test_the_handler_of_a_client_that_gave_up_is_cancelled(
    hurried: Served, give_up: Callable[[Served, str], None]
) -> None:
    name = give_up.__name__
    give_up(hurried, name)
    assert hurried.cancelled.get(timeout=PATIENCE) == name
    while not hurried.begun.empty():
        hurried.begun.get()
