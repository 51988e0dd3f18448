"""Scenes about the beginning of a server: its addresses, its entrances, and what it says of them."""

from __future__ import annotations

from typing import Any

from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.adapters.simulation.storms.scenes.words import call, get, line, plain, post, upgrade
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.peers import Identity


def begin(stage: Stage, *places: Any, **options: Any) -> None:
    """Start a server, let a client call it at each of these places, and shut it down."""
    stage.serve(plain(), **options)
    for number, place in enumerate(places):
        stage.client(f"client {number}", at=place).send(post(call("echo", "x"), "Connection: close"))
    if stage.serving:
        stage.do(stage.server.shut_down)
        stage.wait(40.0)


@scene("a server with one address")
def _one(stage: Stage) -> None:
    begin(stage, ("127.0.0.1", 8000))


@scene("a server with several addresses")
def _several(stage: Stage) -> None:
    hosts = ("127.0.0.1", "::1", "127.0.0.2")
    begin(stage, ("127.0.0.1", 8001), ("::1", 8001), ("127.0.0.2", 8001), host=hosts, port=8001)


@scene("a server with two addresses of one name")
def _named(stage: Stage) -> None:
    stage.system.sockets.names["localhost"] = ("::1", "127.0.0.1")
    begin(stage, ("::1", 40_001), ("127.0.0.1", 40_001), host="localhost", port=0)


@scene("a server whose name has an address that the machine does not have")
def _partly_missing(stage: Stage) -> None:
    stage.system.sockets.names["localhost"] = ("::1", "127.0.0.1")
    stage.system.kernel.missing["::1"] = None
    begin(stage, ("127.0.0.1", 8000), host="localhost")


@scene("a server without any address of its name")
def _missing(stage: Stage) -> None:
    stage.system.sockets.names["localhost"] = ("::1",)
    stage.system.kernel.missing["::1"] = None
    begin(stage, host=("127.0.0.1", "localhost"))
    stage.note("listening:", list(stage.system.kernel.listening))


@scene("a server whose port is in use")
def _in_use(stage: Stage) -> None:
    begin(stage, host=("127.0.0.1", "127.0.0.1"))
    stage.note("listening:", list(stage.system.kernel.listening))


@scene("a server that finds no port that is free on all of its addresses")
def _no_port(stage: Stage) -> None:
    begin(stage, host=("127.0.0.1", "127.0.0.1"), port=0)
    stage.note("the last port:", stage.system.kernel.next_port)


@scene("a server that finds a port at the second attempt")
def _second_port(stage: Stage) -> None:
    stage.system.kernel.listening["127.0.0.2", 40_001] = stage.system.sockets.open(2)
    begin(stage, ("127.0.0.2", 40_002), host=("127.0.0.1", "127.0.0.2"), port=0)


@scene("a server whose name cannot be resolved")
def _unknown(stage: Stage) -> None:
    stage.system.sockets.names["nowhere.example"] = ()
    begin(stage, host="nowhere.example", allow_hosts=["nowhere.example"])


@scene("a server for other machines")
def _public(stage: Stage) -> None:
    stage.serve(plain(), host="10.0.0.1", allow_hosts=["service.example"])
    client = stage.client(at=("10.0.0.1", 8000))
    client.send(post(call("echo", "x"), host="service.example"))
    client.send(post(call("echo", "x"), host="service.example:8000"))
    client.send(post(call("echo", "x"), host="10.0.0.1:8000"))


@scene("a server for other machines without a name")
def _nameless(stage: Stage) -> None:
    begin(stage, host="10.0.0.1")


@scene("a server with TLS")
def _secure(stage: Stage) -> None:
    stage.serve(plain(), tls_cert="cert.pem", tls_key="key.pem", unix="/simulated/service.sock", host="127.0.0.1")
    for origin in ("https://localhost:8000", "http://localhost:8000"):
        client = stage.client()
        client.send(b"P")  # bytes of the handshake stay unread
        client.send(post(call("echo", "x"), f"Origin: {origin}")[1:])
    other = stage.client("b", at="/simulated/service.sock")
    other.send(post(call("echo", "x"), "Connection: close"))


@scene("a server with a key and no certificate")
def _key(stage: Stage) -> None:
    begin(stage, tls_key="key.pem")


@scene("a server with a unix socket alone")
def _unix(stage: Stage) -> None:
    begin(stage, "/simulated/service.sock", unix="/simulated/service.sock")


@scene("a server without any entrance")
def _closed(stage: Stage) -> None:
    begin(stage, host=())


@scene("a server in development")
def _developed(stage: Stage) -> None:
    client, pipes = stage.pipes("p")
    stage.serve(plain(secret=True), dev=True, pipes=[pipes], host="127.0.0.1")
    client.send(line(call("secret")))
    page = stage.client()
    page.send(post(call("secret"), "Origin: http://localhost:3000"))
    page.send(post(call("secret"), "Origin: http://page.example"))
    page.send(get("/stats", "Connection: close"))


@scene("a server with origins, and one that refuses")
def _origins(stage: Stage) -> None:
    stage.serve(plain(), allow_origins=["https://page.example"], access_log=True)
    client = stage.client()
    for origin in ("https://page.example", "https://page.example:444", "http://localhost:8000", "null"):
        client.send(post(call("echo", "x"), f"Origin: {origin}"))
        client = stage.client()
    for host in ("evil.example", "evil.example", "localhost:8000", "127.0.0.1", "[::1]"):
        client.send(post(call("echo", "x"), host=host))
        client = stage.client()
    stage.wait(10.0)
    stage.client("b").send(post(call("echo", "x"), "Origin: https://other.example"))
    stage.client("c").send(post(call("echo", "x"), host="evil.example"))


@scene("a service whose methods nobody can call")
def _uncallable(stage: Stage) -> None:
    service = Service("closed")
    for name in ("first", "second"):
        service.method(name)(lambda: None)
    service.method("open", public=True)(lambda: None)
    service.method("scoped", public=True, scopes={"vault"})(lambda: None)
    stage.serve(service)
    stage.client().send(post(call("first")))


@scene("a service whose methods the peer of a pipe can call")
def _callable(stage: Stage) -> None:
    service = Service("closed")
    service.method("first")(lambda: 1)
    service.method("scoped", scopes={"vault"})(lambda: 2)
    client, pipes = stage.pipes()
    stage.serve(service, pipes=[pipes], pipe_identity=Identity("ada", ("vault",)))
    client.send(line(call("first")) + line(call("scoped", id=2)) + line(call("connection.info", id=3)))


@scene("a server behind proxies")
def _proxies(stage: Stage) -> None:
    stage.serve(plain(), config=Config(trust_proxies=("10.0.0.0/8", "0.0.0.0/0", "::/0")))
    stage.client().send(post(call("echo", "x"), "X-Forwarded-For: 192.0.2.7"))


@scene("a server that is behind no proxy")
def _ignored(stage: Stage) -> None:
    stage.serve(plain(), unix="/simulated/service.sock", host="127.0.0.1")
    for _ in range(2):
        stage.client().send(post(call("echo", "x"), "X-Forwarded-For: 192.0.2.7"))
    stage.client(at="/simulated/service.sock").send(post(call("echo", "x"), "Forwarded: for=192.0.2.7"))


@scene("what a log has at level INFO of clients that come and go")
def _told(stage: Stage) -> None:
    stage.serve(plain(secret=True), access_log=True)
    socket = stage.client()
    socket.send(upgrade("X-Request-Id: seven"))
    socket.send(b"\x88\x82\0\0\0\0\x03\xe8")
    stage.client("b").send(post(call("echo", "x"), "X-Request-Id: eight", "User-Agent: a b"))
    stage.client("b").send(post(call("nothing", "x"), "X-Request-Id: nine"))
    stage.client("b").send(post(call("secret", "x")))
    stage.client("b").send(post(call("echo", "x", id=None)))
    stage.client("b").send(get("/nowhere"))
