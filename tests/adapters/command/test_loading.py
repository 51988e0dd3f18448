"""From MODULE:SERVICE and FILE.toml to values: each way to fail is told apart and says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from posthouse.adapters.command.loading import load_config, load_service
from posthouse.adapters.terminal import Failure
from posthouse.core.values.config import Config

SERVICE = "from posthouse.core import Service\nservice = Service('here', public=True)\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return tmp_path


def failure(target: str) -> Failure:
    with pytest.raises(Failure) as failed:
        load_service(target)
    return failed.value


def test_a_service_is_loaded_from_the_working_directory(folder: Path) -> None:
    (folder / "shop.py").write_text(SERVICE + "class app:\n    inner = service\n")
    assert load_service("shop:service").name == "here"
    assert load_service("shop:app.inner") is load_service("shop:service")
    assert sys.path.count(str(folder)) == 1


def test_a_module_in_a_package_is_loaded(folder: Path) -> None:
    (folder / "pack").mkdir()
    (folder / "pack" / "shop.py").write_text(SERVICE)
    assert load_service("pack.shop:service").name == "here"


@pytest.mark.parametrize(
    ("target", "module"),
    [
        ("shop", "shop"),
        ("shop:", "shop"),
        ("shop.py", "shop"),
        ("examples/shop.py", "shop"),
        ("shop:a:b", "shop"),
        (":service", "calculator"),
        ("my-shop.py", "calculator"),
        ("", "calculator"),
    ],
)
def test_a_target_without_module_or_service_is_an_error_with_an_example(target: str, module: str) -> None:
    failed = failure(target)
    assert failed.status == 2
    assert failed.hint == f"write MODULE:SERVICE, such as {module}:service for `service` in {module}.py"


def test_a_path_says_how_its_module_is_named() -> None:
    assert failure("examples/calculator.py:app").hint == ("in examples, use calculator:app")
    assert failure("calculator.py:app").hint == "use calculator:app"


def test_a_module_that_there_is_not_names_the_nearest(folder: Path) -> None:
    (folder / "calculator.py").write_text("")
    failed = failure("calculater:service")
    assert (failed.text, failed.status) == ("no module named calculater", 2)
    assert failed.hint == "did you mean calculator?"
    assert failure("zzz:service").hint == f"searched: {folder} and the installed packages"


def test_a_package_that_lacks_the_module_is_a_module_that_there_is_not(folder: Path) -> None:
    (folder / "pack").mkdir()
    assert failure("pack.shop:service").text == "no module named pack.shop"


def test_a_missing_dependency_of_the_module_has_its_own_error(folder: Path) -> None:
    (folder / "shop.py").write_text("\nimport no_such_package.inside\n")
    failed = failure("shop:service")
    assert (failed.text, failed.status) == (
        "module shop imports no_such_package, which is not installed",
        1,
    )
    assert failed.hint == f"{folder}/shop.py, line 2: install it for {sys.executable}"


def test_an_invalid_declaration_is_reported_with_its_file_and_line(folder: Path) -> None:
    (folder / "shop.py").write_text(SERVICE + "service.method('rpc.mine')(print)\n")
    failed = failure("shop:service")
    assert failed.text.startswith("module shop declares an invalid service: the name 'rpc.mine' is reserved")
    assert (failed.hint, failed.status) == (f"{folder}/shop.py, line 3", 1)


def test_an_invalid_declaration_is_reported_with_its_file_and_line_in_any_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "posthouse").mkdir()
    (folder / "posthouse" / "shop.py").write_text(SERVICE + "service.method('rpc.mine')(print)\n")
    monkeypatch.chdir(folder / "posthouse")
    assert failure("shop:service").hint == f"{folder}/posthouse/shop.py, line 3"


def test_a_syntax_error_is_reported_with_its_file_and_line(folder: Path) -> None:
    (folder / "shop.py").write_text("service =\n")
    failed = failure("shop:service")
    assert (failed.text, failed.hint) == (
        "module shop is not valid Python: invalid syntax",
        f"{folder}/shop.py, line 1",
    )


def test_an_exception_of_the_module_is_shown_with_the_frames_of_the_module(folder: Path) -> None:
    (folder / "shop.py").write_text("def open_shop():\n    raise KeyError('key')\nopen_shop()\n")
    failed = failure("shop:service")
    assert failed.text == "module shop raised an exception on import"
    lines = [line.strip() for line in failed.hint.splitlines()]
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == f'File "{folder}/shop.py", line 3, in <module>'
    assert lines[-1] == "KeyError: 'key'"


def test_a_name_that_is_not_there_names_the_nearest(folder: Path) -> None:
    (folder / "shop.py").write_text(SERVICE + "other = 1\n")
    failed = failure("shop:servise")
    assert (failed.text, failed.status) == ("shop has no 'servise'", 2)
    assert failed.hint == "did you mean service?"
    assert failure("shop:zzz").hint == "did you mean service?"
    assert failure("shop:other.real.zzz").text == "shop.other.real has no 'zzz'"


def test_a_module_without_a_service_is_an_error(folder: Path) -> None:
    (folder / "empty.py").write_text("")
    assert failure("empty:zzz").hint.startswith("it has no Service: create one")


def test_an_object_that_is_not_a_service_is_an_error_with_its_type(folder: Path) -> None:
    (folder / "shop.py").write_text(SERVICE + "app = 1\n")
    failed = failure("shop:app")
    assert (failed.text, failed.status) == ("shop:app is not a Service but an int", 2)
    assert failed.hint == "its services are: service"
    (folder / "empty.py").write_text("app = 'text'\n")
    assert failure("empty:app").hint == "use an instance of posthouse.core.Service"


def test_limits_are_read_from_a_file(folder: Path) -> None:
    (folder / "limits.toml").write_text("max_batch = 5\nidle_timeout = 60.0\n")
    assert load_config("limits.toml") == Config(max_batch=5, idle_timeout=60.0)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"max_batch = 5\nidle_timeout = = 3\n", "limits.toml is not valid TOML: Invalid value (at line 2, column 16)"),
        (b"max_bach = 5\n", "limits.toml: unknown setting 'max_bach': did you mean 'max_batch'?"),
        (b"max_batch = 0\n", "limits.toml: max_batch is 0"),
        (b"max_batch = 'five'\n", "limits.toml: max_batch: expected int, got str"),
        (b"\xff", "limits.toml is not valid TOML: it is not UTF-8 at byte 0"),
    ],
)
def test_invalid_limits_are_reported_with_their_file(folder: Path, content: bytes, complaint: str) -> None:
    (folder / "limits.toml").write_bytes(content)
    with pytest.raises(Failure) as failed:
        load_config("limits.toml")
    assert failed.value.text.startswith(complaint)
    assert failed.value.status == 2


@pytest.mark.parametrize("content", [b"[limits]\nmax_batch = 5\n", b"max_batch = 5\n[limits]\n", b"limits.a = 1\n"])
def test_a_table_in_a_file_of_limits_is_refused(folder: Path, content: bytes) -> None:
    (folder / "limits.toml").write_bytes(content)
    with pytest.raises(Failure) as failed:
        load_config("limits.toml")
    assert failed.value.text == "limits.toml: unexpected table [limits]"
    assert failed.value.hint == "write settings at the top level, such as call_timeout = 5.0"


def test_a_file_that_cannot_be_read_says_why() -> None:
    with pytest.raises(Failure, match=r"cannot read nowhere\.toml: No such file or directory"):
        load_config("nowhere.toml")
