"""`posthouse check`: how a service is listed, and how its errors are reported."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

import pytest
from msgspec import Struct
from posthouse.adapters.command.main import main
from posthouse.adapters.command.subcommands.check import describe
from posthouse.core.service.context import Context
from posthouse.core.service.service import Service

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"


@pytest.fixture(autouse=True)
def in_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", sys.path.copy())


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) != 0
    return capsys.readouterr().err


class Item(Struct):
    """A type with a module."""

    name: str


def full() -> Service:
    service = Service("shop", version="1.2", builtin_scopes={"rpc.discover": ["staff"]})

    @service.method("item.find", public=True)
    async def find(context: Context, name: str, *others: Item, kind: Literal["a.b"] | None = None, **more: Any) -> Item:
        """Find an item.

        At length.
        """
        return Item(name)

    @service.method(scopes={"sales", "admin"}, blocking=True, sequential=True, timeout=2.5, on_disconnect="finish")
    def sell(items: list[Item], *, price: float, days: tuple[int, ...] = ()) -> None:
        pass

    return service


def test_a_service_is_listed_with_types_scopes_and_rules() -> None:
    assert list(describe(full()))[:9] == [
        "shop 1.2: 2 methods",
        "",
        "item.find(name: str, *others: Item, kind: Optional[Literal['a.b']] = None, **more: Any) -> Item",
        "    Find an item.",
        "    anyone, async",
        "",
        "sell(items: list[Item], *, price: float, days: tuple[int, ...] = ()) -> None",
        "    needs scope admin and sales, in a worker thread, one call at a time, timeout 2.5 s, "
        "continues after a disconnect",
        "",
    ]


def test_the_built_in_methods_are_listed_with_who_may_call_them() -> None:
    lines = list(describe(full()))
    assert "    connection.ping: anyone" in lines
    assert "    message.send: authenticated callers" in lines
    assert "    message.broadcast: needs scope broadcast" in lines
    assert "    rpc.discover: needs scope staff" in lines


def test_a_service_may_be_empty_or_have_one_method() -> None:
    service = Service("bare")
    assert next(describe(service)) == "bare 0.0.0: no methods besides the built-in ones"
    service.method("one")(lambda: None)
    lines = list(describe(service))
    assert lines[0] == "bare 0.0.0: 1 method"
    assert lines[2:4] == ["one() -> Any", "    authenticated callers"]


# The command


def test_check_lists_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "calculator:service"]) == 0
    said = capsys.readouterr().out
    assert "calculator 1.0.0: 8 methods\n" in said
    assert "divide(dividend: int | float, divisor: int | float) -> float\n" in said


def test_check_reports_errors(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong_service.py").write_text(
        "from posthouse.core import Service\nservice = Service('s')\nservice.method('connection.ping')(print)\n"
    )
    assert "posthouse: module wrong_service declares an invalid service:" in complaint(
        capsys, "check", "wrong_service:service"
    )


def test_check_finds_errors_that_no_single_declaration_shows(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "no_schema.py").write_text(
        "from typing import Any\nfrom msgspec import Struct\nfrom posthouse.core import Service\n"
        "class Strange(Struct):\n    thing: Any = object()\n"
        "service = Service('s')\n@service.method\ndef take(thing: Strange) -> None: ...\n"
    )
    assert complaint(capsys, "check", "no_schema:service").startswith(
        "posthouse: cannot serve no_schema:service: a type has no JSON Schema"
    )


def test_check_names_the_methods_that_nobody_can_call(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lonely.py").write_text(
        "from posthouse.core import Service\nservice = Service('s')\n@service.method\ndef keep() -> None: ...\n"
        "@service.method(public=True)\ndef show() -> None: ...\n"
    )
    assert main(["check", "lonely:service"]) == 0
    warned = "warning: no caller can call keep (needs an authenticated caller) of service s: "
    assert capsys.readouterr().err.startswith(warned)
