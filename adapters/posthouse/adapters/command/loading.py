"""From names on the command line to values: a service in a module, limits in a TOML file.

Each way to fail has its own error, with a hint.
"""

from __future__ import annotations

import importlib
import os
import sys
import tomllib
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Final

from posthouse import core, transports
from posthouse.adapters.authenticators.static_tokens import StaticTokens
from posthouse.adapters.terminal import Failure, Misuse
from posthouse.core.service.service import Service
from posthouse.core.values.config import Config
from posthouse.core.values.errors import UsageError

OURS: Final = (*core.__path__, *transports.__path__, os.path.dirname(os.path.dirname(__file__)))
"""The folders of our own code."""

SETTINGS: Final = "for every setting, see docs/limits.md or run: python -m pydoc posthouse.core.Config"

TOKENS: Final = "tokens"
"""The name and the namespace of the users of `--tokens`."""

EXAMPLE: Final = "calculator:service for `service` in calculator.py"


def load_service(target: str) -> Service:
    """Import the service that `MODULE:SERVICE` names. The working directory is importable. Raises Failure."""
    module_name, _, path = target.partition(":")
    if not module_name or not path or ":" in path:
        stem = Path(module_name).stem
        example = f"{stem}:service for `service` in {stem}.py" if stem.isidentifier() else EXAMPLE
        raise Misuse(f"{target!r} is not the name of a service", hint=f"write MODULE:SERVICE, such as {example}")
    if "/" in module_name or module_name.endswith(".py"):
        stem = Path(module_name).stem
        where = f"in {Path(module_name).parent}, " if "/" in module_name else ""
        raise Misuse(f"{module_name!r} is a path, not a module", hint=f"{where}use {stem}:{path}")
    module = _import(module_name)
    found: object = module
    reached = module_name
    for name in path.split("."):
        if not hasattr(found, name):
            services = _services_in(found)
            near = get_close_matches(name, services) or get_close_matches(name, dir(found)) or services
            hint = f"did you mean {' or '.join(near)}?" if near else f"it has no Service: create one, such as {EXAMPLE}"
            raise Misuse(f"{reached} has no {name!r}", hint=hint)
        found = getattr(found, name)
        reached = f"{reached}.{name}"
    if not isinstance(found, Service):
        others = _services_in(module)
        hint = f"its services are: {', '.join(others)}" if others else "use an instance of posthouse.core.Service"
        raise Misuse(f"{target} is not a Service but {_article(type(found).__name__)}", hint=hint)
    return found


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            hint = f"{_place(error)}install it for {sys.executable}"
            text = f"module {name} imports {missing}, which is not installed"
            raise Failure(text, hint=hint) from None
        near = get_close_matches(name, sorted(path.stem for path in Path(here).glob("*.py")), 1)
        hint = f"did you mean {near[0]}?" if near else f"searched: {here} and the installed packages"
        raise Misuse(f"no module named {missing or name}", hint=hint) from None
    except UsageError as error:
        raise Failure(f"module {name} declares an invalid service: {error}", hint=_place(error, "")) from None
    except SyntaxError as error:
        hint = f"{error.filename}, line {error.lineno}"
        raise Failure(f"module {name} is not valid Python: {error.msg}", hint=hint) from None
    except Exception as error:
        shown = "".join(traceback.format_exception(_own_frames(error))).rstrip()
        raise Failure(f"module {name} raised an exception on import", hint=shown.replace("\n", "\n  ")) from None


def _own_frames(error: Exception) -> Exception:
    """The exception without our frames and those of the import system."""
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return error.with_traceback(trace)


def _is_machinery(filename: str) -> bool:
    return filename == __file__ or filename.startswith("<frozen importlib") or filename == importlib.__file__


def _place(error: Exception, end: str = ": ") -> str:
    """The file and line of the service's own code in which the exception was raised; empty if there is none."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        ours = any(frame.filename.startswith(f"{folder}{os.sep}") for folder in OURS)
        if not ours and not _is_machinery(frame.filename):
            return f"{frame.filename}, line {frame.lineno}{end}"
    return ""


def _services_in(found: object) -> list[str]:
    return [name for name, value in sorted(getattr(found, "__dict__", {}).items()) if isinstance(value, Service)]


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def accept_tokens(service: Service, file: str) -> None:
    """Let the tokens of this file identify callers, beside the service's own authenticators. Raises Failure."""
    try:
        StaticTokens(file).declare(service, name=TOKENS, namespace=TOKENS)
    except UsageError as error:
        raise Misuse(str(error)) from None


def read_settings(path: str) -> dict[str, object]:
    """The settings of a TOML file, by name. Raises Failure."""
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise Misuse(f"cannot read {path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise Misuse(f"{path} is not valid TOML: {error}") from None
    except UnicodeDecodeError as error:
        raise Misuse(f"{path} is not valid TOML: it is not UTF-8 at byte {error.start}") from None
    table = next((name for name, value in values.items() if isinstance(value, dict)), None)
    if table is not None:
        hint = "write settings at the top level, such as call_timeout = 5.0"
        raise Misuse(f"{path}: unexpected table [{table}]", hint=hint)
    return values


def load_config(path: str) -> Config:
    """Read limits from a TOML file: each key is a field of Config. Raises Failure."""
    try:
        return Config.from_mapping(read_settings(path))
    except UsageError as error:
        raise Misuse(f"{path}: {error}", hint=SETTINGS) from None
