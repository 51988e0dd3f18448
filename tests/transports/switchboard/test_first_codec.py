"""The codec of a new socket's first bytes: HTTP for a stream, the detector for a pipe."""

from __future__ import annotations

import pytest
from posthouse.core.values.config import Config
from posthouse.core.values.peers import ANONYMOUS, NO_META, Address, Identity
from posthouse.transports.codec import Answered, Exchange, HeadRead
from posthouse.transports.http import judgement
from posthouse.transports.http.head import Head, HeadScanner
from posthouse.transports.http.routes import Wanted, judge
from posthouse.transports.http.server import Http1
from posthouse.transports.pipes.detect import PipeDetector
from posthouse.transports.policy import Policy
from posthouse.transports.refusal import Refusal
from posthouse.transports.switchboard.first_codec import first_codecs

CONFIG = Config()
scan = HeadScanner.scan


REQUEST = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
HEADERS = ((b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"2"))


def test_a_stream_is_http_and_a_pipe_is_undecided() -> None:
    first_codec = first_codecs(CONFIG, Policy(), direct=True)
    codec = first_codec(Address("127.0.0.1"), ANONYMOUS, 3.0)
    assert isinstance(codec, Http1)
    assert codec.next_timeout() == 3.0 + CONFIG.head_timeout
    assert isinstance(first_codec(Address(transport="pipe"), ANONYMOUS, 3.0), PipeDetector)


@pytest.mark.parametrize("direct", [True, False])
def test_sockets_share_the_heads_that_they_know_unless_shorter_ways_are_off(
    direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[bytes] = []
    scanned: list[bytes] = []

    def counted(head: Head, policy: Policy, config: Config, *, hosted: bool) -> Wanted:
        judged.append(head.path)
        return judge(head, policy, config, hosted=hosted)

    def watched(scanner: HeadScanner, buffer: bytearray) -> int | Refusal | None:
        scanned.append(bytes(buffer))
        return scan(scanner, buffer)

    monkeypatch.setattr(judgement, "judge", counted)
    monkeypatch.setattr(HeadScanner, "scan", watched)
    first_codec = first_codecs(CONFIG, Policy(), direct=direct)
    for _ in range(3):
        codec = first_codec(Address("127.0.0.1"), ANONYMOUS, 0.0)
        codec.receive_data(REQUEST, 0.0)
        assert codec.output == [HeadRead(), Exchange(b"{}", NO_META, "/rpc", HEADERS)]
    assert len(judged) == (1 if direct else 3)
    assert len(scanned) == (0 if direct else 3)


def test_a_codec_of_a_trusted_proxy_names_its_clients_and_that_of_another_peer_does_not() -> None:
    first_codec = first_codecs(Config(trust_proxies=("10.0.0.1",)), Policy(), direct=True)
    request = REQUEST.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
    clients = []
    for host in ("10.0.0.1", "10.0.0.2", "10.0.0.1"):
        codec = first_codec(Address(host), ANONYMOUS, 0.0)
        codec.receive_data(request, 0.0)
        clients += [output.client for output in codec.output if isinstance(output, Exchange)]
    client = Address("192.0.2.1", proxy="10.0.0.1")
    assert clients == [client, None, client]


@pytest.mark.parametrize("direct", [True, False])
def test_where_authentication_is_required_a_peer_with_an_identity_needs_no_credentials_and_the_next_one_does(
    direct: bool,
) -> None:
    first_codec = first_codecs(Config(require_authentication=True), Policy(), direct=direct)
    statuses = []
    for identity in (Identity("ada"), ANONYMOUS, Identity("ada"), ANONYMOUS):
        codec = first_codec(Address("127.0.0.1"), identity, 0.0)
        codec.receive_data(REQUEST, 0.0)
        statuses += [output.status if isinstance(output, Answered) else 200 for output in codec.output[1:2]]
    assert statuses == [200, 401, 200, 401]
