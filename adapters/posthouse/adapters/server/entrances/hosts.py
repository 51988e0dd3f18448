"""Host names: which a server listens on, and by which its clients may call it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from posthouse.adapters.report import WARNING, report
from posthouse.adapters.system.system import Sockets
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError
from posthouse.core.values.peers import UNIX, read_network

from .listeners import Bound, is_loopback

LOOPBACK: Final = "127.0.0.1"
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
WILDCARDS: Final = ("0.0.0.0", "::")


def hosts_to_bind(host: str | Sequence[str] | None, *, elsewhere: bool) -> tuple[str, ...]:
    """The hosts to listen on. Without any, that is 127.0.0.1, unless the server is reached `elsewhere`. `()` asks for
    none: an empty list may be an accident."""
    if host is None:
        return () if elsewhere else (LOOPBACK,)
    hosts = (host,) if isinstance(host, str) else tuple(host)
    if not hosts and not elsewhere and host != ():
        raise UsageError(
            "there is nothing to listen on: host is empty, and there is neither a unix path nor a pipe. To open no "
            "port, use host=()"
        )
    return hosts


def check_hosts(sockets: Sockets, hosts: tuple[str, ...], allow_hosts: Sequence[str], *, dev: bool) -> None:
    """Raise UsageError for an address that other machines can reach, if it has no allowed names or is for `dev`."""
    for host in hosts:
        if is_loopback(sockets, host):
            continue
        if dev:
            raise UsageError(
                f"dev=True is only for loopback addresses, not for {host}: it gives every caller every scope"
            )
        if not allow_hosts:
            raise UsageError(f"{host} is not a loopback address: list the host names of the server with allow_hosts")


def warn_of_trust(config: Config) -> None:
    """Warn if every address is a trusted proxy."""
    for network in config.trust_proxies:
        if network != UNIX and read_network(network).prefixlen == 0:
            text = "every client may name any address as its own: {network} in --trust-proxy (in code, trust_proxies) "
            report(WARNING, "proxies.everyone", f"{text}contains all addresses", network=network)


def allowed_names(bound: tuple[Bound, ...], allow_hosts: Sequence[str]) -> tuple[str, ...]:
    """The names by which clients may call. A wildcard address adds none."""
    if allow_hosts:
        return tuple(allow_hosts)
    addresses = [at.host.partition("%")[0] for at in bound if at.host not in ("", *WILDCARDS)]
    named = [f"[{address}]" if ":" in address else address for address in addresses]
    return tuple(dict.fromkeys((*LOOPBACK_NAMES, *named)))
