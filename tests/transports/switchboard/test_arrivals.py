"""Requests and handshakes with credentials: nothing is answered before they were verified."""

from __future__ import annotations

import re

import pytest
from posthouse.core import Basic, Bearer, Config, Emit, Identity, Refused, Resolve, Service, Verify
from posthouse.core.values.lifecycle import ForwardingIgnored

from tests.transports.board import PIPE, Board, body, call, result

WHO = call("who")
ADA = Identity("ada")


def service() -> Service:
    offered = Service("private")

    @offered.authenticator("bearer", namespace="tokens")
    def bearer(credentials: Bearer) -> Identity | None:
        raise NotImplementedError

    @offered.authenticator("basic", namespace="passwords")
    def basic(credentials: Basic) -> Identity | None:
        raise NotImplementedError

    @offered.method
    def who() -> str:
        return "ada"

    return offered


def post(token: bytes, text: bytes = WHO) -> bytes:
    head = b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b" % (token, len(text), text)


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: Bearer x\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Doorway(Board):
    """A board whose service has an authenticator. A test says what it decides."""

    def __init__(self) -> None:
        super().__init__(service=service())
        self.socket = self.open()

    def asked(self) -> list[Verify]:
        return [action for action in self.actions if isinstance(action, Verify)]

    def decide(self, outcome: object) -> None:
        assert self.board.conclude(self.asked()[-1].operation, outcome, self.now)
        self.run()


def test_a_request_is_answered_when_its_token_was_verified_and_the_next_one_at_once() -> None:
    door = Doorway()
    assert door.feed(door.socket, post(b"secret") + post(b"secret")) == b""
    assert [verify.credentials for verify in door.asked()] == [Bearer("secret")]
    door.decide(ADA)
    answers = door.take(door.socket)
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answers.endswith(b"\r\n\r\n" + result("ada"))
    assert len(door.asked()) == 1


def test_a_request_whose_token_is_refused_gets_401_and_the_socket_is_closed() -> None:
    door = Doorway()
    door.feed(door.socket, post(b"wrong"))
    door.decide(Refused())
    answer = door.take(door.socket)
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b'\r\nWWW-Authenticate: Bearer\r\nWWW-Authenticate: Basic realm="posthouse", charset="UTF-8"\r\n' in answer
    assert b"\r\nConnection: close\r\n" in answer
    assert body(answer) == b'{"jsonrpc":"2.0","error":{"code":-32020,"message":"Unauthenticated"},"id":null}'
    assert door.half_closed == [door.socket]


def test_a_handshake_is_answered_with_101_when_its_token_was_verified() -> None:
    door = Doorway()
    assert door.feed(door.socket, UPGRADE) == b""
    door.decide(ADA)
    assert door.take(door.socket).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")


def test_frames_behind_a_handshake_wait_for_its_token() -> None:
    door = Doorway()
    masked = b"\x81" + bytes([0x80 | len(WHO)]) + b"\0\0\0\0" + WHO
    assert door.feed(door.socket, UPGRADE + masked) == b""
    door.decide(ADA)
    answer = door.take(door.socket)
    head, _, frames = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert frames == bytes([0x81, len(result("ada"))]) + result("ada")


def test_a_handshake_whose_token_is_refused_gets_401_and_never_101() -> None:
    door = Doorway()
    door.feed(door.socket, UPGRADE)
    door.decide(Refused())
    answer = door.take(door.socket)
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert body(answer) == b"Unauthenticated\n"


@pytest.mark.parametrize("request_", [post(b"x"), UPGRADE], ids=["exchange", "handshake"])
def test_a_client_that_leaves_meanwhile_is_forgotten(request_: bytes) -> None:
    door = Doorway()
    door.feed(door.socket, request_)
    door.board.closed(door.socket, 1.0)
    door.run()
    assert door.board.conclude(door.asked()[0].operation, ADA, 2.0) is False
    door.run()
    assert door.board.stats()["connections.opened"] == 0
    assert door.board.gateway.memory == 0


def test_a_request_without_credentials_is_anonymous() -> None:
    door = Doorway()
    text = post(b"x").replace(b"Authorization: Bearer x\r\n", b"")
    answer = door.feed(door.socket, text)
    assert body(answer).startswith(b'{"jsonrpc":"2.0","error":{"code":-32020')
    assert door.asked() == []


def test_two_authorization_headers_are_refused() -> None:
    door = Doorway()
    twice = post(b"x").replace(b"Authorization", b"Authorization: Bearer y\r\nAuthorization")
    assert door.feed(door.socket, twice).startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_page_in_a_browser_offers_its_token_as_a_subprotocol() -> None:
    door = Doorway()
    offer = b"Sec-WebSocket-Protocol: posthouse.v1.json, posthouse.bearer.c2VjcmV0\r\nOrigin: http://localhost\r\n"
    assert door.feed(door.socket, UPGRADE.replace(b"Authorization: Bearer x\r\n", offer)) == b""
    assert [verify.credentials for verify in door.asked()] == [Bearer("secret")]
    assert "sec-websocket-protocol" not in door.asked()[0].caller.headers
    door.decide(ADA)
    head = door.take(door.socket)
    assert head.startswith(b"HTTP/1.1 101")
    assert b"\r\nSec-WebSocket-Protocol: posthouse.v1.json\r\n" in head
    assert b"posthouse.bearer" not in head


def test_a_handshake_with_the_credentials_of_two_users_gets_400() -> None:
    door = Doorway()
    offer = b"Sec-WebSocket-Protocol: posthouse.v1.json, posthouse.bearer.c2VjcmV0\r\n"
    assert door.feed(door.socket, UPGRADE.replace(b"Sec-WebSocket-Key", offer + b"Sec-WebSocket-Key")) == b""
    door.decide(ADA)
    door.decide(Identity("bob"))
    answer = door.take(door.socket)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert body(answer) == b"Invalid Request\n"


def test_a_password_that_a_browser_adds_to_the_request_of_another_site_gets_403() -> None:
    door = Doorway()
    basic = b"Authorization: Basic YTpi\r\nSec-Fetch-Site: cross-site"
    answer = door.feed(door.socket, post(b"x").replace(b"Authorization: Bearer x", basic))
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert door.asked() == []


def test_a_page_gets_no_challenge_of_basic() -> None:
    door = Doorway()
    door.feed(door.socket, post(b"wrong").replace(b"Host: ", b"Sec-Fetch-Site: same-origin\r\nHost: "))
    door.decide(Refused())
    answer = door.take(door.socket)
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert answer.count(b"WWW-Authenticate: ") == 1
    assert b"\r\nWWW-Authenticate: Bearer\r\n" in answer


LOG_IN = call("auth.login", b'{"method":"bearer","token":"x","cookie":true}')


def test_a_log_in_sets_a_cookie_that_opens_a_websocket_and_a_log_out_clears_it() -> None:
    door = Doorway()
    assert door.feed(door.socket, post(b"x", LOG_IN).replace(b"Authorization: Bearer x\r\n", b"")) == b""
    door.decide(ADA)
    answer = door.take(door.socket)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    found = re.search(
        rb"\r\nSet-Cookie: (__Host-posthouse=[A-Za-z0-9_-]{43}); Path=/; Max-Age=7776000; Secure; HttpOnly; "
        rb"SameSite=Strict\r\n",
        answer,
    )
    assert found is not None
    cookie = b"Cookie: a=b; %b\r\n" % found[1]
    browser = door.open()
    page = cookie + b"Origin: http://localhost\r\n"
    head = door.feed(browser, UPGRADE.replace(b"Authorization: Bearer x\r\n", page))
    assert head.startswith(b"HTTP/1.1 101")
    log_out = post(b"x", call("auth.logout")).replace(b"Authorization: Bearer x\r\n", cookie)
    cleared = door.feed(door.socket, log_out)
    assert b"\r\nSet-Cookie: __Host-posthouse=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict\r\n" in cleared
    again = door.feed(door.socket, log_out)
    assert again.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"\r\nSet-Cookie: __Host-posthouse=; Path=/; Max-Age=0; " in again


def test_a_page_of_the_same_origin_logs_in_with_a_cookie_that_does_not_count_any_more() -> None:
    door = Doorway()
    page = b"Cookie: __Host-posthouse=old\r\nOrigin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n"
    assert door.feed(door.socket, post(b"x", LOG_IN).replace(b"Authorization: Bearer x\r\n", page)) == b""
    door.decide(ADA)
    answer = door.take(door.socket)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nSet-Cookie: __Host-posthouse=" in answer


def test_a_handshake_with_a_cookie_that_does_not_count_gets_401_and_clears_it() -> None:
    door = Doorway()
    answer = door.feed(door.socket, UPGRADE.replace(b"Authorization: Bearer x", b"Cookie: __Host-posthouse=old"))
    assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
    assert b"\r\nSet-Cookie: __Host-posthouse=; Path=/; Max-Age=0; " in answer


def stats(*fields: bytes, method: bytes = b"GET") -> bytes:
    """A request for the statistics with these header lines."""
    return b"%b /stats HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (method, b"".join(each + b"\r\n" for each in fields))


TOKEN = b"Authorization: Bearer secret"
ADMIN = Identity("eve", ("admin",))


def test_statistics_wait_until_the_token_was_verified_and_the_next_ones_do_not() -> None:
    door = Doorway()
    assert door.feed(door.socket, stats(TOKEN) + stats(TOKEN)) == b""
    assert [verify.credentials for verify in door.asked()] == [Bearer("secret")]
    assert [verify.caller.peer.path for verify in door.asked()] == ["/stats"]
    door.decide(ADMIN)
    answers = door.take(door.socket)
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 2
    assert answers.count(b'"auth.succeeded":1') == 2
    assert len(door.asked()) == 1
    assert door.board.stats()["connections.open"] == 0


@pytest.mark.parametrize(
    ("outcome", "status", "content"),
    [
        (ADMIN, b"200 OK", b'{"'),
        (Identity("ada"), b"403 Forbidden", b'{"scopes":["admin"]}'),
        (Refused(), b"401 Unauthorized", b'{"jsonrpc":"2.0","error":{"code":-32020,"message":"Unauthenticated"},'),
        (
            Identity("eve", ("admin",), expires_at=1.0),
            b"401 Unauthorized",
            b'{"jsonrpc":"2.0","error":{"code":-32022,"message":"Credentials expired"},',
        ),
    ],
)
def test_statistics_depend_on_the_credentials(outcome: object, status: bytes, content: bytes) -> None:
    door = Doorway()
    door.feed(door.socket, stats(TOKEN))
    door.decide(outcome)
    answer = door.take(door.socket)
    assert answer.startswith(b"HTTP/1.1 %b\r\n" % status)
    assert body(answer).startswith(content)
    assert (b"\r\nWWW-Authenticate: Bearer\r\n" in answer) is (status[:3] == b"401")
    assert door.board.stats()["connections.open"] == 0


def test_the_answer_to_a_head_request_for_the_statistics_has_no_body() -> None:
    door = Doorway()
    door.feed(door.socket, stats(TOKEN, method=b"HEAD"))
    door.decide(ADMIN)
    answer = door.take(door.socket)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body(answer) == b""


def test_statistics_for_unreadable_credentials_are_refused_at_once_and_health_is_told() -> None:
    door = Doorway()
    health = stats(b"Authorization: Nonsense").replace(b"/stats", b"/health")
    assert door.feed(door.socket, health).startswith(b"HTTP/1.1 200 OK\r\n")
    assert door.feed(door.socket, stats(b"Authorization: Nonsense")).startswith(b"HTTP/1.1 401 ")
    assert door.asked() == []


def test_statistics_for_a_cookie_that_does_not_count_are_refused_and_the_cookie_is_cleared() -> None:
    door = Doorway()
    answer = door.feed(door.socket, stats(b"Cookie: __Host-posthouse=old"))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nSet-Cookie: __Host-posthouse=; Path=/; Max-Age=0;" in answer


def test_too_many_wrong_tokens_for_the_statistics_are_told_to_wait() -> None:
    door = Doorway()
    for number in range(50):
        socket = door.open()
        door.feed(socket, stats(b"Authorization: Bearer %d" % number))
        door.decide(Refused())
    answer = door.feed(door.open(), stats(TOKEN))
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"\r\nRetry-After: 1\r\n" in answer


def test_a_service_without_authenticators_ignores_credentials_for_the_statistics() -> None:
    board = Board(identity=ADMIN)
    assert board.feed(board.open(), stats(TOKEN)).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_asked_for_the_statistics_and_ended_its_input_is_answered_for_a_while() -> None:
    for seconds, status in ((4.9, b"HTTP/1.1 200 OK\r\n"), (5.0, b"")):
        door = Doorway()
        door.feed(door.socket, stats(TOKEN))
        door.board.received_eof(door.socket, door.now)
        door.pass_time(seconds)
        if status:
            door.decide(ADMIN)
        assert door.take(door.socket)[: len(status)] == status
        assert door.closed == {door.socket: bool(status)}


def test_statistics_are_told_during_a_shut_down() -> None:
    door = Doorway()
    door.feed(door.socket, stats(TOKEN))
    door.board.shut_down(0.0)
    door.decide(ADMIN)
    assert door.take(door.socket).startswith(b"HTTP/1.1 200 OK\r\n")


def test_each_request_of_a_socket_has_its_own_token() -> None:
    door = Doorway()
    door.feed(door.socket, post(b"first"))
    door.decide(ADA)
    door.feed(door.socket, post(b"first"))
    door.feed(door.socket, post(b"other"))
    assert [verify.credentials for verify in door.asked()] == [Bearer("first"), Bearer("other")]
    door.decide(Refused())
    assert door.take(door.socket).endswith(b'"id":null}')


# Bodies that are read when their token was verified


def large(fields: bytes = b"") -> bytes:
    """The head of a call with a body that is larger than one of a client that is not authenticated may be."""
    head = (
        b"POST /rpc HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer secret\r\n"
    )
    return head + b"%bContent-Length: %d\r\n\r\n" % (fields, len(LONG))


LONG = WHO + b" " * 100


def demanding(*proxies: str) -> Doorway:
    door = Doorway()
    limits = Config(require_authentication=True, max_message_bytes_unauthenticated=50, trust_proxies=proxies)
    Board.__init__(door, limits, service=service())
    door.socket = door.open()
    return door


def test_a_large_body_is_read_when_its_token_was_verified() -> None:
    door = demanding()
    assert door.feed(door.socket, large()) == b""
    assert [verify.credentials for verify in door.asked()] == [Bearer("secret")]
    door.decide(ADA)
    assert door.feed(door.socket, LONG).endswith(b"\r\n\r\n" + result("ada"))


def test_a_large_body_that_comes_in_chunks_and_is_not_one_is_refused_and_nothing_is_left_of_its_caller() -> None:
    door = demanding()
    chunked = large().replace(b"Content-Length: %d" % len(LONG), b"Transfer-Encoding: chunked")
    door.feed(door.socket, chunked)
    door.decide(ADA)
    assert door.feed(door.socket, b"rubbish\r\n").startswith(b"HTTP/1.1 400 ")
    assert door.board.stats()["connections.open"] == 0


def test_the_caller_of_a_large_body_is_the_client_whom_a_trusted_proxy_names() -> None:
    door = demanding("127.0.0.1")
    door.feed(door.socket, large(b"X-Forwarded-For: 192.0.2.7\r\n"))
    assert [verify.caller.peer.address.host for verify in door.asked()] == ["192.0.2.7"]


def test_a_proxy_that_is_not_trusted_names_nobody_and_is_told_once() -> None:
    door = demanding()
    door.feed(door.socket, large(b"X-Forwarded-For: 192.0.2.7\r\n"))
    assert [verify.caller.peer.address.host for verify in door.asked()] == ["127.0.0.1"]
    told = [action.event for action in door.actions if isinstance(action, Emit)]
    assert [type(event) for event in told].count(ForwardingIgnored) == 1


def test_a_client_that_its_proxy_may_not_name_any_more_is_not_verified() -> None:
    door = Doorway()
    limits = Config(
        require_authentication=True,
        max_message_bytes_unauthenticated=50,
        trust_proxies=("127.0.0.1",),
        max_connections_per_address=1,
    )
    Board.__init__(door, limits, service=service())
    first, second = door.open(), door.open()
    door.feed(first, large(b"X-Forwarded-For: 192.0.2.7\r\n"))
    assert door.feed(second, large(b"X-Forwarded-For: 192.0.2.7\r\n")).startswith(b"HTTP/1.1 429 ")
    third = door.open()  # its body comes with the head
    assert door.feed(third, large(b"X-Forwarded-For: 192.0.2.7\r\n") + LONG).startswith(b"HTTP/1.1 429 ")
    assert len(door.asked()) == 1


def test_without_credentials_the_statistics_are_refused_at_once_though_there_are_authenticators() -> None:
    door = Doorway()
    assert door.feed(door.socket, stats(b"X-Nothing: 1")).startswith(b"HTTP/1.1 401 ")
    assert door.asked() == []


def test_a_host_adds_what_it_knows_to_the_health() -> None:
    door = Doorway()
    door.board.add_to_health({"workers": [1, 2]})
    answer = door.feed(door.socket, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.endswith(b',"workers":[1,2]}')
    assert b'{"status":"healthy",' in answer


def test_a_websocket_whose_token_was_verified_may_send_large_messages_at_once() -> None:
    door = demanding()
    door.feed(door.socket, UPGRADE)
    door.decide(ADA)
    door.take(door.socket)
    text = WHO.ljust(100)
    answer = door.feed(door.socket, b"\x81" + bytes([0x80 | len(text)]) + b"\0\0\0\0" + text)
    assert answer == bytes([0x81, len(result("ada"))]) + result("ada")


def test_a_handler_asks_for_the_session_of_its_caller() -> None:
    kept = Service("kept", public=True, sessions="on")

    @kept.method
    async def keep() -> None:
        raise NotImplementedError

    board = Board(service=kept)
    pipe = board.open(PIPE)
    assert b'"version":1' in board.feed(pipe, call("session.create", b"{}") + b"\n")
    board.feed(pipe, call("keep") + b"\n")
    (invoke,) = board.waiting
    request = board.board.ask_session(invoke.call, "update", {"set": {"n": 1}}, board.now)
    board.run()
    outcomes = [action.outcome for action in board.actions if isinstance(action, Resolve) and action.request == request]
    assert outcomes == [b'{"version":2,"durable":"memory"}']
