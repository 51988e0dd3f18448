"""Log-ins: one call changes the identity of its connection, and what comes behind it waits."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.json import decode, encode
from posthouse.core.operations.operations import Busy
from posthouse.core.service.authenticators import Bearer, Cookie, SessionToken
from posthouse.core.values.close_reasons import TOO_MANY_FAILED_AUTHENTICATIONS
from posthouse.core.values.effects import Accept, Answer, Disconnect, Invoke, Transmit, Verify, Withdraw
from posthouse.core.values.lifecycle import CallEnded, CallTimedOut
from posthouse.core.values.peers import Address, ConnectionId, Identity, Kind, OperationId, Peer, SetCookie

from tests.core.identity.credentials import ADA, BOB, FAILED, HERE, OTHER, REFUSED, TOKEN, AuthWorld, authenticated
from tests.core.world import WALL, World, code_of, request

ONE, TWO = OperationId(1), OperationId(2)


def login(
    world: World, one: ConnectionId, token: Bearer = TOKEN, id: Any = 1, method: str = "login", **meta: Any
) -> None:
    world.call(one, f"auth.{method}", {"method": "bearer", "token": token.token}, id, **meta)


def opened(*schemes: tuple[str, str, str], **limits: Any) -> tuple[AuthWorld, ConnectionId]:
    """A gateway, and an anonymous WebSocket that is open."""
    world = AuthWorld(*schemes, **limits)
    return world, world.connect()


def outcomes(world: World) -> dict[Any, Any]:
    """The replies by their ids: results, or codes of errors."""
    return {reply["id"]: reply.get("result", code_of(reply)) for reply in world.said()}


def known(world: AuthWorld, one: ConnectionId, identity: Identity = ADA, token: Bearer = TOKEN) -> None:
    """Log in, with an answer of the authenticator."""
    login(world, one, token, 100)
    world.conclude(world.asked().operation, identity)
    world.take()


def test_a_log_in_is_answered_when_the_credentials_were_verified() -> None:
    world, one = opened()
    login(world, one)
    (verify,) = world.take()
    assert isinstance(verify, Verify)
    assert (verify.credentials, verify.caller.identity) == (TOKEN, Identity())
    world.conclude(ONE, Identity("ada", ("read",), WALL + 60.0))
    assert outcomes(world) == {1: {"user": "ada", "scopes": ["read"], "expires_at": WALL + 60.0}}
    world.call(one, "private")
    assert [invoke.caller.identity.user for invoke in world.invoked()] == ["ada"]
    assert list(world.gateway._connections.by_user) == [("", "ada")]


def test_known_credentials_log_in_at_once() -> None:
    world, one = opened()
    known(world, one)
    two = world.connect()
    login(world, two)
    assert outcomes(world) == {1: {"user": "ada", "scopes": ["read"], "expires_at": None}}


@pytest.mark.parametrize(
    ("outcome", "code"), [(REFUSED, -32020), (FAILED, -32020), (Identity("ada", expires_at=WALL), -32022)]
)
def test_refused_credentials_change_nothing(outcome: object, code: int) -> None:
    world, one = opened()
    login(world, one)
    world.conclude(world.asked().operation, outcome)
    assert outcomes(world) == {1: code}
    assert world.gateway._connections.records[one].identity == Identity()


def test_no_answer_of_the_authenticator_in_time_is_a_refusal() -> None:
    world, one = opened(authentication_timeout=10.0)
    login(world, one)
    world.take()
    world.at(10.0)
    assert [effect for effect in world.take() if isinstance(effect, Withdraw)] == [Withdraw(ONE)]
    assert world.conclude(ONE, ADA) is False
    assert world.gateway._connections.records[one].identity == Identity()


def test_later_requests_wait_in_order_and_are_authorised_as_the_new_caller() -> None:
    world, one = opened()
    login(world, one)
    for id, method in ((2, "connection.info"), (3, "private"), (4, "guarded"), (5, "connection.stats")):
        world.call(one, method, (), id)
    world.call(one, "private", {"a": 1}, 6)
    assert [type(effect) for effect in world.take()] == [Verify]
    world.conclude(ONE, ADA)
    invoked = [effect for effect in world.gateway.outbox if isinstance(effect, Invoke)]
    assert [(invoke.method.name, invoke.caller.identity) for invoke in invoked] == [("private", ADA)]
    found = outcomes(world)
    assert found.pop(2)["user"] == "ada"
    assert found.pop(1)["user"] == "ada"
    assert found == {4: -32021, 5: -32021, 6: -32602}


def test_waiting_requests_run_as_the_old_caller_if_the_log_in_fails() -> None:
    world, one = opened()
    login(world, one)
    world.call(one, "echo", (), 2)
    world.call(one, "private", (), 3)
    world.take()
    world.conclude(ONE, REFUSED)
    assert [effect.caller.identity for effect in world.gateway.outbox if isinstance(effect, Invoke)] == [Identity()]
    assert outcomes(world) == {1: -32020, 3: -32020}


def test_responses_and_cancellations_do_not_wait() -> None:
    world, one = opened()
    login(world, one)
    world.call(one, "echo", (), 2)
    world.take()
    world.call(one, "rpc.cancel", {"id": 2}, 3)
    assert outcomes(world) == {2: -32800, 3: {"cancelled": True}}


def test_a_second_change_of_identity_is_refused_meanwhile() -> None:
    world, one = opened()
    login(world, one)
    world.take()
    login(world, one, OTHER, 2)
    world.call(one, "auth.logout", {}, 3)
    assert outcomes(world) == {2: -32009, 3: -32009}


def test_a_log_in_that_is_cancelled_lets_the_others_go_on() -> None:
    world, one = opened()
    login(world, one)
    world.call(one, "echo", (), 2)
    world.take()
    world.call(one, "rpc.cancel", {"id": 1}, 3)
    assert Withdraw(ONE) in world.gateway.outbox
    assert len([effect for effect in world.gateway.outbox if isinstance(effect, Invoke)]) == 1
    assert outcomes(world) == {1: -32800, 3: {"cancelled": True}}
    assert world.conclude(ONE, ADA) is False
    login(world, one, OTHER, 4)
    assert world.asked().operation == TWO


def test_a_log_in_times_out_as_a_call() -> None:
    world, one = opened()
    login(world, one, timeout_ms=300)
    world.take()
    world.at(0.3)
    assert Withdraw(ONE) in world.gateway.outbox
    assert outcomes(world) == {1: -32030}
    assert world.gateway.health(0.3).calls == 0


def test_an_identity_that_comes_at_the_deadline_of_its_call_does_not_count() -> None:
    world = AuthWorld()
    world.gateway._dispatch._endings.wanted = True
    one = world.connect()
    login(world, one, timeout_ms=300)
    world.take()
    world.now = 0.3
    assert world.conclude(ONE, ADA) is True
    events = [effect.event for effect in world.gateway.outbox if hasattr(effect, "event")]
    assert [type(event) for event in events if isinstance(event, CallTimedOut | CallEnded)][:1] == [CallTimedOut]
    assert outcomes(world) == {1: -32030}
    assert world.gateway._connections.records[one].identity == Identity()


def test_a_client_that_leaves_during_a_log_in_is_forgotten() -> None:
    world, one = opened()
    login(world, one)
    world.take()
    world.gateway.disconnected(one, None, 1.0)
    assert world.take() == [Withdraw(ONE)]
    assert (world.gateway.health(1.0).calls, world.gateway._logins.records) == (0, {})
    assert world.conclude(ONE, ADA) is False


def test_the_end_of_a_shut_down_answers_a_log_in_and_what_waits_behind_it() -> None:
    world, one = opened(drain_grace=5.0, authentication_timeout=30.0)
    login(world, one)
    world.call(one, "echo", (), 2)
    world.gateway.shut_down(0.0)
    world.take()
    world.at(5.0)
    assert not [effect for effect in world.gateway.outbox if isinstance(effect, Invoke)]
    assert outcomes(world) == {1: -32050, 2: -32050}


def test_a_log_in_waits_behind_calls_that_wait_for_a_slot() -> None:
    world, one = opened(max_calls_per_connection=1)
    first = world.begin(one, "echo", (), 1)
    world.call(one, "echo", (), 2)
    login(world, one, TOKEN, 3)
    world.call(one, "connection.info", (), 4)
    assert world.take() == []
    world.complete(first)
    (second,) = world.invoked()
    world.complete(second.call)
    assert [type(effect) for effect in world.take()][-1:] == [Verify]
    world.conclude(ONE, ADA)
    found = outcomes(world)
    assert (found[3]["user"], found[4]["user"]) == ("ada", "ada")


def test_a_refresh_keeps_the_user_and_the_state_and_may_change_scopes() -> None:
    world, one = opened()
    known(world, one)
    record = world.gateway._connections.records[one]
    record.caller.connection_state["visits"] = 1
    login(world, one, OTHER, 2, "refresh")
    world.conclude(world.asked().operation, Identity("ada", ("write",)))
    assert outcomes(world) == {2: {"user": "ada", "scopes": ["write"], "expires_at": None}}
    assert (record.caller.identity.scopes, record.caller.connection_state) == (("write",), {"visits": 1})
    login(world, one, Bearer("third"), 3, "refresh")
    world.conclude(world.asked().operation, BOB)
    assert outcomes(world) == {3: -32021}
    assert record.identity.user == "ada"


def test_another_user_gets_a_new_state() -> None:
    world, one = opened()
    known(world, one)
    record = world.gateway._connections.records[one]
    record.caller.connection_state["visits"] = 1
    known(world, one, BOB, OTHER)
    assert (record.caller.identity, record.caller.connection_state) == (BOB, {})
    assert list(world.gateway._connections.by_user) == [("", "bob")]


def test_a_log_out_gives_the_identity_back_with_which_the_connection_opened() -> None:
    world, one = opened()
    world.call(one, "auth.logout", {}, 1)
    assert outcomes(world) == {1: -32020}
    known(world, one)
    world.call(one, "auth.logout", {}, 2)
    assert outcomes(world) == {2: {}}
    assert not world.gateway._connections.by_user
    world.call(one, "private", (), 3)
    assert outcomes(world) == {3: -32020}


def test_the_limit_per_user_counts_log_ins_but_not_those_of_the_same_user() -> None:
    world = AuthWorld(max_connections_per_user=1)
    one, two = world.connect(), world.connect()
    known(world, one)
    login(world, one, TOKEN, 2, "refresh")
    assert outcomes(world)[2]["user"] == "ada"
    login(world, two)
    assert outcomes(world) == {1: -32029}
    assert world.gateway._connections.records[two].identity == Identity()


def test_an_observed_limit_per_user_is_counted_only() -> None:
    world = AuthWorld(max_connections_per_user=1, observe=["max_connections_per_user"])
    one, two = world.connect(), world.connect()
    known(world, one)
    login(world, two)
    assert outcomes(world)[1]["user"] == "ada"


def test_a_log_in_is_refused_while_too_many_operations_run() -> None:
    world = AuthWorld(max_external_operations=1)
    one, two = world.connect(), world.connect()
    login(world, one)
    world.take()
    login(world, two, OTHER)
    assert outcomes(world) == {1: -32009}


def test_a_log_in_is_refused_while_too_many_passwords_wait_to_be_hashed() -> None:
    world = AuthWorld()
    login(world, world.connect())
    world.conclude(OperationId(1), Busy())
    assert outcomes(world) == {1: -32009}


def test_a_log_in_over_http_is_for_the_rest_of_its_batch() -> None:
    world = AuthWorld()
    one = world.connect("http")
    params = {"method": "bearer", "token": TOKEN.token}
    batch = [
        {"jsonrpc": "2.0", "method": "auth.login", "params": params, "id": 1},
        {"jsonrpc": "2.0", "method": "private", "id": 2},
    ]
    world.receive(one, batch)
    world.conclude(world.asked().operation, ADA)
    (invoke,) = world.invoked()
    assert invoke.caller.identity == ADA
    world.complete(invoke.call, 7)
    (answer,) = world.said()
    assert [entry["result"] for entry in answer] == [{"user": "ada", "scopes": ["read"], "expires_at": None}, 7]


def test_a_service_without_authenticators_has_no_log_in() -> None:
    world = World()
    one = world.connect()
    login(world, one)
    assert outcomes(world) == {1: -32601}
    assert authenticated().authenticators


def test_row_38_a_log_in_whose_budget_is_spent_is_told_how_long_to_wait() -> None:
    world = AuthWorld(max_auth_failures_per_address=1)
    one = world.connect(address=HERE)
    login(world, one)
    world.conclude(ONE, REFUSED)
    world.take()
    login(world, one, OTHER)
    (reply,) = world.said()
    assert reply["error"] == {
        "code": -32023,
        "message": "Too many failed authentications",
        "data": {"retryable": True, "retry_after_ms": 1000},
    }


def test_row_38_a_connection_that_waits_is_not_closed_and_one_that_goes_on_guessing_is() -> None:
    world = AuthWorld(max_auth_failures_per_address=1)
    one, two = world.connect(address=HERE), world.connect(address=HERE)
    login(world, one)
    world.conclude(ONE, REFUSED)
    world.take()
    for connection in (one, two):
        login(world, connection, OTHER)
        assert outcomes(world) == {1: -32023}
    world.now = 1.0
    login(world, one, OTHER)
    world.conclude(TWO, REFUSED)
    assert outcomes(world) == {1: -32020}
    login(world, two, OTHER)
    assert outcomes(world) == {1: -32023}, "somebody else has used the chance"
    world.now = 2.999
    login(world, two, OTHER)
    effects = world.take()
    assert [type(effect) for effect in effects] == [Transmit, Disconnect]
    assert effects[1:] == [Disconnect(two, TOO_MANY_FAILED_AUTHENTICATIONS)]
    world.now = 3.0
    login(world, one, TOKEN)
    assert world.asked().credentials == TOKEN


def test_a_log_in_that_waits_for_a_hash_is_refused_as_busy_after_its_time() -> None:
    world = AuthWorld(("basic", "passwords", "local"))
    one, two = world.connect(), world.connect()
    for number, connection in enumerate((one, two)):
        world.now = float(number)
        world.call(connection, "auth.login", {"method": "password", "user": "ada", "password": "x"})
    world.take()
    world.at(10.0)
    assert outcomes(world) == {1: -32020}
    world.at(11.0)
    (reply,) = world.said()
    assert (code_of(reply), reply["error"]["data"]["limit"]) == (-32009, "max_hashes_per_user")


# Cookies

LOCAL, REMOTE, TLS = Address("127.0.0.1", 1), Address("192.0.2.1", 1), Address("192.0.2.1", 1, secure=True)


class Browser(AuthWorld):
    """HTTP exchanges, each a connection of its own, whose token is that of Ada. `sessions` as for a service."""

    def __init__(self, sessions: str = "off", **limits: Any) -> None:
        World.__init__(self, authenticated(sessions=sessions), **limits)

    def ask(
        self, method: str, params: object = (), credentials: object = None, address: Address = LOCAL, **peer: Any
    ) -> Answer | Disconnect:
        """The one answer to a request, or its refusal."""
        one = self.gateway.connect(Peer("http", address, **peer), self.now, credentials=credentials)
        self.gateway.receive(one, encode(request(method, params, 1)), self.now)
        for effect in list(self.gateway.outbox):
            if isinstance(effect, Verify):
                self.conclude(effect.operation, ADA)
        (answer,) = (effect for effect in self.take() if isinstance(effect, Answer | Disconnect))
        self.gateway.disconnected(one, None, self.now)
        return answer

    def log_in(self, credentials: object = None, method: str = "login", **options: Any) -> Cookie:
        """The cookie that a log-in sets."""
        params = {"method": "bearer", "token": TOKEN.token, "cookie": True}
        answer = self.ask(f"auth.{method}", params, credentials, **options)
        assert isinstance(answer, Answer)
        assert answer.cookie is not None, answer
        return Cookie(answer.cookie.secret)

    def user(self, cookie: object) -> object:
        """Who calls with this cookie."""
        answer = self.ask("connection.info", (), cookie)
        if isinstance(answer, Disconnect):
            return answer.reason.name
        return decode(answer.data or b"")["result"]["user"]


@pytest.mark.parametrize("sessions", ["off", "on"])
def test_a_log_in_over_http_sets_a_cookie_with_which_later_requests_come(sessions: str) -> None:
    browser = Browser(sessions)
    cookie = browser.log_in()
    assert browser.user(cookie) == "ada"
    websocket = browser.gateway.connect(Peer("websocket", LOCAL), 0.0, credentials=cookie)
    assert browser.take() == [Accept(websocket)]
    assert browser.gateway._connections.records[websocket].identity == ADA


@pytest.mark.parametrize("sessions", ["off", "on"])
def test_a_log_in_that_asks_for_no_cookie_sets_none(sessions: str) -> None:
    browser = Browser(sessions)
    answer = browser.ask("auth.login", {"method": "bearer", "token": TOKEN.token})
    assert isinstance(answer, Answer)
    assert (answer.code, answer.cookie) == (None, None)


@pytest.mark.parametrize("sessions", ["off", "on"])
def test_a_log_out_ends_the_cookie_and_clears_it(sessions: str) -> None:
    browser = Browser(sessions)
    cookie, other = browser.log_in(), browser.log_in()
    answer = browser.ask("auth.logout", (), cookie)
    assert isinstance(answer, Answer)
    assert (answer.code, answer.cookie) == (None, SetCookie("", 0))
    assert [browser.user(each) for each in (cookie, other)] == ["stale_cookie", "ada"]


@pytest.mark.parametrize("sessions", ["off", "on"])
def test_a_log_out_on_a_websocket_ends_the_cookie_with_which_it_came(sessions: str) -> None:
    browser = Browser(sessions)
    cookie = browser.log_in()
    one = browser.gateway.connect(Peer("websocket", LOCAL), 0.0, credentials=cookie)
    browser.call(one, "auth.logout")
    assert browser.user(cookie) == "stale_cookie"


@pytest.mark.parametrize("sessions", ["off", "on"])
@pytest.mark.parametrize("method", ["login", "refresh"])
def test_another_log_in_with_a_cookie_gets_another_one_and_ends_it(method: str, sessions: str) -> None:
    browser = Browser(sessions)
    one = browser.log_in()
    two = browser.log_in(one, method)
    assert one != two
    assert [browser.user(each) for each in (one, two)] == ["stale_cookie", "ada"]


@pytest.mark.parametrize("kind", ["websocket", "cli"])
def test_only_http_can_set_a_cookie(kind: Kind) -> None:
    world = AuthWorld()
    one = world.gateway.connect(Peer(kind, LOCAL), 0.0)
    world.take()
    world.call(one, "auth.login", {"method": "bearer", "token": "x", "cookie": True})
    (reply,) = world.said()
    assert reply["error"]["code"] == -32602
    assert reply["error"]["data"] == {"parameter": "cookie", "reason": "only POST /rpc can set a cookie"}
    assert not world.gateway._verifications.records


@pytest.mark.parametrize(
    ("address", "refused"),
    [
        *((LOCAL, False), (Address("::1"), False), (Address("::ffff:127.0.0.1"), False), (Address(), False)),
        *((TLS, False), (REMOTE, True), (Address("2001:db8::1"), True), (Address("192.0.2.127"), True)),
    ],
)
def test_a_cookie_needs_https_or_a_client_on_the_same_machine(address: Address, refused: bool) -> None:
    params = {"method": "bearer", "token": "x", "cookie": True}
    answer = Browser().ask("auth.login", params, address=address)
    assert isinstance(answer, Answer)
    assert (answer.code, answer.cookie is None) == ((-32602, True) if refused else (None, False))
    assert (b'"a cookie needs https, or a client on the server\'s machine"' in (answer.data or b"")) is refused


@pytest.mark.parametrize("sessions", ["off", "on"])
def test_a_log_in_that_fails_sets_no_cookie(sessions: str) -> None:
    browser = Browser(sessions, max_sessions=1)
    browser.log_in()
    answer = browser.ask("auth.login", {"method": "bearer", "token": TOKEN.token, "cookie": True})
    assert isinstance(answer, Answer)
    assert (answer.code, answer.cookie) == (-32009, None)
    assert b'"limit":"max_sessions"' in (answer.data or b"")


@pytest.mark.parametrize("sessions", ["off", "on"])
@pytest.mark.parametrize("limit", ["max_sessions", "max_sessions_per_user"])
def test_a_log_in_makes_room_for_its_own_cookie(limit: str, sessions: str) -> None:
    browser = Browser(sessions, **{limit: 2})
    other, own = browser.log_in(), browser.log_in()
    anew = browser.log_in(own)
    assert [browser.user(cookie) for cookie in (other, own, anew)] == ["ada", "stale_cookie", "ada"]


@pytest.mark.parametrize("sessions", ["off", "on"])
def test_a_cookie_is_set_by_the_answer_to_a_batch_and_by_an_empty_one(sessions: str) -> None:
    browser = Browser(sessions)
    log_in = request("auth.login", {"method": "bearer", "token": "x", "cookie": True}, 1)
    log_out = request("auth.logout", (), 2)
    answers = []
    for text in ([log_in], [log_in, log_out], {key: log_in[key] for key in ("jsonrpc", "method", "params")}):
        one = browser.gateway.connect(Peer("http", LOCAL), 0.0)
        browser.gateway.receive(one, encode(text), 0.0)
        for effect in list(browser.gateway.outbox):
            if isinstance(effect, Verify):
                browser.conclude(effect.operation, ADA)
        answers += [effect for effect in browser.take() if isinstance(effect, Answer)]
        browser.gateway.disconnected(one, None, 0.0)
    assert [answer.cookie and answer.cookie.max_age for answer in answers] == [7_776_000, 0, 7_776_000]
    assert answers[2].data is None


@pytest.mark.parametrize(
    ("came", "wishes", "told"),
    [
        ("nothing", ({"cookie": True}, {"cookie": True}), [False, False]),
        ("nothing", ({"cookie": True}, {}), [False, False]),
        ("nothing", ({"cookie": True}, {"cookie": True, "session": True}), [False, True]),
        ("nothing", ({"cookie": True, "session": True}, {"cookie": True}), [True, True]),
        ("cookie", ({"cookie": True}, {"cookie": True}), [False, False]),
        ("header", ({"cookie": True}, {"cookie": True}), [True, True]),
    ],
)
def test_of_several_log_ins_in_a_batch_none_tells_the_secret_of_a_cookie(
    came: str, wishes: tuple[dict[str, bool], ...], told: list[bool]
) -> None:
    browser = Browser("on")
    known = browser.log_in()
    credentials = {"nothing": None, "cookie": known, "header": SessionToken(known.secret)}[came]
    one = browser.gateway.connect(Peer("http", LOCAL), 0.0, credentials=credentials)
    given = {"method": "bearer", "token": TOKEN.token}
    calls = [request("auth.login", {**given, **each}, number) for number, each in enumerate(wishes)]
    browser.gateway.receive(one, encode(calls), 0.0)
    answers: list[Answer] = []
    while not answers:
        for effect in browser.take():
            if isinstance(effect, Verify):
                browser.conclude(effect.operation, ADA)
            answers += [effect] if isinstance(effect, Answer) else []
    results = sorted(decode(answers[0].data or b""), key=lambda reply: int(reply["id"]))
    assert ["session" in reply["result"] for reply in results] == told
    assert answers[0].cookie is not None
    assert browser.user(Cookie(answers[0].cookie.secret)) == "ada"


def test_where_a_service_has_sessions_a_cookie_is_one_that_the_store_keeps() -> None:
    browser = Browser("on")
    answer = browser.ask("auth.login", {"method": "bearer", "token": TOKEN.token, "cookie": True})
    assert isinstance(answer, Answer)
    assert answer.cookie is not None
    assert decode(answer.data or b"")["result"] == {"user": "ada", "scopes": ["read"], "expires_at": None}
    store = browser.gateway.store
    assert store is not None
    ((id, row),) = store.sessions.items()
    assert (row.identity, answer.cookie.max_age) == (ADA, 7_776_000)
    assert answer.cookie.secret.partition(".")[0] == id
    assert answer.cookie.secret.encode() not in repr(store.sessions).encode()
    assert browser.gateway._cookies.records == {}
    listed = browser.ask("session.list", (), Cookie(answer.cookie.secret))
    assert isinstance(listed, Answer)
    assert [each["current"] for each in decode(listed.data or b"")["result"]["sessions"]] == [True]


def test_a_cookie_with_a_session_is_renewed_by_a_log_in_that_does_not_ask_for_one() -> None:
    browser = Browser("on")
    one = browser.log_in()
    browser.ask("session.update", {"set": {"n": 1}}, one)
    answer = browser.ask("auth.login", {"method": "bearer", "token": TOKEN.token}, one)
    assert isinstance(answer, Answer)
    assert answer.cookie is not None
    assert b"session" not in (answer.data or b"")
    two = browser.ask("session.get", (), Cookie(answer.cookie.secret))
    assert isinstance(two, Answer)
    assert decode(two.data or b"")["result"]["data"] == {"n": 1}
    assert browser.user(one) == "stale_cookie"


@pytest.mark.parametrize(
    ("wishes", "came", "cookie", "told"),
    [
        ({"cookie": True, "session": True}, "nothing", True, True),
        ({"session": True}, "nothing", False, True),
        ({"session": True}, "cookie", True, True),
        ({}, "cookie", True, False),
        ({"cookie": True}, "header", True, True),
        ({}, "header", False, True),
        ({}, "nothing", False, False),
    ],
)
def test_the_secret_of_a_session_is_told_to_those_who_keep_it(
    wishes: dict[str, bool], came: str, cookie: bool, told: bool
) -> None:
    browser = Browser("on")
    known = browser.log_in()
    credentials = {"nothing": None, "cookie": known, "header": SessionToken(known.secret)}[came]
    answer = browser.ask("auth.login", {"method": "bearer", "token": TOKEN.token, **wishes}, credentials)
    assert isinstance(answer, Answer)
    result = decode(answer.data or b"")["result"]
    assert (answer.cookie is not None, "session" in result) == (cookie, told)
    if cookie and told:
        assert answer.cookie is not None
        assert answer.cookie.secret == f"{result['session']['id']}.{result['session']['secret']}"


def test_a_log_in_on_a_websocket_that_came_with_a_cookie_tells_its_new_session() -> None:
    browser = Browser("on")
    one = browser.gateway.connect(Peer("websocket", LOCAL), 0.0, credentials=browser.log_in())
    browser.take()
    browser.call(one, "auth.refresh", {"method": "bearer", "token": TOKEN.token}, 1)
    (reply,) = browser.said()
    assert set(reply["result"]["session"]) == {"id", "secret", "expires_in", "durable"}
    assert browser.gateway._connections.records[one].set_cookie is None


def test_a_cookie_ends_with_its_session() -> None:
    browser = Browser("on")
    one, two, three = (browser.log_in() for _ in range(3))
    browser.ask("session.end", {"session": one.secret.partition(".")[0]}, two)
    assert [browser.user(each) for each in (one, two)] == ["stale_cookie", "ada"]
    browser.gateway.revoke("ada", 0.0)
    assert [browser.user(each) for each in (two, three)] == ["stale_cookie", "stale_cookie"]
