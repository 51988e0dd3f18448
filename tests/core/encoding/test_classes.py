"""Classes: read by their constructors, sent as exactly their declared members."""

from __future__ import annotations

import dataclasses
from dataclasses import InitVar, field
from pathlib import Path
from typing import Annotated, Any, Generic, NamedTuple, NotRequired, TypedDict, TypeVar

import annotated_types
import attrs
import pytest
from msgspec import UNSET, Struct, UnsetType, ValidationError
from posthouse.core.encoding.compiler import described, reading, sending
from posthouse.core.encoding.conversion import Refused
from posthouse.core.values.errors import UsageError

from tests.core.encoding.plans import faults, read, send

T = TypeVar("T")


@dataclasses.dataclass
class Job:
    """Work to do."""

    title: str
    state: str = "queued"
    tags: list[str] = field(default_factory=list)


@dataclasses.dataclass
class Account:
    name: str
    admin: bool = field(default=False, init=False)
    seed: InitVar[int] = 1

    def __post_init__(self, seed: int) -> None:
        if seed < 0:
            raise ValueError("the words of user code")
        self.admin = seed == 7


def upper(name: str) -> str:
    return name.upper()


@attrs.define
class Place:
    _name: str = attrs.field(converter=upper)
    size: int = attrs.field(alias="width", default=0, validator=attrs.validators.ge(0))


@attrs.define
class Sized:
    name: str
    size: int = attrs.field(default=attrs.Factory(lambda own: len(own.name), takes_self=True))


class User(Struct):
    name: str
    job: Job | None = None


class Stored(User):
    password: str = "hash"


class Leaf(Struct):
    name: str


class SecretLeaf(Leaf):
    password: str = "hash"


class Branch(Struct, rename="camel"):
    first_leaf: Leaf
    more: list[Leaf] = []
    absent: Leaf | UnsetType = UNSET


class Short(Struct, omit_defaults=True):
    leaf: Leaf
    size: int = 0
    tags: list[str] = []


class Row(Struct, array_like=True, omit_defaults=True):
    leaf: Leaf
    size: int = 0


class WideRow(Row, array_like=True):
    password: str = "hash"


class Marked(Struct, tag=True):
    value: int


class SubMarked(Marked, tag="sub"):
    password: str = "hash"


class Guarded(Struct):
    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError("the words of user code")


class Options(TypedDict):
    depth: int
    job: NotRequired[Job]


class Pair(NamedTuple):
    left: int
    right: Job = Job("default")


class Plain(NamedTuple):
    left: int


class PlainMore(Plain):
    password = "hash"


class Box(Struct, Generic[T]):
    item: T


@dataclasses.dataclass
class Node:
    value: int
    children: list[Node] = field(default_factory=list)


@dataclasses.dataclass(init=False)
class Odd:
    value: int

    def __init__(self, other: int) -> None:
        self.value = other


@dataclasses.dataclass(frozen=True, slots=True)
class Corner:
    x: int
    y: int


@dataclasses.dataclass(kw_only=True)
class Named:
    path: Path = Path("default")
    jobs: list[Job] = field(default_factory=list)


@dataclasses.dataclass
class Located:
    path: Path
    other: Path = Path("default")
    jobs: list[Job] = field(default_factory=list)


@dataclasses.dataclass(init=False)
class Written:
    """Its constructor has a default of its own for `value`, and none for `size`."""

    value: int = 1
    size: int = 2

    def __init__(self, value: int = 5, *, size: int) -> None:
        self.value, self.size = value, size


@dataclasses.dataclass(init=False)
class Demanding:
    value: int = 1

    def __init__(self, value: int) -> None:
        self.value = value


@dataclasses.dataclass(init=False)
class Doubling:
    value: int = 1

    def __init__(self, value: int = 5) -> None:
        self.value = value


@dataclasses.dataclass
class Shape:
    """msgspec leaves out what the constructor does not take."""

    sides: int
    name: str = field(default="shape", init=False)


class Partial(Struct):
    """Some members may be absent, and msgspec alone cannot read them all."""

    path: Path | UnsetType = UNSET
    job: Annotated[Job, "work"] | UnsetType = UNSET
    size: int | UnsetType = UNSET


@dataclasses.dataclass
class Deep:
    job: Job
    jobs: list[Job]


class Held(Struct):
    guarded: Guarded
    path: Path


QUEUED = '{"title":"a","state":"queued","tags":[]}'


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (Job, '{"title":"a"}', Job("a")),
        (User, '{"name":"a","job":{"title":"b"}}', User("a", Job("b"))),
        (User, '{"name":"a","unknown":1}', User("a")),
        (Place, '{"name":"a","width":3}', Place("a", 3)),
        (Guarded, '{"value":1}', Guarded(1)),
        (Options, '{"depth":1}', {"depth": 1}),
        (Options, '{"depth":1,"job":{"title":"b"}}', {"depth": 1, "job": Job("b")}),
        (Pair, "[1]", Pair(1)),
        (Pair, '[1,{"title":"a"}]', Pair(1, Job("a"))),
        (Box[Job], '{"item":{"title":"a"}}', Box(Job("a"))),
        (Box[Box[int]], '{"item":{"item":1}}', Box(Box(1))),
        (Node, '{"value":1,"children":[{"value":2}]}', Node(1, [Node(2)])),
        (Corner, '{"y":2,"x":1}', Corner(1, 2)),
        (Deep, '{"job":{"title":"a"},"jobs":[]}', Deep(Job("a"), [])),
        (Named, "{}", Named(path=Path("default"), jobs=[])),
        (Named, '{"path":"a","jobs":[{"title":"b"}]}', Named(path=Path("a"), jobs=[Job("b")])),
        (Located, '{"path":"a"}', Located(Path("a"))),
        (Located, '{"path":"a","other":"b","jobs":[{"title":"c"}]}', Located(Path("a"), Path("b"), [Job("c")])),
        (Written, '{"size":3}', Written(5, size=3)),
        (Doubling, "{}", Doubling(5)),
        (Doubling, '{"value":3}', Doubling(3)),
        (Partial, "{}", Partial()),
        (Partial, '{"path":"a","job":{"title":"b"},"size":3}', Partial(Path("a"), Job("b"), 3)),
        (Held, '{"guarded":{"value":1},"path":"a"}', Held(Guarded(1), Path("a"))),
    ],
)
def test_an_instance_is_what_its_constructor_makes(annotation: Any, text: str, expected: Any) -> None:
    assert read(annotation, text) == expected


def test_a_default_is_held_by_the_instance_itself() -> None:
    assert vars(read(Job, '{"title":"a"}')) == {"title": "a", "state": "queued", "tags": []}


def test_a_member_that_only_the_constructor_takes_is_not_held() -> None:
    account = read(Account, '{"name":"a","seed":7}')
    assert account.admin
    assert send(Account, account) == '{"name":"a","admin":true}'


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (Account, '{"name":"a","admin":true}', [("$", "object contains unknown field admin")]),
        (Account, '{"name":"a","seed":-1}', [("$", "refused by Account")]),
        (
            Job,
            '{"x":1,"state":2}',
            [
                ("$", "object missing required field title"),
                ("$.state", "expected str, got int"),
                ("$", "object contains unknown field x"),
            ],
        ),
        (
            Place,
            '{"_name":"a"}',
            [("$", "object missing required field name"), ("$", "object contains unknown field _name")],
        ),
        (Place, '{"name":"a","width":-1}', [("$", "refused by Place")]),
        (list[Guarded], '[{"value":1},{"value":-1}]', [("$[1]", "refused by Guarded")]),
        (Held, '{"guarded":{"value":-1},"path":"a"}', [("$.guarded", "refused by Guarded")]),
        (Guarded, '{"value":"a"}', [("$.value", "expected int, got str")]),
        (Demanding, "{}", [("$", "refused by Demanding")]),
        (Options, '{"depth":1,"x":1}', [("$", "object contains unknown field x")]),
        (Pair, '[1,{"title":2}]', [("$[1].title", "expected str, got int")]),
    ],
)
def test_what_a_constructor_does_not_take_is_refused(annotation: Any, text: str, expected: Any) -> None:
    assert faults(annotation, text) == expected


def test_a_default_that_is_made_from_the_instance_itself_is_made_by_the_constructor() -> None:
    assert read(Sized, '{"name":"abc"}') == Sized("abc", 3)
    assert send(Sized, {"name": "abc"}) == '{"name":"abc","size":3}'


def test_a_struct_whose_members_msgspec_reads_as_declared_is_read_by_msgspec() -> None:
    plan = reading(Held, "it")
    assert plan.members is not None
    guarded = plan.members[0][1]
    assert guarded.wire is Guarded
    assert guarded.convert is None
    alone = reading(Guarded, "it")
    assert alone.wire is Guarded
    assert alone.convert is None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Job, Job("a")),
        (User, User("a")),
        (Guarded, Guarded(1)),
        (Short, Short(Leaf("a"))),
        (list[Job], [Job("a")]),
        (Job | None, Job("a")),
        (Job | None, None),
        (User | None, User("a", Job("b"))),
        (Deep, Deep(Job("a"), [Job("b")])),
    ],
)
def test_an_instance_of_the_declared_class_itself_is_sent_as_it_is(annotation: Any, value: Any) -> None:
    plan, _ = sending(annotation, "it")
    assert plan.convert is not None
    assert plan.convert(value) is value


def extended() -> Job:
    job = Job("a")
    job.password = "hash"  # type: ignore[attr-defined]
    return job


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Job, extended(), QUEUED),
        (Job, {"title": "a", "password": "hash"}, QUEUED),
        (Place, Place("a", 3), '{"name":"A","width":3}'),
        (User, Stored("a", Job("a")), f'{{"name":"a","job":{QUEUED}}}'),
        (User, User("a"), '{"name":"a","job":null}'),
        (User, User("a", Job("a")), f'{{"name":"a","job":{QUEUED}}}'),
        (User, {"name": "a", "job": {"title": "a"}}, f'{{"name":"a","job":{QUEUED}}}'),
        (Branch, Branch(Leaf("a")), '{"firstLeaf":{"name":"a"},"more":[]}'),
        (Branch, Branch(SecretLeaf("a")), '{"firstLeaf":{"name":"a"},"more":[]}'),
        (Branch, Branch(Leaf("a"), [SecretLeaf("b")]), '{"firstLeaf":{"name":"a"},"more":[{"name":"b"}]}'),
        (Branch, {"firstLeaf": SecretLeaf("a")}, '{"firstLeaf":{"name":"a"},"more":[]}'),
        (Short, Short(SecretLeaf("a")), '{"leaf":{"name":"a"}}'),
        (Marked, SubMarked(1), '{"type":"Marked","value":1}'),
        (Short, Short(SecretLeaf("a"), 1, ["x"]), '{"leaf":{"name":"a"},"size":1,"tags":["x"]}'),
        (Row, Row(SecretLeaf("a")), '[{"name":"a"},0]'),
        (Row, WideRow(Leaf("a"), 1), '[{"name":"a"},1]'),
        (Row, [Leaf("a"), 1], '[{"name":"a"},1]'),
        (Guarded, Guarded(1), '{"value":1}'),
        (Options, {"depth": 1, "password": "hash"}, '{"depth":1}'),
        (Options, {"depth": 1, "job": extended()}, f'{{"depth":1,"job":{QUEUED}}}'),
        (Pair, Pair(1, extended()), f"[1,{QUEUED}]"),
        (Plain, PlainMore(1), "[1]"),
        (Plain, [1], "[1]"),
        (Box[Leaf], Box(SecretLeaf("a")), '{"item":{"name":"a"}}'),
        (Node, Node(1, [Node(2)]), '{"value":1,"children":[{"value":2,"children":[]}]}'),
        (Account, Account("a"), '{"name":"a","admin":false}'),
        (Shape, Shape(2), '{"sides":2,"name":"shape"}'),
        (Partial, Partial(), "{}"),
        (Partial, Partial(size=1), '{"size":1}'),
        (Partial, Partial(Path("a"), Job("a")), f'{{"path":"a","job":{QUEUED}}}'),
        (Located, Located(Path("a")), '{"path":"a","other":"default","jobs":[]}'),
    ],
)
def test_exactly_the_declared_members_are_sent(annotation: Any, value: Any, expected: str) -> None:
    assert send(annotation, value) == expected


@pytest.mark.parametrize(
    ("annotation", "value", "path", "reason"),
    [
        (Job, User("a"), "$", "expected Job, got User"),
        (User, Job("a"), "$", "expected User, got Job"),
        (Options, User("a"), "$", "expected Options, got User"),
        (User, User("a", User("b")), "$.job", "expected Job | null, got User"),  # type: ignore[arg-type]
        (Branch, Branch(User("b")), "$.firstLeaf", "expected Leaf, got User"),  # type: ignore[arg-type]
        (Pair, {1}, "$", ""),
    ],
)
def test_an_instance_of_another_class_is_not_sent(annotation: Any, value: Any, path: str, reason: str) -> None:
    with pytest.raises((Refused, ValidationError)) as caught:
        send(annotation, value)
    if isinstance(caught.value, Refused):
        assert [(fault.path, fault.reason) for fault in caught.value.faults] == [(path, reason)]
    else:
        assert reason == ""


@pytest.mark.parametrize(("annotation", "value"), [(Job, {"state": "x"}), (Options, {}), (Job, 1), (User, "a")])
def test_a_value_that_lacks_a_member_is_left_to_the_check_of_the_json(annotation: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        send(annotation, value)


def test_a_dict_is_checked_by_the_constructor_that_it_stands_for() -> None:
    with pytest.raises(ValueError, match="the words of user code"):
        send(Guarded, {"value": -1})


def test_a_constructor_that_does_not_take_the_members_is_refused() -> None:
    with pytest.raises(UsageError, match=r"it has the type 'Odd', whose constructor does not take its members: .*let"):
        reading(Odd, "it")


@dataclasses.dataclass
class Limited:
    size: Annotated[int, annotated_types.Predicate(bool)]


def test_a_member_that_cannot_be_declared_is_named() -> None:
    with pytest.raises(UsageError, match=r"parameter 'x', member 'size' of 'Limited', has .* cannot enforce"):
        reading(list[Limited], "parameter 'x'")


def test_a_schema_describes_the_members_of_both_directions() -> None:
    for sends in (False, True):
        job, box, short = described([Job, Box[Job], Short], sends=sends)
        assert job.__doc__ == "Work to do."
        assert job.__struct_encode_fields__ == ("title", "state", "tags")
        assert job(p0="a").p1 == "queued"
        assert job(p0="a").p2 == []
        assert box.__name__ == "Box[Job]"
        assert short(p0=None).p1 == 0
    (place,) = described([Place], sends=True)
    assert place.__struct_encode_fields__ == ("name", "width")
