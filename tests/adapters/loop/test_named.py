"""Libraries ask which event loop runs: in tasks, in plain callbacks, in threads."""

from __future__ import annotations

import asyncio
import builtins
import importlib.util
import sys
import threading
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from types import ModuleType

import anyio
import pytest
from posthouse.adapters.loop import named
from posthouse.adapters.loop.named import asyncio_loop, call_in_thread, named_loop

NAME: ContextVar[str | None] = ContextVar("name", default=None)
"""The variable of sniffio."""


@pytest.fixture
def with_sniffio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "name", NAME)


@pytest.fixture
def without_sniffio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "name", None)


def join(*words: str, end: str) -> tuple[str, str | None]:
    return "".join(words) + end, NAME.get()


def test_the_loop_of_asyncio_is_found_and_no_other() -> None:
    async def loop() -> asyncio.AbstractEventLoop | None:
        return asyncio_loop()

    assert isinstance(anyio.run(loop, backend="asyncio"), asyncio.AbstractEventLoop)
    assert anyio.run(loop, backend="trio") is None
    assert asyncio_loop() is None


@pytest.mark.usefixtures("with_sniffio")
def test_asyncio_is_named_while_it_is_entered() -> None:
    async def main() -> list[str | None]:
        seen = [NAME.get()]
        with named_loop():
            seen.append(NAME.get())
            called = asyncio.Event()
            asyncio.get_running_loop().call_soon(lambda: seen.append(NAME.get()))
            asyncio.get_running_loop().call_soon(called.set)
            await called.wait()
        with pytest.raises(ArithmeticError), named_loop():
            raise ArithmeticError
        return [*seen, NAME.get()]

    assert asyncio.run(main()) == [None, "asyncio", "asyncio", None]


@pytest.mark.usefixtures("with_sniffio")
def test_trio_names_itself() -> None:
    async def main() -> str | None:
        with named_loop():
            return NAME.get()

    assert anyio.run(main, backend="trio") is None


@pytest.mark.usefixtures("without_sniffio")
def test_without_sniffio_there_is_nothing_to_name() -> None:
    async def main() -> str | None:
        with named_loop():
            return NAME.get()

    assert asyncio.run(main()) is None


@pytest.mark.usefixtures("with_sniffio")
def test_no_loop_is_named_in_a_thread_that_has_the_variables_of_the_loop() -> None:
    token = NAME.set("asyncio")
    try:
        assert call_in_thread(join, ("a", "b"), {"end": "c"}) == ("abc", None)
        assert NAME.get() == "asyncio"
        with pytest.raises(TypeError, match="end"):
            call_in_thread(join, (), {})
        assert NAME.get() == "asyncio"
    finally:
        NAME.reset(token)


@pytest.mark.usefixtures("without_sniffio")
def test_a_thread_calls_the_function_also_without_sniffio() -> None:
    assert call_in_thread(join, ("a", "b"), {"end": "c"}) == ("abc", None)


@pytest.mark.parametrize("installed", [True, False])
def test_the_variable_is_that_of_sniffio_if_it_is_installed(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__
    sniffio = ModuleType("sniffio")
    sniffio.__dict__["current_async_library_cvar"] = NAME

    def importing(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if name != "sniffio":
            return usual(name, globals, locals, fromlist or (), level)
        if not installed:
            raise ModuleNotFoundError(name)
        return sniffio

    monkeypatch.setattr(builtins, "__import__", importing)
    spec = importlib.util.spec_from_file_location("another", str(named.__file__))
    assert spec is not None and spec.loader is not None
    another = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(another)
    assert vars(another)["name"] is (NAME if installed else None)
    assert "another" not in sys.modules and threading.current_thread() is threading.main_thread()
