"""A service as a document: valid against the OpenRPC 1.4 meta-schema, true to its declarations, always the same."""

from __future__ import annotations

import dataclasses
import datetime
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
from jsonschema import Draft7Validator
from msgspec import Meta, Struct
from msgspec.json import encode
from posthouse.core.service.context import Context
from posthouse.core.service.method import Method
from posthouse.core.service.openrpc import document
from posthouse.core.service.service import Service
from posthouse.core.values.errors import RpcError, UsageError
from referencing import Registry
from referencing.jsonschema import DRAFT7

from tests.core.encoding.plans import Alias

VENDORED = Path(__file__).parent / "openrpc"


class Corner(Struct):
    """Where two walls meet."""

    x: int
    at: tuple[int, str] = (0, "a")


class Room(Struct):
    corners: list[Corner]
    inner: list[Room] = []


class Tags(Struct):
    names: frozenset[str] = frozenset("ba")
    sizes: set[int] = set()


class Strange(Struct):
    thing: Any = object()


class Account(pydantic.BaseModel):
    owner: str
    parent: Account | None = None


class Priced(pydantic.BaseModel):
    net: int

    @pydantic.computed_field  # type: ignore[prop-decorator]
    @property
    def gross(self) -> int:
        return self.net * 2


class Bill(Struct):
    lines: list[Priced]
    corner: Corner


def later(*tuples: str) -> dict[str, Any]:
    """A schema in the words of later drafts under each of these keywords."""
    return {name: {"prefixItems": [{"type": "integer"}]} for name in tuples}


HOLDING = ("patternProperties", "definitions", "$defs", "dependentSchemas")
LISTING = ("allOf", "anyOf", "oneOf")
BEING = ("additionalProperties", "contains", "propertyNames", "not", "if", "then", "else")


class Nested(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(
        json_schema_extra={
            **{name: later("inner") for name in HOLDING},
            **{name: [*later("inner").values()] for name in LISTING},
            **later(*BEING),
            "items": {"items": later("inner")["inner"]},
            "properties": later("inner"),
            "prefixItems": [later("inner")["inner"]],
            "examples": [later("inner")],
        }
    )


class Mixed(Struct):
    names: frozenset[int | str] = frozenset((1, "a"))


class Silent(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    thing: Context


def described(service: Service, *builtins: Method) -> dict[str, Any]:
    """The document as a client reads it."""
    found: dict[str, Any] = json.loads(encode(document(service, builtins)))
    return found


def only_method(function: Any, **options: Any) -> dict[str, Any]:
    service = Service("s")
    service.method("m", **options)(function)
    found: dict[str, Any] = described(service)["methods"][0]
    return found


def validator() -> Draft7Validator:
    openrpc = json.loads((VENDORED / "openrpc-1.4.json").read_text(encoding="utf-8"))
    draft7 = DRAFT7.create_resource(json.loads((VENDORED / "json-schema.json").read_text(encoding="utf-8")))
    registry: Registry[Any] = Registry().with_resources(
        [("https://meta.json-schema.tools", draft7), ("https://meta.json-schema.tools/", draft7)]
    )
    return Draft7Validator(openrpc, registry=registry)


def shop() -> Service:
    """A service with something of everything."""
    service = Service("shop", version="2.1.0", description="Sells rooms.", public=True)

    @service.method
    def measure(context: Context, room: Room, /, unit: Literal["m", "ft"] = "m", *more: Corner) -> dict[str, float]:
        """Measure a room."""
        raise RpcError

    @service.method("bill.make", scopes={"bills", "admin"}, timeout=2.5, on_disconnect="finish")
    async def make(bill: Bill, *, tags: frozenset[str] = frozenset("ba"), **notes: str) -> Bill:
        """Make a bill
        of it.

        And send it.
        """
        raise RpcError

    @service.method(public=False)
    def account(owner: Account | None = None, limit: float = float("inf")) -> list[Account]:
        raise RpcError

    @service.method
    def anything(value: object, more: Any = None): ...  # type: ignore[no-untyped-def]

    return service


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_the_document_is_valid_against_the_meta_schema() -> None:
    builtin = Method.of(lambda: None, name="rpc.discover", public=True, reserved=True)
    found = described(shop(), builtin)
    assert [str(error.message) for error in validator().iter_errors(found)] == []
    assert [method["name"] for method in found["methods"]] == [
        "account",
        "anything",
        "bill.make",
        "measure",
        "rpc.discover",
    ]


def test_the_vendored_meta_schema_refuses_invalid_documents() -> None:
    found = described(shop())
    found["methods"][0]["params"][0]["schema"]["type"] = 3
    del found["info"]["version"]
    assert len(list(validator().iter_errors(found))) >= 2


def test_an_empty_service_has_a_document() -> None:
    found = described(Service("empty"))
    assert (found["openrpc"], found["methods"]) == ("1.4.1", [])
    assert found["info"] == {"title": "empty", "version": "0.0.0"}
    assert list(validator().iter_errors(found)) == []


def test_every_reference_leads_to_a_component() -> None:
    found = described(shop())
    registry: Registry[Any] = Registry().with_resource("", DRAFT7.create_resource(found))
    resolver = registry.resolver()
    targets = list(references(found))
    assert targets
    for reference in targets:
        assert resolver.lookup(reference).contents is not None


def test_info_comes_from_the_service() -> None:
    assert described(shop())["info"] == {"title": "shop", "version": "2.1.0", "description": "Sells rooms."}


def test_descriptions_come_from_the_docstring() -> None:
    method = described(shop())["methods"][2]
    assert method["summary"] == "Make a bill of it."
    assert method["description"] == "Make a bill\nof it.\n\nAnd send it."
    assert "summary" not in only_method(lambda: None)


def test_access_and_deadlines_are_described_as_extensions_and_errors() -> None:
    account, anything, make, _ = described(shop())["methods"]
    assert (make["x-public"], make["x-scopes"]) == (True, ["admin", "bills"])
    assert (make["x-timeout"], make["x-on-disconnect"]) == (2.5, "finish")
    assert [error["$ref"].rpartition("/")[2] for error in make["errors"]] == [
        "Unauthenticated",
        "Forbidden",
        "DeadlineExceeded",
    ]
    assert [error["$ref"].rpartition("/")[2] for error in account["errors"]] == ["Unauthenticated", "DeadlineExceeded"]
    assert [error["$ref"].rpartition("/")[2] for error in anything["errors"]] == ["DeadlineExceeded"]
    assert "x-timeout" not in anything
    assert "x-on-disconnect" not in anything


def test_a_built_in_method_has_no_deadline() -> None:
    builtin = Method.of(lambda: None, name="rpc.discover", public=True, reserved=True)
    assert "errors" not in described(Service("s"), builtin)["methods"][0]


def test_parameters_are_described_in_order_with_the_required_first() -> None:
    def function(context: Context, a: Annotated[int, Meta(ge=0)], b: str = "x", *, c: bool) -> None: ...

    method = only_method(function)
    assert method["paramStructure"] == "by-name"
    assert method["params"] == [
        {"name": "a", "required": True, "schema": {"type": "integer", "minimum": 0}},
        {"name": "c", "required": True, "schema": {"type": "boolean"}},
        {"name": "b", "required": False, "schema": {"type": "string", "default": "x"}},
    ]
    assert method["result"] == {"name": "result", "schema": {"type": "null"}}


def test_a_parameter_says_if_it_can_be_given_in_one_way_only_and_impossible_ones_are_left_out() -> None:
    def either(a: int = 1, /, b: int = 2, *more: str, c: int = 3, **named: bool) -> None: ...
    def by_position(a: int, /, b: int = 2, *more: str, c: int = 3, **named: bool) -> None: ...
    def by_name(a: int = 1, /, b: int = 2, *more: str, c: int, **named: bool) -> None: ...

    found = {function.__name__: only_method(function) for function in (either, by_position, by_name)}
    ways = {
        name: (
            method["paramStructure"],
            [(param["name"], param.get("x-param-structure")) for param in method["params"]],
            method["x-additional-params"],
        )
        for name, method in found.items()
    }
    strings, booleans = {"by-position": {"type": "string"}}, {"by-name": {"type": "boolean"}}
    assert ways == {
        "either": ("either", [("a", "by-position"), ("b", None), ("c", "by-name")], strings | booleans),
        "by_position": ("by-position", [("a", None), ("b", None)], strings),
        "by_name": ("by-name", [("c", None), ("b", None)], booleans),
    }


def test_a_default_is_described_if_a_peer_could_give_it() -> None:
    def function(
        corner: Corner = Corner(1), limit: float = float("inf"), thing: Any = object(), tags: Tags = Tags()
    ) -> None: ...

    corner, limit, thing, tags = (param["schema"] for param in only_method(function)["params"])
    assert corner == {"allOf": [{"$ref": "#/components/schemas/Corner"}], "default": {"x": 1, "at": [0, "a"]}}
    assert limit == {"type": "number"}
    assert thing == {}
    assert tags["default"] == {"names": ["a", "b"], "sizes": []}


def test_tuples_are_described_in_draft_7() -> None:
    def function(a: tuple[int, Corner]) -> tuple[int, ...]: ...  # type: ignore[empty-body]

    service = Service("s")
    service.method(function)
    found = described(service)
    assert found["methods"][0]["params"][0]["schema"] == {
        "type": "array",
        "minItems": 2,
        "maxItems": 2,
        "items": [{"type": "integer"}, {"$ref": "#/components/schemas/Corner"}],
        "additionalItems": False,
    }
    corner = found["components"]["schemas"]["Corner"]
    assert corner["description"] == "Where two walls meet."
    assert corner["properties"]["at"]["items"] == [{"type": "integer"}, {"type": "string"}]
    schema = {**found, "$ref": "#/components/schemas/Corner"}
    assert Draft7Validator(schema).is_valid({"x": 1, "at": [1, "b"]})
    assert not Draft7Validator(schema).is_valid({"x": 1, "at": ["b", 1]})


def test_schemas_are_converted_to_draft_7_at_every_depth() -> None:
    def function(a: Nested) -> None: ...

    service = Service("s")
    service.method(function)
    nested = described(service)["components"]["schemas"][f"{__name__}.Nested"]
    done = {"items": [{"type": "integer"}], "additionalItems": True}
    for name in (*HOLDING, "properties"):
        assert nested[name] == {"inner": done}
    for name in LISTING:
        assert nested[name] == [done]
    for name in BEING:
        assert nested[name] == done
    assert (nested["items"], nested["additionalItems"]) == ([done], {"items": done})
    assert nested["examples"] == [later("inner")]


def test_models_appear_in_defaults_and_have_valid_component_names() -> None:
    size = pydantic.create_model("Größe", net=(int, ...))

    def function(priced: Any = None, size: Any = None, anything: Any = None) -> None: ...

    function.__annotations__.update(priced=Priced, size=size, anything=object)
    function.__defaults__ = (Priced(net=1), None, None)
    service = Service("s")
    service.method("m")(function)
    found = described(service)
    priced, _, anything = (param["schema"] for param in found["methods"][0]["params"])
    name = f"{__name__}.Gr__e"
    assert list(found["components"]["schemas"]) == [name, f"{__name__}.Priced"]
    assert priced["default"] == {"net": 1, "gross": 2}
    assert anything == {"description": "any JSON value", "default": None}


class Circle(pydantic.BaseModel):
    radius: int


@dataclasses.dataclass
class Corner2:
    at: datetime.datetime
    made: int = dataclasses.field(default=0, init=False)


def test_a_union_without_a_tag_is_described_by_its_types() -> None:
    def function(a: Circle | Corner2) -> Corner2 | list[Circle]: ...  # type: ignore[empty-body]

    service = Service("s")
    service.method(function)
    found = described(service)
    (param,) = found["methods"][0]["params"]
    circle, corner = f"#/components/schemas/{__name__}.Circle", "#/components/schemas/Corner2"
    assert param["schema"] == {"anyOf": [{"$ref": circle}, {"$ref": corner}]}
    schema = found["components"]["schemas"]["Corner2"]
    assert schema["properties"] == {"at": {"type": "string", "format": "date-time"}}
    assert schema["additionalProperties"] is False
    output = found["components"]["schemas"]["Corner2.output"]
    assert list(output["properties"]) == ["at", "made"]
    assert list(validator().iter_errors(found)) == []


@dataclasses.dataclass
class Sum:
    left: Sum | Corner2
    right: Sum | None = None


def test_a_class_in_a_union_with_itself_is_a_component_that_refers_to_itself() -> None:
    def function(a: Sum) -> None: ...

    service = Service("s")
    service.method(function)
    found = described(service)
    properties = found["components"]["schemas"]["Sum"]["properties"]
    own = {"$ref": "#/components/schemas/Sum"}
    assert properties["left"] == {"anyOf": [own, {"$ref": "#/components/schemas/Corner2"}]}
    assert properties["right"] == {"anyOf": [own, {"type": "null"}], "default": None}
    assert list(validator().iter_errors(found)) == []


def test_a_set_of_numbers_and_strings_in_a_default_has_one_order() -> None:
    def function(a: Mixed) -> None: ...

    service = Service("s")
    service.method(function)
    mixed = described(service)["components"]["schemas"]["Mixed"]
    assert mixed["properties"]["names"]["default"] == ["a", 1]


def test_a_type_that_is_read_as_it_is_written_has_one_component() -> None:
    def function(a: Account, b: Corner) -> tuple[dict[str, Account], Corner]: ...  # type: ignore[empty-body]

    service = Service("s")
    service.method(function)
    assert list(described(service)["components"]["schemas"]) == ["Corner", f"{__name__}.Account"]


def test_a_type_has_a_component_for_output_if_it_is_written_in_another_form() -> None:
    found = described(shop())
    schemas = found["components"]["schemas"]
    priced = f"{__name__}.Priced"
    assert schemas["Bill"]["properties"]["lines"]["items"] == {"$ref": f"#/components/schemas/{priced}"}
    assert schemas["Bill.output"]["properties"]["lines"]["items"] == {"$ref": f"#/components/schemas/{priced}.output"}
    assert list(schemas[priced]["properties"]) == ["net"]
    assert list(schemas[f"{priced}.output"]["properties"]) == ["net", "gross"]


def test_sets_in_the_defaults_of_fields_have_an_order_independent_of_hashes() -> None:
    def function(a: Tags) -> None: ...

    service = Service("s")
    service.method(function)
    properties = described(service)["components"]["schemas"]["Tags"]["properties"]
    assert [schema["default"] for schema in properties.values()] == [["a", "b"], []]


@pytest.mark.parametrize(
    ("annotation", "message"),
    [(Silent, "the model 'Silent' has no JSON Schema"), (Strange, "a type has no JSON Schema")],
)
def test_a_type_without_a_schema_is_refused(annotation: Any, message: str) -> None:
    def function(a: Any) -> None: ...

    function.__annotations__["a"] = annotation
    service = Service("s")
    service.method(function)
    with pytest.raises(UsageError, match=message):
        document(service, ())


def test_the_document_is_the_same_in_every_process() -> None:
    program = (
        "import sys; from tests.core.service.test_openrpc import *; "
        "sys.stdout.buffer.write(encode(document(shop(), ())))"
    )
    root = str(Path(__file__).parents[3])
    printed = [
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, cwd=root, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert b'"default":["a","b"]' in printed[0]


LIST: Any = list
DICT: Any = dict
JSON: Any = Alias("Json", lambda: DICT[str, JSON] | LIST[JSON] | str | None)


@dataclasses.dataclass
class Note:
    text: JSON


def test_a_recursive_alias_is_a_component_that_refers_to_itself() -> None:
    service = Service("test", public=True)

    @service.method
    def keep(value: JSON, notes: list[Note], other: JSON = None) -> JSON:
        return value

    found = document(service, [])
    name = "tests.core.encoding.plans.Json"
    own = {"$ref": f"#/components/schemas/{name}"}
    (method,) = found["methods"]
    assert [param["schema"] for param in method["params"]] == [
        own,
        {"type": "array", "items": {"$ref": "#/components/schemas/Note"}},
        {"allOf": [own], "default": None},
    ]
    assert method["result"]["schema"] == own
    schemas = found["components"]["schemas"]
    assert schemas[name] == {
        "anyOf": [
            {"type": "object", "additionalProperties": own},
            {"type": "array", "items": own},
            {"type": "string"},
            {"type": "null"},
        ]
    }
    assert schemas["Note"]["properties"] == {"text": own}
    assert list(schemas) == ["Note", name]


def test_topics_are_bound_to_the_schemas_of_their_data() -> None:
    class Article(Struct):
        title: str

    service = Service("s")
    service.topic("news.*", payload=Article)
    service.topic("art", publish="authenticated")
    described = document(service, ())
    assert [(topic["name"], topic["publish"]) for topic in described["x-topics"]] == [
        ("art", "authenticated"),
        ("news.*", "nobody"),
    ]
    data = [topic["notification"]["params"][3]["schema"] for topic in described["x-topics"]]
    assert data == [{}, {"$ref": "#/components/schemas/Article"}]
    assert described["components"]["schemas"]["Article"]["properties"] == {"title": {"type": "string"}}
    assert "x-topics" not in document(Service("s"), ())
