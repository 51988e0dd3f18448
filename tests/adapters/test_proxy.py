"""Behind a proxy, as docs/deploy.md has it: nginx runs its configuration, and shows what it says of wrong choices."""

from __future__ import annotations

import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
import trustme
from anyio.streams.tls import TLSStream
from posthouse.adapters import Server
from posthouse.core.service.service import Service

from .loopback import PATIENCE, ROOT, UPGRADE, Client, post, serving, text

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]

HOST = b"api.example.org"
ORIGIN = b"https://app.example.org"

service = Service("proxied", public=True)


@service.method
def echo(value: str) -> str:
    return value


def documented() -> str:
    """The configuration that the document shows."""
    found = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def proxy(folder: Path, server: Server, without: str = "nothing") -> Iterator[ssl.SSLContext]:
    """nginx in front of the server, without the lines of its configuration that match. It listens at `folder/front`."""
    authority = trustme.CA()
    authority.issue_cert(HOST.decode()).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    site = "".join(line for line in documented().splitlines(keepends=True) if not re.search(without, line))
    for written, here in (
        ("listen 443 ", f"listen unix:{folder}/front "),
        ("127.0.0.1:8000", f"127.0.0.1:{server.bound[0].port}"),
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
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
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
    stream = await anyio.connect_unix(folder / "front")
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


@pytest.mark.parametrize(
    ("without", "request_", "status"),
    [
        ("Host", post(text("echo", ["one"])), 421),
        ("Upgrade|Connection", UPGRADE, 426),
        ("http_version", UPGRADE, 426),
        ("nothing", UPGRADE.replace(b"/ws", b"/api/ws"), 404),
        ("nothing", post(b"x" * 5_000_000), 413),
    ],
)
async def test_each_missing_setting_of_the_proxy_fails_as_the_document_says(
    without: str, request_: bytes, status: int, tmp_path: Path
) -> None:
    async with serving(service, allow_hosts=[HOST.decode()], allow_origins=[ORIGIN.decode()]) as server:
        with proxy(tmp_path, server, without) as context, anyio.fail_after(PATIENCE):
            client = await through(tmp_path, context)
            await client.send(named(request_)[:65536])
            assert (await client.take_until(b"\r\n")).split()[1] == b"%d" % status
            await client.stream.aclose()
