"""HTTP clients that are not ours call a server with its default options, each as its users would write it."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
import requests

from tests.adapters.loopback import PATIENCE

from .served import MIB, Served, result, text

JSON = {"Content-Type": "application/json"}

Post = Callable[[str, list[bytes]], list[tuple[int, bytes]]]
"""Posts bodies to a URL, one after the other on one connection. Returns the statuses and bodies of the answers."""


def halves(body: bytes) -> Iterator[bytes]:
    """A body of unknown length, which clients send in chunks."""
    yield body[: len(body) // 2]
    yield body[len(body) // 2 :]


async def halves_async(body: bytes) -> AsyncIterator[bytes]:
    for half in halves(body):
        yield half


def by_curl(url: str, bodies: list[bytes], *options: str) -> list[tuple[int, bytes]]:
    command = shutil.which("curl")
    if command is None:
        pytest.skip("curl is not installed")
    answers = []
    for body in bodies:
        arguments = ["-sS", "-H", "Content-Type: application/json", *options, "--data-binary", "@-", url]
        # The status is written behind the body.
        done = subprocess.run(
            [command, "-w", "\n%{http_code}", *arguments], input=body, capture_output=True, timeout=PATIENCE, check=True
        )
        answer, _, status = done.stdout.rpartition(b"\n")
        answers.append((int(status), answer))
    return answers


def by_curl_chunked(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    return by_curl(url, bodies, "-H", "Transfer-Encoding: chunked")


def by_httpx(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    with httpx.Client(timeout=PATIENCE) as client:
        answers = [client.post(url, content=body, headers=JSON) for body in bodies]
    return [(answer.status_code, answer.content) for answer in answers]


def by_httpx_chunked(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    with httpx.Client(timeout=PATIENCE) as client:
        answers = [client.post(url, content=halves(body), headers=JSON) for body in bodies]
    return [(answer.status_code, answer.content) for answer in answers]


def by_httpx_async(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    async def main() -> list[tuple[int, bytes]]:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            answers = [await client.post(url, content=halves_async(body), headers=JSON) for body in bodies]
        return [(answer.status_code, answer.content) for answer in answers]

    return asyncio.run(main())


def by_requests(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    with requests.Session() as session:
        answers = [session.post(url, data=body, headers=JSON, timeout=PATIENCE) for body in bodies]
    return [(answer.status_code, answer.content) for answer in answers]


def by_requests_chunked(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    with requests.Session() as session:
        answers = [session.post(url, data=halves(body), headers=JSON, timeout=PATIENCE) for body in bodies]
    return [(answer.status_code, answer.content) for answer in answers]


def by_aiohttp(url: str, bodies: list[bytes], *, chunked: bool = False) -> list[tuple[int, bytes]]:
    async def main() -> list[tuple[int, bytes]]:
        answers = []
        try:
            async with aiohttp.ClientSession() as session:
                for body in bodies:
                    content = halves_async(body) if chunked else io.BytesIO(body)
                    async with session.post(url, data=content, headers=JSON) as answer:
                        answers.append((answer.status, await answer.read()))
        finally:
            await asyncio.sleep(0)  # a transport that broke closes its socket in the loop's next turn
        return answers

    return asyncio.run(main())


def by_aiohttp_chunked(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    return by_aiohttp(url, bodies, chunked=True)


def by_http_client(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    place = urlsplit(url)
    assert place.hostname is not None
    answers = []
    with closing(http.client.HTTPConnection(place.hostname, place.port, timeout=PATIENCE)) as connection:
        for body in bodies:
            connection.request("POST", place.path, halves(body), JSON, encode_chunked=True)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
    return answers


def by_dotnet(url: str, bodies: list[bytes]) -> list[tuple[int, bytes]]:
    """The bytes of .NET's `HttpClient.PostAsJsonAsync`: a head, then chunks of at most 4,096 bytes, with sizes in
    upper case and a media type with a parameter."""
    place = urlsplit(url)
    answers = []
    with socket.create_connection((place.hostname, place.port), PATIENCE) as connection:
        for body in bodies:
            connection.sendall(
                b"POST /rpc HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nTransfer-Encoding: chunked\r\n"
                b"Content-Type: application/json; charset=utf-8\r\n\r\n" % (place.port or 0)
            )
            for at in range(0, len(body), 4096):
                piece = body[at : at + 4096]
                connection.sendall(b"%X\r\n%b\r\n" % (len(piece), piece))
            connection.sendall(b"0\r\n\r\n")
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            answers.append((answer.status, answer.read()))
    return answers


CLIENTS: list[Post] = [
    by_curl,
    by_curl_chunked,
    by_httpx,
    by_httpx_chunked,
    by_httpx_async,
    by_requests,
    by_requests_chunked,
    by_aiohttp,
    by_aiohttp_chunked,
    by_http_client,
    by_dotnet,
]

every_client = pytest.mark.parametrize("post", CLIENTS)


@every_client
def test_calls_errors_and_notifications_are_answered(server: Served, post: Post) -> None:
    bodies = [text("echo", "é"), text("nothing"), text("echo", 1, id=None), text("echo", {"last": True})]
    (first, missing, silent, last) = post(server.rpc, bodies)
    assert (first[0], result(first[1])) == (200, "é")
    assert (missing[0], json.loads(missing[1])["error"]["code"]) == (200, -32601)
    assert silent == (204, b"")
    assert (last[0], result(last[1])) == (200, {"last": True})


@every_client
def test_a_body_of_almost_four_mib_is_taken_and_a_larger_one_refused_with_413(server: Served, post: Post) -> None:
    value = "x" * (4 * MIB - 1000)
    ((status, answer),) = post(server.rpc, [text("echo", value)])
    assert (status, result(answer)) == (200, value)
    try:
        ((status, _),) = post(server.rpc, [text("echo", "x" * 5 * MIB)])
    except (
        OSError,
        httpx.TransportError,
        requests.ConnectionError,
        aiohttp.ClientError,
        subprocess.CalledProcessError,
    ):
        return  # this client does not read an answer before it has sent everything: the server had closed by then
    assert status == 413


@pytest.mark.parametrize("media", ["application/json-rpc", "application/json;", "application/json; charset=utf-8"])
def test_the_media_types_of_clients_are_taken(server: Served, media: str) -> None:
    answer = httpx.post(server.rpc, content=text("echo", 1), headers={"Content-Type": media}, timeout=PATIENCE)
    assert (answer.status_code, result(answer.content)) == (200, 1)


def test_probes_name_the_address_of_the_machine(server: Served) -> None:
    url = f"http://127.0.0.1:{server.port}/health"
    answer = httpx.get(url, headers={"Host": "10.1.2.3:8000", "User-Agent": "kube-probe/1.31"}, timeout=PATIENCE)
    assert (answer.status_code, answer.json()["status"]) == (200, "healthy")
