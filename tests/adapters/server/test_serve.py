"""`serve`: the addresses it listens on, the clients it lets in, and its shut-down."""

from __future__ import annotations

import json
import os
import socket
import ssl
import stat
from pathlib import Path

import anyio
import pytest
import trustme
from posthouse.adapters import Server, serve
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import ConnectionClosed
from posthouse.core.values.peers import Identity

from tests.adapters.loopback import PATIENCE, Client, connected, serving, text, websocket

pytestmark = pytest.mark.anyio

QUICK = Config(drain_grace=0.5, drain_spread=0.0)
HASTY = Config(drain_grace=0.0, drain_spread=0.0, drain_timeout=0.1)

service = Service("front", public=True)


@service.method
def echo(value: str) -> str:
    return value


@service.method
async def wait(context: Context) -> None:
    await anyio.sleep_forever()


private = Service("private")


@private.method
def secret() -> str:
    return "for friends"


async def test_a_call_is_answered_over_http_and_over_a_websocket() -> None:
    async with serving(service) as server:
        async with connected(server) as client:
            answer = {"jsonrpc": "2.0", "result": "hello", "id": 1}
            assert await client.post("echo", ["hello"]) == (200, answer)
            assert await client.post("echo", ["again"]) == (200, {**answer, "result": "again"})
        async with websocket(server) as client:
            assert await client.call("echo", {"value": "hello"}) == answer


async def test_every_address_of_several_hosts_shares_the_port_that_was_picked() -> None:
    async with serving(service, host=["127.0.0.1", "::1"]) as server:
        assert [bound.host for bound in server.bound] == ["127.0.0.1", "::1"]
        assert server.bound[0].port == server.bound[1].port
        assert server.bound[1].url == f"http://[::1]:{server.bound[0].port}"
        async with connected(server, 1) as client:
            assert (await client.post("echo", ["v6"]))[1]["result"] == "v6"


async def test_a_unix_socket_is_for_its_owner_alone_and_goes_when_the_server_goes(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    async with serving(service, unix=path) as server:
        assert [bound.url for bound in server.bound] == [f"unix:{path}"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with await anyio.connect_unix(path) as stream:
            assert (await Client(stream).post("echo", ["local"]))[1]["result"] == "local"
    assert not path.exists()


async def test_a_stale_unix_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(os.fspath(path))
    async with serving(service, unix=path):
        with pytest.raises(UsageError, match="in use"):
            await serve(service, unix=path)
        async with await anyio.connect_unix(path) as stream:
            assert (await Client(stream).post("echo", ["first"]))[1]["result"] == "first"


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("keep")
    with pytest.raises(UsageError, match="is not a socket"):
        await serve(service, unix=path)
    assert path.read_text() == "keep"


async def test_a_socket_that_somebody_else_has_put_there_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    async with serving(service, unix=path):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


async def test_calls_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(service, tls_cert=pem, config=Config(read_bytes=1000)) as server:
        bound = server.bound[0]
        assert bound.url == f"https://127.0.0.1:{bound.port}"
        stream = await anyio.connect_tcp("127.0.0.1", bound.port, ssl_context=trusting, tls_standard_compatible=False)
        async with stream:
            client = Client(stream)
            large = "x" * 200_000  # many records, each of several reads
            assert (await client.post("echo", [large]))[1]["result"] == large
            await client.upgrade()
            assert (await client.call("echo", ["secure"]))["result"] == "secure"


async def test_a_client_that_does_not_speak_tls_is_dropped_and_others_are_served(tmp_path: Path) -> None:
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(service, tls_cert=pem, config=Config(tls_timeout=0.5)) as server:
        async with connected(server) as plain:
            await plain.send(b"GET / HTTP/1.1\r\n\r\n")
            assert b"HTTP" not in await plain.rest()
        async with connected(server) as silent:
            assert await silent.rest() == b""
        port = server.bound[0].port
        stream = await anyio.connect_tcp("127.0.0.1", port, ssl_context=trusting, tls_standard_compatible=False)
        async with stream:
            assert (await Client(stream).post("echo", ["still"]))[1]["result"] == "still"


@pytest.mark.parametrize("name", ["missing.pem", "nonsense.pem"])
async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "nonsense.pem").write_text("no certificate")
    with pytest.raises(OSError, match=name):
        await serve(service, port=0, tls_cert=tmp_path / name)


async def test_a_public_address_needs_the_names_under_which_it_is_called() -> None:
    with pytest.raises(UsageError, match="allow_hosts"):
        await serve(service, host="0.0.0.0", port=0)
    async with serving(service, host="0.0.0.0", allow_hosts=["example.org"]) as server:
        bound = server.bound[0]
        async with await anyio.connect_tcp("127.0.0.1", bound.port) as stream:
            await stream.send(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await Client(stream).response())[0] == 421
        async with await anyio.connect_tcp("127.0.0.1", bound.port) as stream:
            await stream.send(b"GET /stats HTTP/1.1\r\nHost: example.org:8000\r\n\r\n")
            assert (await Client(stream).response())[0] == 401
        async with await anyio.connect_tcp("127.0.0.1", bound.port) as stream:
            await stream.send(b"GET /health HTTP/1.1\r\nHost: 10.1.2.3:8000\r\nUser-Agent: kube-probe/1.31\r\n\r\n")
            assert (await Client(stream).response())[0] == 200


async def test_allowed_host_names_replace_the_default_ones_on_loopback_too() -> None:
    async with serving(service, allow_hosts=["api.example.org"]) as server:
        for name, status in ((b"localhost", 421), (b"127.0.0.1", 421), (b"api.example.org", 401)):
            async with connected(server) as client:
                await client.send(b"GET /stats HTTP/1.1\r\nHost: %b\r\n\r\n" % name)
                assert (await client.response())[0] == status


async def test_dev_gives_every_caller_every_scope_and_only_on_loopback() -> None:
    with pytest.raises(UsageError, match="loopback"):
        await serve(private, host="0.0.0.0", port=0, dev=True, allow_hosts=["example.org"])
    async with serving(private) as server, connected(server) as client:
        assert (await client.post("secret"))[0] == 401
    async with serving(private, dev=True) as server, connected(server) as client:
        assert (await client.post("secret"))[1]["result"] == "for friends"


async def test_an_address_in_use_is_an_error_and_leaves_no_listener() -> None:
    async with serving(service) as server:
        with pytest.raises(OSError, match="cannot listen on"):
            await serve(service, host=["127.0.0.1"], port=server.bound[0].port)
    with pytest.raises(OSError, match="cannot resolve"):
        await serve(service, host="no such host.invalid")
    with pytest.raises(OSError, match=r"cannot resolve 'a\.\.b': it is not a host name"):
        await serve(service, host="a..b")


async def test_started_is_told_where_it_listens_before_serve_returns() -> None:
    servers: list[Server] = []

    def started(server: Server) -> None:
        servers.append(server)
        server.shut_down()

    with anyio.fail_after(PATIENCE):
        await serve(service, port=0, config=QUICK, started=started)
    assert servers[0].bound[0].port > 0
    # Afterwards its methods do nothing.
    assert servers[0].broadcast("anything") == 0
    servers[0].shut_down()


async def test_a_drain_tells_peers_lets_calls_end_and_returns() -> None:
    ended = anyio.Event()
    async with anyio.create_task_group() as group:
        with anyio.fail_after(PATIENCE):

            async def main(*, task_status: anyio.abc.TaskStatus[Server]) -> None:
                await serve(service, port=0, config=QUICK, task_status=task_status)
                ended.set()

            server = await group.start(main)
            async with websocket(server) as client, connected(server) as idle:
                await client.say(text("wait", id=7))
                assert (await client.call("echo", ["x"], id=8))["id"] == 8
                server.shut_down()
                assert (await client.next())["method"] == "connection.draining"
                assert (await client.call("echo", ["too late"], id=9))["error"]["code"] == -32050
                assert await idle.rest() == b""
                ending = await client.next()
                assert (ending["id"], ending["error"]["code"]) == (7, -32050)
                assert await client.close_code() == 1012
                await client.say((1012).to_bytes(2), opcode=8)
                assert await client.rest() == b""
            await ended.wait()


async def test_a_cancelled_server_ends_at_once() -> None:
    async with serving(service) as server, websocket(server) as client:
        await client.say(text("wait"))
        assert (await client.call("echo", ["x"], id=2))["id"] == 2
        kept = client.stream
    assert kept is not None


async def test_a_broadcast_reaches_a_websocket_and_a_pipe() -> None:
    ours_in, theirs_out = os.pipe()
    theirs_in, ours_out = os.pipe()
    pipes, parent = [(ours_in, ours_out)], Identity("parent")
    async with serving(service, host="127.0.0.1", port=0, pipes=pipes, pipe_identity=parent) as server:
        os.write(theirs_out, text("connection.info") + b"\n")
        with open(theirs_in, "rb") as lines:
            first = await anyio.to_thread.run_sync(lines.readline)
            assert json.loads(first)["result"]["user"] == "parent"
            async with websocket(server) as client:
                assert server.broadcast("news", {"n": 1}) == 2
                assert (await client.next())["params"] == {"n": 1}
                assert (await client.call("connection.info"))["result"]["user"] is None
            assert json.loads(await anyio.to_thread.run_sync(lines.readline))["params"] == {"n": 1}
        os.close(theirs_out)


async def test_a_thread_may_ask_the_server() -> None:
    async with serving(service) as server, websocket(server) as client:
        assert await client.call("echo", ["x"])
        assert await anyio.to_thread.run_sync(server.broadcast, "news", [1]) == 1
        assert await client.next() == {"jsonrpc": "2.0", "method": "news", "params": [1]}
        assert (await anyio.to_thread.run_sync(server.health)).connections == 1
        assert (await anyio.to_thread.run_sync(server.stats))["connections.opened"] == 1


async def test_hooks_hear_of_the_clients_that_have_not_left_when_a_shut_down_is_out_of_time() -> None:
    heard: list[str | None] = []
    stubborn = Service("stubborn", public=True)

    @stubborn.on("connection.closed")
    async def closed(event: ConnectionClosed) -> None:
        await anyio.lowlevel.checkpoint()
        heard.append(event.reason)

    ended = anyio.Event()

    async def main(*, task_status: anyio.abc.TaskStatus[Server]) -> None:
        await serve(stubborn, port=0, config=HASTY, task_status=task_status)
        ended.set()

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as group:
            server = await group.start(main)
            async with connected(server) as client:
                await client.upgrade()
                server.shut_down()
                await ended.wait()
    assert heard == ["the server shuts down"]
