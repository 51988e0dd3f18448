"""`serve`: the addresses it listens on, the clients it lets in, and its shut-down."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal
import socket
import ssl
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
import trustme
from posthouse.adapters import Server, run, serve
from posthouse.adapters.handlers.lifespans import LifespanError
from posthouse.adapters.journal.file import MIN_BYTES
from posthouse.adapters.loop.named import asyncio_loop
from posthouse.adapters.server.build import Build
from posthouse.adapters.server.entrances import certificates
from posthouse.adapters.server.entrances.listeners import Bound
from posthouse.adapters.server.entrances.tls_channel import TlsChannel
from posthouse.adapters.simulation.machine.signals import SimulatedSignals
from posthouse.adapters.simulation.machine.system import SimulatedSockets, SimulatedSystem
from posthouse.adapters.simulation.machine.threads import Exited
from posthouse.adapters.version import installed_version
from posthouse.core.gateway import Gateway
from posthouse.core.service.context import Context, HookContext
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import CallEnded, ConnectionClosed
from posthouse.core.values.peers import Identity
from posthouse.transports.policy import Policy

from tests.adapters.loopback import PATIENCE, UPGRADE, Client, connected, serving, text, websocket
from tests.adapters.simulated import SimulatedClient, SimulatedServer, logged

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


async def test_a_socket_of_another_program_is_served(tmp_path: Path) -> None:
    path = tmp_path / "service.sock"
    with socket.create_server(("127.0.0.1", 0)) as over_ip, socket.socket(socket.AF_UNIX) as local:
        local.bind(os.fspath(path))
        local.listen()
        async with serving(service, port=1, fds=[os.dup(over_ip.fileno()), os.dup(local.fileno())]) as server:
            port = over_ip.getsockname()[1]
            assert [bound.url for bound in server.bound] == [f"http://127.0.0.1:{port}", f"unix:{path}"]
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                assert (await Client(stream).post("echo", ["ip"]))[1]["result"] == "ip"
            async with await anyio.connect_unix(path) as stream:
                assert (await Client(stream).post("echo", ["local"]))[1]["result"] == "local"
        assert path.exists()


async def test_a_given_socket_that_others_can_reach_needs_names(tmp_path: Path) -> None:
    names = r"0\.0\.0\.0 is not a loopback address: list the host names"
    with socket.create_server(("0.0.0.0", 0)) as public, pytest.raises(UsageError, match=names):
        await serve(service, fds=[os.dup(public.fileno())])
    with pytest.raises(OSError, match="cannot listen on the descriptor 9999: Bad file descriptor"):
        await serve(service, fds=[9999])


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


async def test_a_certificate_is_replaced_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certificates, "EVERY", 0.0)
    pem = tmp_path / "server.pem"
    old, new = trustme.CA(), trustme.CA()
    trusting = {}
    for authority in (old, new):
        trusting[authority] = ssl.create_default_context()
        authority.configure_trust(trusting[authority])
    old.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    async with serving(service, tls_cert=pem) as server:
        connect = partial(anyio.connect_tcp, "127.0.0.1", server.bound[0].port, tls_standard_compatible=False)
        async with await connect(ssl_context=trusting[old]) as before:
            client = Client(before)
            await client.upgrade()
            new.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
            async with await connect(ssl_context=trusting[new]) as after:
                assert (await Client(after).post("echo", ["new"]))[1]["result"] == "new"
            with pytest.raises(ssl.SSLError):
                await connect(ssl_context=trusting[old])
            assert (await client.call("echo", ["old"]))["result"] == "old"


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


# On a simulated machine


def world(service: Service = service, **options: Any) -> SimulatedServer:
    options.setdefault("port", 8000)
    return SimulatedServer(service, **options)


def mistake(**options: Any) -> str:
    """The mistake in these arguments, with which no server starts."""
    made = world(**options)
    error = made.task.exception()
    assert isinstance(error, UsageError)
    assert (made.started, made.system.descriptors.open(), made.system.kernel.listening) == ([], {}, {})
    return str(error)


def test_it_listens_on_loopback_unless_it_is_told_otherwise(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    assert [bound.url for bound in world().server.bound] == ["http://127.0.0.1:8000"]
    assert logged(caplog) == [(logging.INFO, "server.listening", "listening on http://127.0.0.1:8000")]
    caplog.clear()
    served = world(host=["10.0.0.1", "10.0.0.2"], port=80, allow_hosts=["example.org"])
    assert [bound.url for bound in served.server.bound] == ["http://10.0.0.1:80", "http://10.0.0.2:80"]
    assert [line[2] for line in logged(caplog)] == [
        "listening on http://10.0.0.1:80",
        "listening on http://10.0.0.2:80",
    ]
    assert world(host=()).server.bound == ()
    assert world(host=(), tls_cert="cert.pem").server.bound == ()


def test_all_that_it_opened_is_closed_in_the_end() -> None:
    served = world(host=["127.0.0.1", "127.0.0.2"])
    served.websocket()
    served.client()
    served.end()
    assert (served.system.descriptors.open(), served.system.kernel.listening) == ({}, {})
    assert served.system.threads.alive == []


def test_an_address_that_is_in_use_closes_what_was_opened_before() -> None:
    made = world(host=["127.0.0.1", "127.0.0.2", "127.0.0.1"])
    error = made.task.exception()
    assert isinstance(error, OSError) and error.errno == errno.EADDRINUSE
    assert (made.system.descriptors.open(), made.system.kernel.listening) == ({}, {})


def test_arguments_that_do_not_fit_together_are_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mistake(tls_key="key.pem") == "tls_key needs tls_cert: TLS needs a certificate"
    assert mistake(dev=1) == "dev is 1, but must be True or False"
    assert mistake(port="80") == "port is '80', but must be a whole number from 0 to 65535"
    assert mistake(host=1) == "host is 1, but must be a string, or several"
    assert mistake(pipes=[1]).startswith("pipes contains 1")
    assert mistake(config={}).startswith("config is a mapping")
    assert mistake(signals=None) == "signals is None, but must be True or False"
    assert mistake(allow_hosts="a") == "allow_hosts is a single string: give a list, ['a']"
    assert mistake(allow_origins="a") == "allow_origins is a single string: give a list, ['a']"
    assert mistake(access_log="yes") == "access_log is 'yes', but must be True or False"
    assert mistake(started=1) == "started is 1, but must be a function that takes the Server"
    assert mistake(reload=True).startswith("serve has no argument 'reload': the command reloads")
    assert mistake(host="10.0.0.1").startswith("10.0.0.1 is not a loopback address")
    assert mistake(host="10.0.0.1", dev=True, allow_hosts=["a"]).startswith("dev=True is only for loopback addresses")
    assert mistake(host=[]).startswith("there is nothing to listen on")
    monkeypatch.setattr(SimulatedSignals, "available", lambda self: False)
    assert mistake(signals=True) == (
        "signals=True needs the main thread: use signals=False, and end the server with shut_down"
    )
    assert world(signals=False).server.bound


def test_metrics_have_a_port_of_their_own_that_takes_no_calls() -> None:
    assert mistake(metrics="9100").startswith("metrics '9100': write a host and a port")
    assert mistake(metrics="10.0.0.1:9100").startswith("10.0.0.1 is not a loopback address: list the host names")
    served = world(metrics="127.0.0.1:9100", root_path="/api", config=Config(latency_buckets=(0.5,)))
    assert served.server.metrics == Bound("127.0.0.1", 9100)
    assert [at.port for at in served.server.bound] == [8000]
    body = b'{"jsonrpc": "2.0", "method": "echo", "params": ["a"], "id": 1}'
    posted = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    client = served.client()
    client.send(posted % (b"/api/rpc", len(body)) + body)
    assert b'"result":"a"' in client.take()

    def ask(at: Bound, request: bytes) -> bytes:
        asked = SimulatedClient(served, at, 1 << 20)
        served.settle()
        asked.send(request)
        return asked.take()

    probe = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:9100\r\n\r\n"
    text = ask(served.server.metrics, probe % b"/metrics").decode()
    assert 'posthouse_call_seconds_count{method="echo",outcome="result"} 1.0' in text
    assert ask(served.server.metrics, probe % b"/stats").startswith(b"HTTP/1.1 200 ")
    assert ask(served.server.metrics, posted % (b"/rpc", len(body)) + body).startswith(b"HTTP/1.1 404 ")
    assert ask(served.server.bound[0], probe % b"/api/metrics").startswith(b"HTTP/1.1 401 ")
    assert served.server.measurements().calls[0][:2] == ("echo", "result")
    assert world().server.measurements().calls == []


def test_metrics_tell_of_other_workers_too() -> None:
    served = world(metrics="127.0.0.1:9100")
    served.server.add_workers(1, {0: served.server.measurements()})
    assert served.server.metrics is not None
    client = SimulatedClient(served, served.server.metrics, 1 << 20)
    served.settle()
    client.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    text = client.take()
    assert b'posthouse_calls_made_total{worker="0"} 0.0' in text
    assert b'posthouse_calls_made_total{worker="1"} 0.0' in text


def test_the_paths_are_those_of_the_arguments() -> None:
    assert mistake(rpc_path="rpc").startswith("rpc_path 'rpc': write it as '/rpc'")
    assert mistake(path="/rpc").startswith("serve has no argument 'path': use rpc_path for calls")
    served = world(rpc_path="/calls", ws_path="/", root_path="/api")

    def status(line: bytes) -> int:
        client = served.client()
        client.send(UPGRADE.replace(b"GET /ws HTTP/1.1", line))
        return int(client.take().split()[1])

    assert [status(b"GET %b HTTP/1.1" % path) for path in (b"/api/", b"/api", b"/ws", b"/api/ws")] == [
        101,
        101,
        404,
        404,
    ]
    client = served.client()
    for path in (b"/api/calls", b"/api/calls", b"/rpc"):  # the second one is known by its bytes
        body = b'{"jsonrpc": "2.0", "method": "echo", "params": ["a"], "id": 1}'
        head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        client.send(head % (path, len(body)) + body)
    answers = client.take()
    assert (answers.count(b"HTTP/1.1 200 "), answers.count(b'"result":"a"'), answers.count(b" 404 ")) == (2, 2, 1)


def test_the_first_offered_subprotocol_of_those_that_the_service_names_is_selected() -> None:
    served = world(Service("speaking", public=True, subprotocols=("mcp", "wamp")))

    def selected(offered: bytes) -> bool | bytes:
        client = served.client()
        client.send(UPGRADE.removesuffix(b"\r\n") + b"Sec-WebSocket-Protocol: " + offered + b"\r\n\r\n")
        lines = client.take().split(b"\r\n")
        return next((line.partition(b": ")[2] for line in lines if line.startswith(b"Sec-WebSocket-Protocol")), b"")

    offers = (b"chat, wamp, mcp", b"mcp, posthouse.v1.json", b"posthouse.bearer.eA, mcp", b"chat")
    assert [selected(offer) for offer in offers] == [b"wamp", b"posthouse.v1.json", b"mcp", b""]


def refusals(served: SimulatedServer, head: str) -> int:
    """The status with which a WebSocket with these headers begins."""
    client = served.client()
    client.send(UPGRADE.replace(b"Host: localhost\r\n", head.encode()))
    return int(client.take().split()[1])


def test_only_names_and_origins_that_are_allowed_may_call() -> None:
    usual = world()
    assert [refusals(usual, f"Host: {name}\r\n") for name in ("localhost", "127.0.0.1", "evil.example")] == [
        101,
        101,
        421,
    ]
    named = world(allow_hosts=["example.org"], allow_origins=["https://pages.example"])
    assert [refusals(named, f"Host: {name}\r\n") for name in ("localhost", "example.org")] == [421, 101]
    page = "Host: example.org\r\nOrigin: https://{}.example\r\n"
    assert [refusals(named, page.format(name)) for name in ("pages", "evil")] == [101, 403]
    loopback = "Host: localhost:8000\r\nOrigin: http://localhost:3000\r\n"
    assert [refusals(served, loopback) for served in (usual, world(dev=True))] == [403, 101]


def test_development_mode_is_said_and_gives_every_caller_every_scope(caplog: pytest.LogCaptureFixture) -> None:
    served = world(private, dev=True)
    text = "development mode: every caller has every scope"
    assert logged(caplog) == [(logging.WARNING, "dev", text)]
    assert served.websocket().call("secret")["result"] == "for friends"


def test_methods_that_nobody_can_call_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    world(private)
    (record,) = [record for record in caplog.records if vars(record)["event"] == "methods.uncallable"]
    assert (record.levelno, vars(record)["service"]) == (logging.WARNING, "private")
    assert record.getMessage().startswith("no caller can call any method of service private")
    caplog.clear()
    half = Service("half", public=True)
    half.method("open")(lambda: None)
    half.method("closed", public=False)(lambda: None)
    world(half)
    (record,) = [record for record in caplog.records if vars(record)["event"] == "methods.uncallable"]
    assert vars(record)["methods"] == "closed (needs an authenticated caller)"
    caplog.clear()
    world(service)
    assert logged(caplog, "methods.uncallable") == []


def test_tls_is_for_every_client_and_the_addresses_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    tls = SimulatedSockets.tls

    def note(self: SimulatedSockets, *files: Any) -> Any:
        asked.append(files)
        return tls(self, *files)

    monkeypatch.setattr(SimulatedSockets, "tls", note)
    served = world(tls_cert="cert.pem")
    assert [bound.url for bound in served.server.bound] == ["https://127.0.0.1:8000"]
    client = served.websocket()
    assert client.call("echo", ["secret"])["result"] == "secret"
    (endpoint,) = served.endpoints.by_id.values()
    assert isinstance(endpoint, TlsChannel)
    assert served.runner.board.gateway.config == Config()
    page = "Host: localhost:8000\r\nOrigin: https://localhost:8000\r\n"
    assert refusals(served, page) == 101
    assert refusals(served, page.replace("https", "http")) == 403
    world(tls_cert="cert.pem", tls_key="key.pem")
    world(tls_cert="cert.pem", tls_passphrase="words")
    assert asked == [("cert.pem", None, None), ("cert.pem", "key.pem", None), ("cert.pem", None, "words")]


def test_it_tells_its_version_and_the_time_of_its_start() -> None:
    scoped = world(service, dev=True)
    client = scoped.client()
    client.send(b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n")
    status, stats = client.response()
    assert (status, stats["version"], stats["started_at"]) == (200, installed_version(), 1_700_000_000.0)
    assert scoped.websocket().call("connection.ping")["result"]["timestamp"] == 1_700_000_000.0
    scoped.pass_time(100.0)
    assert scoped.websocket().call("connection.ping")["result"]["timestamp"] == 1_700_000_100.0


def test_started_is_called_and_the_task_told_when_it_accepts(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Server] = []

    class Status:
        def started(self, value: Server) -> None:
            told.append(value)

    status: Any = Status()
    served = world(task_status=status)
    assert told == served.started == [served.server]


def test_a_journal_is_kept_in_a_file_and_holds_every_input(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    served = world(journal=path)
    served.websocket().call("echo", ["written down"])
    served.end()
    assert "written down" in path.read_text()
    small = tmp_path / "small"
    served = world(journal=str(small), journal_bytes=MIN_BYTES)
    for _ in range(10):
        served.websocket().call("echo", ["x" * (MIN_BYTES // 10)])
    served.end()
    assert 0 < small.stat().st_size <= MIN_BYTES
    served = world(journal=tmp_path)
    assert isinstance(served.task.exception(), UsageError)
    assert (served.system.descriptors.open(), served.system.kernel.listening) == ({}, {})


@pytest.mark.parametrize("journal", [False, True])
def test_a_server_is_built_as_a_simulation_asks_for(journal: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    lines: list[bytes] = []

    class Checked(Gateway):
        """Another class of gateways."""

    build = Build(
        gateway=Checked,
        policy=Policy(("example.org",)),
        write=lines.append if journal else None,
        events=("call.ended",),
        tell_exchanges=True,
        direct=False,
    )
    served = SimulatedServer(service, build=build, port=8000)
    board = served.runner.board
    assert (type(board.gateway), board._direct, bool(lines)) == (Checked, False, journal)
    assert (board.gateway._shared.exchanges_told, refusals(served, "Host: localhost\r\n")) == (True, 421)
    seen: list[type] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(served.events.log.of, CallEnded, lambda event: seen.append(type(event)))
        client = served.client()
        client.send(UPGRADE.replace(b"localhost", b"example.org"))
        client.take()
        assert client.call("echo", ["x"])["result"] == "x"
    assert seen == [CallEnded]


@pytest.mark.parametrize(("level", "told"), [(logging.DEBUG, True), (logging.INFO, False)])
def test_every_exchange_is_told_only_to_hooks_and_in_the_log_for_debugging(
    level: int, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level, "posthouse")
    assert world().runner.board.gateway._shared.exchanges_told is told
    hooked = Service("hooked", public=True)

    @hooked.on("connection.closed")
    def closed(event: ConnectionClosed, context: HookContext[Any]) -> None: ...

    assert world(hooked).runner.board.gateway._shared.exchanges_told


def test_a_call_has_a_line_in_the_access_log_if_there_is_one(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "posthouse")
    for access_log in (False, True):
        caplog.clear()
        served = world(access_log=access_log)
        served.websocket().call("echo", ["x"])
        assert len(logged(caplog, "call.ended")) == access_log


# With signals


def test_a_signal_shuts_down_and_the_collector_is_tuned_while_it_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    tuned: list[str] = []

    @contextmanager
    def collector(self: SimulatedSystem) -> Iterator[None]:
        tuned.append("tuned")
        yield
        tuned.append("as before")

    monkeypatch.setattr(SimulatedSystem, "collector", collector)
    served = world(signals=True, config=QUICK)
    assert tuned == ["tuned"]
    served.pass_time(5.0)
    served.system.signals.send(signal.SIGTERM)
    served.pass_time(20.0)
    assert (served.task.done(), served.task.exception()) == (True, None)
    assert (tuned, served.system.signals.untouched, served.system.threads.alive) == (["tuned", "as before"], True, [])
    tuned.clear()
    world(signals=False)
    assert tuned == []


def resisting() -> Service:
    """A service whose handler resists its cancellation, and whose lifespan fails at its end."""
    stubborn = Service("stubborn", public=True)

    @stubborn.method
    async def work() -> None:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(1000.0)

    @stubborn.lifespan
    async def life() -> AsyncIterator[None]:
        yield
        raise ArithmeticError("no luck")

    return stubborn


@pytest.mark.parametrize("signals", [True, False])
def test_a_process_with_signals_exits_although_a_handler_resists(
    signals: bool, caplog: pytest.LogCaptureFixture
) -> None:
    flushed: list[bool] = []
    served = world(resisting(), signals=signals, config=HASTY)
    served.websocket().say(text("work"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SimulatedSignals, "flush", lambda self: flushed.append(True))
        served.server.shut_down()
        served.pass_time(30.0)
    error = served.task.exception()
    if signals:
        assert isinstance(error, Exited) and error.code == 1
    else:
        assert isinstance(error, LifespanError)
    assert flushed == [True] * signals
    assert [line[1] for line in logged(caplog, "lifespan.failed")] == ["lifespan.failed"] * signals


def test_the_first_error_of_lifespans_is_raised_and_the_others_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    outer, inner = Service("outer", public=True), Service("inner", public=True)
    for each in (outer, inner):

        @each.lifespan
        async def life(name: str = each.name) -> AsyncIterator[None]:
            yield
            raise ArithmeticError("no luck")

    outer.include(inner)
    served = world(outer, config=QUICK)
    served.server.shut_down()
    served.pass_time(30.0)
    error = served.task.exception()
    assert isinstance(error, LifespanError)
    logged_services = [line[2] for line in logged(caplog, "lifespan.failed")]
    assert len(logged_services) == 1
    assert {error.service, "outer" if "'outer'" in logged_services[0] else "inner"} == {"outer", "inner"}


# `run`


def test_run_has_signals_in_the_main_thread_and_an_event_loop_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []

    async def served(service: Service, **options: Any) -> None:
        given.append({**options, "backend": type(anyio.get_current_task()).__module__, "loop": asyncio_loop()})

    monkeypatch.setattr("posthouse.adapters.server.serve.serve", served)
    run(service)
    run(service, backend="trio", signals=False, port=1)
    run(service, backend="uvloop")
    thread = threading.Thread(target=run, args=(service,))
    thread.start()
    thread.join()
    loops = [type(each.pop("loop")).__module__.partition(".")[0] for each in given]
    assert loops == ["asyncio", "builtins", "uvloop", "asyncio"]
    for each in given:
        each.pop("backend")
    assert given == [{"signals": True}, {"signals": False, "port": 1}, {"signals": True}, {"signals": False}]


def test_run_in_a_loop_that_runs_already_is_a_mistake() -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="an event loop runs in this thread already: use `await serve"):
            run(service)

    asyncio.run(main())
    with pytest.raises(UsageError, match="backend is 'curio'"):
        run(service, backend="curio")  # type: ignore[arg-type]


def test_an_error_of_the_service_is_not_taken_for_a_loop_that_runs_already(monkeypatch: pytest.MonkeyPatch) -> None:
    async def served(service: Service, **options: Any) -> None:
        raise RuntimeError("of the service")

    monkeypatch.setattr("posthouse.adapters.server.serve.serve", served)
    with pytest.raises(RuntimeError, match="of the service"):
        run(service)
