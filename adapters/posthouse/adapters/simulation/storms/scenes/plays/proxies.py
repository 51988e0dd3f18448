"""Scenes about proxies: which client the server sees behind them."""

from __future__ import annotations

from typing import Final

from posthouse.adapters.simulation.storms.scenes.scene import scene
from posthouse.adapters.simulation.storms.scenes.stage import Stage
from posthouse.adapters.simulation.storms.scenes.words import call, post, sample, upgrade
from posthouse.core.service.context import Context
from posthouse.core.values.config import Config

FOR: Final = "X-Forwarded-For: "
X_FORWARDED: Final[tuple[tuple[str, ...], ...]] = (
    (),
    *((FOR + value,) for value in ("192.0.2.7", "192.0.2.7:80", "192.0.2.7, 10.0.0.3", "10.0.0.3, 10.0.0.4")),
    *((FOR + value,) for value in ("evil, 192.0.2.7", "evil", "192.0.2.7,", ", ,192.0.2.7", " ", "", ",")),
    *((FOR + value,) for value in ("2001:db8::7", "[2001:db8::7]", "[2001:db8::7]:80", "2001:db8::7:x", "[192.0.2.7]")),
    *(
        (FOR + value,)
        for value in ("::ffff:192.0.2.7", "::ffff:10.0.0.3, 10.0.0.3", "192.0.2.7:65535", "192.0.2.7:65536")
    ),
    *(
        (FOR + value,)
        for value in ("192.0.2.7:123456", "unknown", "unix:", "_hidden", "_hidden:_port", "unknown, 10.0.0.3")
    ),
    *((FOR + value,) for value in ("192.0.2", "192.0.2.7.8", "256.0.0.1", "1.2.3.4 5", '"192.0.2.7"', "[::1", "::1]")),
    (FOR + "192.0.2.7", FOR + "10.0.0.3"),
    (FOR + "10.0.0.3", FOR + "192.0.2.7"),
    *((FOR + ", ".join(["10.0.0.3"] * number),) for number in (31, 32, 33)),
    *((FOR + ", ".join(["192.0.2.7", *["10.0.0.3"] * number]),) for number in (31, 32)),
    *((FOR + "_" + "x" * number,) for number in (98, 99, 100)),
    *(
        (FOR + "192.0.2.7", f"X-Forwarded-Proto: {scheme}")
        for scheme in ("https", "HTTPS", "http", "wss", "ws", "ftp", "")
    ),
    (FOR + "192.0.2.7", "X-Forwarded-Proto: https, http"),
    *(
        (FOR + "192.0.2.7", f"X-Forwarded-Host: {host}")
        for host in ("localhost", "evil.example", "evil.example, localhost", "")
    ),
    ("Forwarded: for=192.0.2.8",),
)

FORWARDED: Final[tuple[tuple[str, ...], ...]] = (
    (),
    *((f"Forwarded: {value}",) for value in ("for=192.0.2.7", "For=192.0.2.7;proto=https", 'for="192.0.2.7:80"')),
    *((f"Forwarded: {value}",) for value in ('for="[2001:db8::7]:80"', "for=2001:db8::7", "for=unknown", "for=_a")),
    *(
        (f"Forwarded: {value}",)
        for value in ("for=192.0.2.7, for=10.0.0.3", "for=10.0.0.3, for=192.0.2.7", "proto=https")
    ),
    *(
        (f"Forwarded: {value}",)
        for value in ("for=192.0.2.7;for=192.0.2.8", "for=192.0.2.7;;proto=http", ";for=192.0.2.7")
    ),
    *(
        (f"Forwarded: {value}",)
        for value in ("for = 192.0.2.7", "for=", "for", "for=192.0.2.7;by=10.0.0.1;host=a", ",", "")
    ),
    *(
        (f"Forwarded: {value}",)
        for value in ('for="a\\"b"', 'for="192.0.2.7', 'for="192.0.2.7, for=10.0.0.3', "for=evil")
    ),
    *(
        (f"Forwarded: {value}",)
        for value in ("for=192.0.2.7;host=evil.example", "for=192.0.2.7;host=localhost", "by=a")
    ),
    *(
        (f"Forwarded: {value}",)
        for value in (" for=192.0.2.7 , , for=10.0.0.3 ", "for=192.0.2.7;proto=ftp", "for=192.0.2.7 ;a=b")
    ),
    *(("Forwarded: " + ", ".join(["for=10.0.0.3"] * number),) for number in (31, 32, 33)),
    ("Forwarded: for=192.0.2.7", "Forwarded: for=10.0.0.3"),
    (FOR + "192.0.2.8",),
)


def ask(stage: Stage, asked: tuple[tuple[str, ...], ...], *, headers: str = "x-forwarded", host: bool = False) -> None:
    """Ask a server behind a proxy what it sees, with each of these headers."""
    service = sample()

    @service.method
    def who(context: Context) -> list[object]:
        address = context.address
        return [address.host, address.port, address.secure, address.proxy]

    config = Config(trust_proxies=("10.0.0.0/8", "unix"), proxy_headers=headers, trust_forwarded_host=host)
    stage.serve(service, config=config, host="127.0.0.1", unix="/simulated/service.sock", access_log=True)
    for fields in asked:
        stage.note("--", *fields)
        stage.client("a").send(post(call("who"), *fields, "Connection: close"))
    unix = stage.client("unix", at="/simulated/service.sock")
    unix.send(post(call("who"), *asked[1]))
    unix.send(post(call("who"), *asked[1]))
    unix.send(post(call("who")))
    stage.client("other", peer=("192.0.2.1", 5)).send(post(call("who"), *asked[1]))
    socket = stage.client("socket")
    socket.send(upgrade(*asked[1]))
    socket.send(b"\x88\x80\0\0\0\0")


@scene("X-Forwarded-For and its like from a proxy")
def _x_forwarded(stage: Stage) -> None:
    ask(stage, X_FORWARDED)


@scene("X-Forwarded-Host from a proxy that is trusted with it")
def _hosts(stage: Stage) -> None:
    ask(stage, X_FORWARDED[-6:], host=True)


@scene("Forwarded from a proxy")
def _forwarded(stage: Stage) -> None:
    ask(stage, FORWARDED, headers="forwarded", host=True)


@scene("limits of the clients behind a proxy")
def _limits(stage: Stage) -> None:
    config = Config(trust_proxies=("10.0.0.0/8",), max_connections_per_address=1, accept_rate_per_address=2.0)
    stage.serve(sample(), config=config)
    for number, host in enumerate(("192.0.2.7", "192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db8::2", "2001:db9::2")):
        stage.client(f"{number}").send(upgrade(FOR + host))
    for number, host in enumerate(("192.0.2.9",) * 5):
        stage.client(f"http {number}").send(post(call("echo", "x"), FOR + host))
    stage.wait(2.0)
