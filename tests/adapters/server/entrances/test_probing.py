"""The port for probes: its address, and who may ask there."""

from __future__ import annotations

import os
import socket

import pytest
from posthouse.adapters.server.entrances.probing import OPERATOR, check_metrics, listen_for_probes
from posthouse.adapters.system.machine import MachineSockets
from posthouse.core.values.errors import UsageError


@pytest.mark.parametrize("address", ["127.0.0.1:9100", "localhost:0", "[::1]:65535", "fd:7"])
def test_an_address_is_a_host_and_a_port_or_a_descriptor(address: str) -> None:
    check_metrics(address)


@pytest.mark.parametrize(
    "address", ["9100", ":9100", "localhost", "::1:9100", "a:65536", "a:b", "fd:", "http://a:1", ""]
)
def test_another_address_is_a_mistake_with_a_remedy(address: str) -> None:
    with pytest.raises(UsageError, match=r"write a host and a port from 0 to 65535, such as '127.0.0.1:9100'$"):
        check_metrics(address)


def test_what_is_no_text_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"^metrics is 9100, but must be an address, such as '127.0.0.1:9100'$"):
        check_metrics(9100)


def test_the_callers_of_a_loopback_address_are_operators_and_others_are_not() -> None:
    listener = listen_for_probes(MachineSockets(), "127.0.0.1:0")
    assert (listener.probes, listener.identity) == (True, OPERATOR)
    listener.close()
    everywhere = listen_for_probes(MachineSockets(), "0.0.0.0:0")
    assert (everywhere.probes, everywhere.identity) == (True, None)
    everywhere.close()


def test_a_name_with_several_addresses_is_listened_on_once() -> None:
    listener = listen_for_probes(MachineSockets(), "localhost:0")
    assert listener.bound.port > 0
    listener.close()


def test_a_socket_of_another_program_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as opened:
        listener = listen_for_probes(MachineSockets(), f"fd:{os.dup(opened.fileno())}")
        assert listener.bound.port == opened.getsockname()[1]
        assert listener.identity == OPERATOR
        listener.close()
