"""All faults of one value, with their paths."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from posthouse.core.encoding.compiler import reading
from posthouse.core.encoding.faults import explain, reader

from tests.core.encoding.plans import faults


class Leaf(Struct, forbid_unknown_fields=True, tag=True):
    name: str
    size: int = 0


class Other(Struct, tag=True):
    value: int


@dataclasses.dataclass
class Job:
    title: str
    leaf: Leaf | Other | None = None

    def __post_init__(self) -> None:
        if self.title == "bad":
            raise KeyboardInterrupt("the words of user code")


class Row(Struct, array_like=True):
    name: str
    size: int


@pytest.mark.parametrize(
    ("annotation", "text", "expected"),
    [
        (int, "1", []),
        (list[int], '[1,"a",null]', [("$[1]", "expected int, got str"), ("$[2]", "expected int, got null")]),
        (dict[str, int], '{"a":"","b":1,"c":""}', [("$.a", "expected int, got str"), ("$.c", "expected int, got str")]),
        (tuple[int, str], '["",1]', [("$[0]", "expected int, got str"), ("$[1]", "expected str, got int")]),
        (tuple[int, str], "[1]", [("$", "expected array of length 2")]),
        (tuple[int, str], '[1,"",3]', [("$", "expected array of length 2")]),
        (Row, '[1,""]', [("$[0]", "expected str, got int"), ("$[1]", "expected int, got str")]),
        (
            Leaf,
            '{"size":"","x":1}',
            [
                ("$", "object missing required field name"),
                ("$.size", "expected int, got str"),
                ("$", "object contains unknown field x"),
            ],
        ),
        (Job, '{"title":"bad"}', [("$", "refused by Job")]),
        (
            list[Job],
            '[{"title":"bad"},{"title":1}]',
            [("$[0]", "refused by Job"), ("$[1].title", "expected str, got int")],
        ),
        (Job, '{"title":"a","leaf":{"type":"Leaf","name":1}}', [("$.leaf.name", "expected str, got int")]),
        (Job, '{"title":"a","leaf":{"type":"x"}}', [("$.leaf.type", "invalid value 'x'")]),
        (
            Leaf | Other,
            '{"type":"Leaf","name":1,"size":""}',
            [("$.name", "expected str, got int"), ("$.size", "expected int, got str")],
        ),
        (Leaf | Other, '{"name":1,"size":""}', [("$", "object missing required field type")]),
        (Leaf | Other, '{"type":"Leaf","\\q":1}', [("$", "refused by its type")]),
        (
            Leaf,
            '{"type":"x","name":1}',
            [("$.type", "invalid enum value 'x'"), ("$.name", "expected str, got int")],
        ),
        (
            list[int] | dict[str, int],
            '["a","b"]',
            [("$[0]", "expected int, got str"), ("$[1]", "expected int, got str")],
        ),
        (int | None, '"a"', [("$", "expected int | null, got str")]),
        (dict[int, int], '{"a":1}', [("$", "expected int, got str")]),
        (list[Path], '["a",1]', [("$[1]", "expected str, got int")]),
        (Other, '{"type":"Other","value":""}', [("$.value", "expected int, got str")]),
        (int, "x", [("$", "refused by its type")]),
        (list[int], "[x]", [("$", "refused by its type")]),
        (set[int], '{"a":1}', [("$", "expected array, got object")]),
        (Leaf, "[1]", [("$", "expected object, got array")]),
        (int, "{}", [("$", "expected int, got object")]),
    ],
)
def test_every_fault_is_found_with_its_path(annotation: Any, text: str, expected: list[tuple[str, str]]) -> None:
    assert faults(annotation, text) == expected


@pytest.mark.parametrize("value", [[""] * 100, {f"k{n}": "" for n in range(100)}])
def test_at_most_16_faults_are_found(value: Any) -> None:
    assert len(faults(list[int] | dict[str, int], json.dumps(value))) == 16


def test_only_the_first_1024_items_are_read_one_by_one() -> None:
    for number in (1023, 1024):
        # msgspec says where the fault is. Of a constructor's fault beyond the limit, only the type is known.
        items = [{"title": "a"}] * number
        place = f"$[{number}]"
        assert faults(list[Job], json.dumps([*items, {"title": 1}])) == [(f"{place}.title", "expected str, got int")]
        found = faults(list[Job], json.dumps([*items, {"title": "bad"}]))
        assert found == ([(place, "refused by Job")] if number < 1024 else [("$", "refused by its type")])
        members = {f"k{index}": 1 for index in range(number)}
        (fault,) = faults(dict[str, int], json.dumps({**members, "z": ""}))
        assert fault == ("$.z" if number < 1024 else "$[...]", "expected int, got str")


def test_a_plan_is_explained_again_without_new_decoders() -> None:
    plan = reading(list[int], "it")
    assert plan.check is None
    assert explain(plan, b"[1]") == []
    check = plan.check
    assert explain(plan, b"[2]") == []
    assert plan.check is check


def test_a_reader_converts() -> None:
    assert reader(reading(Path, "it"))(b'"a"') == Path("a")
    assert reader(reading(int, "it"))(b"1") == 1
