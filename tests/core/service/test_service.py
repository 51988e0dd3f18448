"""Declarations of an application: methods, hooks, interceptors, and included services."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, get_args

import pytest
from posthouse.adapters.invariants.documented import BUILT_IN
from posthouse.core.service.authenticators import Basic, Bearer
from posthouse.core.service.context import Context, HookContext
from posthouse.core.service.method import Method, Outcome
from posthouse.core.service.parameters import Arguments
from posthouse.core.service.service import BUILTINS, Service
from posthouse.core.values.errors import UsageError
from posthouse.core.values.lifecycle import EVENTS, ConnectionClosed, ConnectionOpened, EventName
from posthouse.core.values.peers import Identity


def add(a: int, b: int) -> int:
    return a + b


def negate(a: int) -> int:
    return -a


def first(context: Context, method: Method, arguments: Arguments) -> None: ...
def second(context: Context, method: Method, arguments: Arguments) -> None: ...
def third(context: Context, method: Method, arguments: Arguments) -> None: ...
def many(event: Any) -> Iterator[None]:
    yield


async def seen(context: Context, method: Method, outcome: Outcome) -> None: ...
def seen_too(context: Context, method: Method, outcome: Outcome) -> None: ...


class Scope:
    """Has attributes that look like functions in its body."""

    @classmethod
    def whole(cls, a: int) -> int:
        return a

    @property
    def part(self) -> int:
        return 1


def functions(declared: Iterable[Any]) -> tuple[Any, ...]:
    """The functions of interceptors or hooks."""
    return tuple(each.function for each in declared)


# Methods


def test_a_method_is_declared_bare_with_a_name_and_with_options() -> None:
    service = Service("s")
    assert service.method(add) is add
    assert service.method("sum")(add) is add
    assert service.method(public=True, scopes={"y", "x"})(negate) is negate
    assert list(service.methods) == ["add", "sum", "negate"]
    assert service.methods["negate"].scopes == ("x", "y")
    assert repr(service) == "<Service 's': 3 methods>"


def test_a_method_is_as_public_as_its_service_by_default() -> None:
    service = Service("s", public=True)
    service.method("open")(add)
    service.method("closed", public=False)(add)
    assert [method.public for method in service.methods.values()] == [True, False]


def test_options_reach_the_method() -> None:
    service = Service("s")
    service.method("a", timeout=1.5, sequential=True, blocking=True, on_disconnect="finish")(add)
    method = service.methods["a"]
    assert (method.timeout, method.sequential, method.blocking, method.on_disconnect) == (1.5, True, True, "finish")


def test_a_name_can_be_declared_only_once() -> None:
    service = Service("s")
    service.method(add)
    with pytest.raises(UsageError, match="service 's' already has a method 'add'"):
        service.method(add)


@pytest.mark.parametrize("name", [*BUILTINS, "$/cancelRequest", "$/progress"])
def test_names_that_the_gateway_answers_are_taken_reserved_or_not(name: str) -> None:
    with pytest.raises(UsageError, match="is taken: the gateway answers it itself"):
        Service("s").method(name, reserved=True)(add)


def test_a_reserved_name_is_allowed_with_reserved() -> None:
    service = Service("s")
    with pytest.raises(UsageError, match="reserved"):
        service.method("$/setTrace")(add)
    service.method("$/setTrace", reserved=True)(add)
    assert list(service.methods) == ["$/setTrace"]


@pytest.mark.parametrize("function", [lambda a: a, functools.partial(add, 1)])
def test_a_function_without_a_name_must_be_given_one(function: Any) -> None:
    service = Service("s")
    with pytest.raises(UsageError, match="has no name"):
        service.method(function)
    service.method("named")(function)
    assert list(service.methods) == ["named"]


@pytest.mark.parametrize(
    ("declare", "message"),
    [
        (lambda s: s.method("a", "b"), "service.method takes one name: to give a function two names, declare it twice"),
        (lambda s: s.method(add, negate), "service.method takes one name"),
        (lambda s: s.method(timout=3), "service.method has no option 'timout': did you mean 'timeout'?"),
        (lambda s: s.method(name="x"), "service.method has no option name: write the name first"),
        (lambda s: s.method(public="yes"), "public is 'yes', but must be True or False"),
        (lambda s: s.method(scopes="admin")(add), "method 'add': scopes is a single string"),
        (lambda s: s.method(timeout=0)(add), "method 'add': timeout is 0"),
        (lambda s: s.method(3), "service.method: 3 is not a function"),
        (lambda s: s.method(["x"]), "service.method: ['x'] is not a function"),
        (lambda s: s.method()(3), "service.method: 3 is not a function"),
        (lambda s: s.method(Method), "method 'Method': 'Method' is a class"),
        (lambda s: s.method(Scope.__dict__["whole"]), "service.method: a classmethod is not a function"),
        (lambda s: s.method()(Scope.__dict__["part"]), "a property is not a function"),
        (lambda s: s.method(many), "method 'many' is a generator function"),
        (lambda s: s.include(Service), "service 's' can include a Service only, not <class "),
        (lambda s: s.on("connection.opened", "connection.closed"), "service.on takes one event"),
        (lambda s: s.on(first), "service.on takes the name of an event: use `@service.on("),
        (lambda s: type(s)(3), "a service's name is 3, but must be a string"),
        (lambda s: type(s)("t", public="yes"), "public is 'yes', but must be True or False"),
    ],
)
def test_misuse_of_a_decorator_is_refused_at_once_with_the_right_way(
    declare: Callable[[Any], object], message: str
) -> None:
    service = Service("s")
    with pytest.raises(UsageError) as caught:
        declare(service)
    assert message in str(caught.value)
    assert service.methods == {}


def test_a_declared_function_is_declared_again_under_another_name_above_and_below_other_decorators() -> None:
    service = Service("s")

    @service.method("second")
    @service.method
    @functools.cache
    def both(a: int) -> int:
        return a

    class Tools:
        @staticmethod
        @service.method
        def below(a: int) -> int:
            return a

        @service.method
        @staticmethod
        def above(a: int) -> int:
            return a

    assert list(service.methods) == ["both", "second", "below", "above"]


def test_a_service_has_defaults_for_its_description() -> None:
    service = Service("s")
    assert (service.public, service.version, service.description) == (False, "0.0.0", "")
    assert (service.builtin_scopes, service.methods, service.document) == ({}, {}, None)


# Built-in methods


def test_built_in_methods_have_their_documented_access() -> None:
    assert BUILTINS == BUILT_IN


def test_builtin_scopes_are_sorted_by_name_and_scope() -> None:
    service = Service("s", builtin_scopes={"message.send": {"b", "a"}, "connection.stats": ()})
    assert list(service.builtin_scopes.items()) == [("connection.stats", ()), ("message.send", ("a", "b"))]


@pytest.mark.parametrize(
    ("name", "scopes", "message"),
    [
        ("message.sent", (), "an unknown built-in method: did you mean 'message.send'?"),
        ("rpc.cancel", (), "callers may always cancel their own calls"),
        ("message.send", "admin", "builtin_scopes of 'message.send': scopes is a single string"),
    ],
)
def test_invalid_builtin_scopes_are_refused(name: str, scopes: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Service("s", builtin_scopes={name: scopes})
    assert message in str(caught.value)


# Hooks


def test_the_names_of_events_are_known_to_type_checkers() -> None:
    assert get_args(EventName) == tuple(EVENTS)


def test_hooks_are_kept_by_type_of_event_in_order() -> None:
    service = Service("s")

    @service.on("connection.opened")
    def one(event: ConnectionOpened) -> None: ...

    @service.on("connection.opened")
    @service.on("connection.closed")
    async def two(event: ConnectionOpened | ConnectionClosed) -> None: ...

    assert functions(service.hooks[ConnectionOpened]) == (one, two)
    assert functions(service.hooks[ConnectionClosed]) == (two,)
    assert list(service.hooks) == list(EVENTS.values())


def test_an_unknown_event_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match=r"unknown event 'connection\.open': did you mean 'connection\.opened'\?"):
        Service("s").on("connection.open")  # type: ignore[arg-type]


@pytest.mark.parametrize("hook", [lambda: None, lambda a, b, c: None, max, ConnectionOpened, "text", many])
def test_a_hook_that_does_not_take_an_event_is_refused(hook: Any) -> None:
    service = Service("s")
    with pytest.raises(UsageError, match=r"hook of 'connection\.opened'"):
        service.on("connection.opened")(hook)
    assert service.hooks[ConnectionOpened] == ()


def test_an_error_for_a_wrong_signature_names_the_expected_arguments() -> None:
    service = Service("s")

    def wrong() -> None: ...

    declared: list[tuple[Any, str]] = [
        (service.on("connection.opened"), "(event) or with (event, context)"),
        (service.on_call, "(context, method, arguments)"),
        (service.on_outcome, "(context, method, outcome)"),
    ]
    for declare, arguments in declared:
        with pytest.raises(UsageError) as caught:
            declare(wrong)
        assert f"is called with {arguments}: " in str(caught.value)


# Interceptors


def test_interceptors_apply_to_earlier_and_later_methods_in_order() -> None:
    service = Service("s")
    service.method("early")(add)
    assert service.on_call(first) is first
    assert service.on_outcome(seen) is seen
    service.on_call(second)
    service.method("late")(add)
    service.on_outcome(seen_too)
    for method in service.methods.values():
        assert functions(method.on_call) == (first, second)
        assert functions(method.on_outcome) == (seen, seen_too)
        assert method.awaits


@pytest.mark.parametrize("wrong", [lambda a: None, lambda: None, Method, 1])
def test_an_interceptor_that_does_not_take_its_arguments_is_refused(wrong: Any) -> None:
    service = Service("s")
    with pytest.raises(UsageError, match="on_call"):
        service.on_call(wrong)
    with pytest.raises(UsageError, match="on_outcome"):
        service.on_outcome(wrong)
    service.method(add)
    assert (service.methods["add"].on_call, service.methods["add"].on_outcome) == ((), ())


# Lifespan


async def opens() -> AsyncIterator[str]:
    yield "ours"


async def opens_too() -> AsyncIterator[str]:
    yield "theirs"


def on_opened(event: ConnectionOpened, context: HookContext) -> None: ...


def lifespans(service: Service, method: str) -> list[str | None]:
    """The services whose state a method, its interceptors and the first hook see."""
    declared = service.methods[method]
    each: tuple[Any, ...] = (declared, *declared.on_call, *declared.on_outcome, *service.hooks[ConnectionOpened][:1])
    return [None if one.lifespan is None else one.lifespan.service for one in each]


def test_everything_of_a_service_sees_its_state_whether_declared_before_or_after_the_lifespan() -> None:
    service = Service("s")
    service.method("early")(add)
    service.on_call(first)
    service.on_outcome(seen)
    service.on("connection.opened")(on_opened)
    assert (service.lifespans, lifespans(service, "early")) == ((), [None, None, None, None])
    assert service.lifespan(opens) is opens
    service.on_call(second)
    service.on_outcome(seen_too)
    service.method("late")(add)
    service.on("connection.closed")(on_opened)
    (lifespan,) = service.lifespans
    assert (lifespan.service, lifespan.takes_server) == ("s", False)
    assert lifespans(service, "early") == lifespans(service, "late") == ["s"] * 6
    assert service.hooks[ConnectionClosed][0].lifespan is lifespan


def test_a_second_lifespan_is_refused() -> None:
    service = Service("s")
    service.lifespan(opens)
    with pytest.raises(UsageError, match="service 's' already has a lifespan: open everything in that one"):
        service.lifespan(opens_too)
    assert len(service.lifespans) == 1


def test_a_wrong_lifespan_changes_nothing() -> None:
    service = Service("s")
    declare: Any = service.lifespan
    with pytest.raises(UsageError, match="the lifespan of service 's' takes"):
        declare(add)
    assert service.lifespans == ()


def test_an_included_service_keeps_its_own_state_and_its_lifespan_starts_first() -> None:
    inner, outer = Service("inner"), Service("outer")
    inner.lifespan(opens_too)
    inner.method("a")(add)
    inner.on_call(second)
    inner.on("connection.opened")(on_opened)
    outer.on_call(first)
    outer.include(inner, "one.")
    outer.lifespan(opens)
    outer.include(inner, "two.")
    outer.on_outcome(seen)
    assert [lifespan.service for lifespan in outer.lifespans] == ["inner", "outer"]
    for name in ("one.a", "two.a"):
        assert functions(outer.methods[name].on_call) == (first, second)
        assert lifespans(outer, name) == ["inner", "outer", "inner", "outer", "inner"]


def test_a_service_without_a_lifespan_sees_the_state_of_the_nearest_service_that_includes_it() -> None:
    bare, middle, outer = Service("bare"), Service("middle"), Service("outer")
    bare.method("a")(add)
    bare.on("connection.opened")(on_opened)
    middle.include(bare)
    middle.lifespan(opens_too)
    outer.lifespan(opens)
    outer.include(bare, "outer.")
    outer.include(middle)
    assert lifespans(bare, "a") == [None, None]
    assert lifespans(outer, "a") == ["middle", "outer"]  # its hook runs once, with the state of the first inclusion
    assert lifespans(outer, "outer.a") == ["outer", "outer"]
    assert [lifespan.service for lifespan in outer.lifespans] == ["middle", "outer"]


# Composition


def test_an_included_service_brings_its_methods_under_a_prefix_as_they_were_declared() -> None:
    files = Service("files", public=True)
    files.method("read", scopes={"r"}, timeout=2.0)(add)
    main = Service("main")
    main.include(files, prefix="files.")
    main.include(Service("empty"))
    method = main.methods["files.read"]
    assert (method.name, method.public, method.scopes, method.timeout) == ("files.read", True, ("r",), 2.0)
    assert files.methods["read"].name == "read"


def test_interceptors_of_an_included_service_apply_to_its_methods_inside_ours() -> None:
    inner = Service("inner")
    inner.on_call(second)
    inner.on_outcome(seen)
    inner.method("a")(add)
    outer = Service("outer")
    outer.method("b")(add)
    outer.on_call(first)
    outer.include(inner)
    outer.on_call(third)
    outer.on_outcome(seen_too)
    assert functions(outer.methods["a"].on_call) == (first, third, second)
    assert functions(outer.methods["a"].on_outcome) == (seen, seen_too)
    assert functions(outer.methods["b"].on_call) == (first, third)
    assert functions(outer.methods["b"].on_outcome) == (seen_too,)
    assert functions(inner.methods["a"].on_call) == (second,)


def test_hooks_of_an_included_service_run_after_ours_and_once() -> None:
    def ours(event: ConnectionOpened) -> None: ...
    def theirs(event: ConnectionOpened) -> None: ...

    inner = Service("inner")
    inner.method(add)
    inner.on("connection.opened")(theirs)
    outer = Service("outer")
    outer.on("connection.opened")(ours)
    outer.include(inner, prefix="one.")
    outer.include(inner, prefix="two.")
    assert list(outer.methods) == ["one.add", "two.add"]
    assert functions(outer.hooks[ConnectionOpened]) == (ours, theirs)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("x.", "service 'outer' already has a method 'x.add'"),
        ("connection.", "the name 'connection.ping' is taken"),
        ("rpc.", "reserved"),
        ("x" * 126, "has 129 bytes"),
    ],
)
def test_a_service_is_included_whole_or_not_at_all(prefix: str, message: str) -> None:
    inner = Service("inner")
    for name in ("a", "add", "ping"):
        inner.method(name)(add)
    outer = Service("outer")
    outer.method("x.add")(add)
    with pytest.raises(UsageError, match=message):
        outer.include(inner, prefix)
    assert list(outer.methods) == ["x.add"]
    inner.method("still_open")(add)


def test_an_included_service_is_frozen_so_that_nothing_declared_there_is_missing_here() -> None:
    inner, outer = Service("inner"), Service("outer")
    outer.include(inner)
    for declare in (
        lambda: inner.method(add),
        lambda: inner.on("connection.opened")(lambda event: None),
        lambda: inner.lifespan(opens),
        lambda: inner.on_call(first),
        lambda: inner.on_outcome(seen),
        lambda: inner.include(Service("another")),
    ):
        with pytest.raises(
            UsageError, match="service 'inner' is already included in service 'outer': declare everything before"
        ):
            declare()


def test_no_service_includes_itself_directly_or_indirectly() -> None:
    one, two, three = Service("one"), Service("two"), Service("three")
    with pytest.raises(UsageError, match="service 'one' cannot include itself"):
        one.include(one)
    one.include(two)
    with pytest.raises(UsageError, match="service 'two' is already included in service 'one'"):
        two.include(one)
    three.include(one)
    with pytest.raises(UsageError, match="service 'one' is already included in service 'three'"):
        one.include(three)


def test_the_first_reason_to_freeze_appears_in_the_error() -> None:
    service = Service("s")
    service.freeze("served by a gateway")
    service.freeze("included in service 'other'")
    with pytest.raises(UsageError, match="service 's' is already served by a gateway: declare everything before that"):
        service.method(add)


def bearer(credentials: Bearer) -> Identity | None: ...
def basic(credentials: Basic) -> Identity | None: ...


def test_a_service_declares_several_authenticators_with_names_and_namespaces() -> None:
    service = Service("s")
    assert service.authenticator("bearer")(bearer) is bearer
    service.authenticator("bearer", name="jwt", namespace="idp")(bearer)
    service.authenticator("basic", namespace="idp", blocking=True)(basic)
    assert [(each.name, each.scheme, each.namespace, each.blocking) for each in service.authenticators.values()] == [
        ("bearer", "bearer", "", False),
        ("jwt", "bearer", "idp", False),
        ("basic", "basic", "idp", True),
    ]


def test_two_authenticators_share_a_name_never_and_a_namespace_only_if_both_say_so() -> None:
    service = Service("s")
    service.authenticator("bearer")(bearer)
    with pytest.raises(UsageError, match=r"^service 's' already has an authenticator 'bearer': give this one a name$"):
        service.authenticator("bearer", namespace="other")(bearer)
    with pytest.raises(UsageError, match=r"^the authenticators 'bearer' and 'basic' have no namespace: give one to"):
        service.authenticator("basic")(basic)
    assert list(service.authenticators) == ["bearer"]


def test_authenticators_see_the_state_of_the_lifespan_wherever_they_are_declared() -> None:
    service = Service("s")
    service.authenticator("bearer")(bearer)

    @service.lifespan
    async def opens() -> AsyncIterator[None]:
        yield

    service.authenticator("basic", namespace="b")(basic)
    assert [each.lifespan for each in service.authenticators.values()] == [service.own_lifespan] * 2


def test_authenticators_of_an_included_service_do_not_count_and_a_frozen_one_gets_none() -> None:
    outer, inner = Service("outer"), Service("inner")
    inner.authenticator("bearer")(bearer)
    outer.include(inner)
    assert not outer.authenticators
    with pytest.raises(UsageError, match=r"^service 'inner' is already included"):
        inner.authenticator("basic", namespace="b")(basic)


def test_topics_are_declared_until_the_service_is_frozen() -> None:
    service = Service("s")
    service.topic("news.*", history=5, publish={"editor"})
    (rule,) = service.topics
    assert (rule.pattern, rule.history, rule.subscribe.public) == ("news.*", 5, False)
    with pytest.raises(UsageError, match=r"topic .news\.>.: service .s. has the rule of"):
        service.topic("news.>")
    service.freeze("served")
    with pytest.raises(UsageError, match="already served"):
        service.topic("art")


def test_topics_of_an_included_service_keep_their_names_and_are_there_once() -> None:
    outer, inner, other = Service("outer"), Service("inner", public=True), Service("other")
    inner.topic("news")
    outer.include(inner, "a.")
    outer.include(inner, "b.")
    assert [(rule.pattern, rule.subscribe.public) for rule in outer.topics] == [("news", True)]
    other.topic("news")
    with pytest.raises(UsageError, match="declares it already"):
        outer.include(other)
