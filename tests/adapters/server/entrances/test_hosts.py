"""Which hosts a server listens on, and by which names it may be called."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from posthouse.adapters.server.entrances.hosts import allowed_names, check_hosts, hosts_to_bind, warn_of_trust
from posthouse.adapters.server.entrances.listeners import Bound
from posthouse.adapters.system.machine import MachineSockets
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

SOCKETS = MachineSockets()


@pytest.mark.parametrize(
    ("host", "elsewhere", "hosts"),
    [
        (None, False, ("127.0.0.1",)),
        (None, True, ()),
        ("10.0.0.1", False, ("10.0.0.1",)),
        ("10.0.0.1", True, ("10.0.0.1",)),
        (["a", "b"], False, ("a", "b")),
        ((), False, ()),
        ((), True, ()),
        ([], True, ()),
    ],
)
def test_it_listens_on_loopback_unless_told_otherwise(
    host: str | Sequence[str] | None, elsewhere: bool, hosts: tuple[str, ...]
) -> None:
    assert hosts_to_bind(host, elsewhere=elsewhere) == hosts


def test_an_empty_list_may_be_an_accident() -> None:
    with pytest.raises(UsageError, match=r"^there is nothing to listen on: .* To open no port, use host=\(\)$"):
        hosts_to_bind([], elsewhere=False)


def test_other_machines_reach_only_servers_with_names_and_none_for_development() -> None:
    check_hosts(SOCKETS, ("127.0.0.1", "::1"), (), dev=True)
    check_hosts(SOCKETS, ("127.0.0.1", "10.0.0.1"), ["example.org"], dev=False)
    check_hosts(SOCKETS, (), (), dev=False)
    with pytest.raises(UsageError, match=r"^10\.0\.0\.1 is not a loopback address: list the host names"):
        check_hosts(SOCKETS, ("127.0.0.1", "10.0.0.1"), (), dev=False)
    with pytest.raises(UsageError, match=r"^dev=True is only for loopback addresses, not for 10\.0\.0\.1"):
        check_hosts(SOCKETS, ("10.0.0.1",), ["example.org"], dev=True)


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        ([], ("localhost", "127.0.0.1", "[::1]")),
        (["127.0.0.1", "::1"], ("localhost", "127.0.0.1", "[::1]")),
        (["0.0.0.0", "::", ""], ("localhost", "127.0.0.1", "[::1]")),
        (["10.0.0.1", "fe80::1%eth0"], ("localhost", "127.0.0.1", "[::1]", "10.0.0.1", "[fe80::1]")),
    ],
)
def test_the_names_are_those_of_loopback_and_the_addresses(hosts: list[str], names: tuple[str, ...]) -> None:
    bound = tuple(Bound(host, 8000) for host in hosts)
    assert allowed_names(bound, ()) == names
    assert allowed_names(bound, ["example.org"]) == ("example.org",)


def test_a_server_that_trusts_every_address_says_so(caplog: pytest.LogCaptureFixture) -> None:
    warn_of_trust(Config(trust_proxies=("unix", "10.0.0.0/8", "::1")))
    assert caplog.messages == []
    warn_of_trust(Config(trust_proxies=("10.0.0.0/8", "0.0.0.0/0", "::/0")))
    assert caplog.messages == [
        f"every client may name any address as its own: {network} in --trust-proxy (in code, trust_proxies) contains "
        "all addresses"
        for network in ("0.0.0.0/0", "::/0")
    ]
