"""The limits of a server as a TOML file, each with its value and its origin."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec import json
from posthouse.core.values.config import Config

INTRODUCTION = "# Every limit, its value, and where it comes from. docs/limits.md says what each one does."


def written(config: Config, file: str | None, in_file: Collection[str], options: Mapping[str, object]) -> str:
    """This configuration as a TOML file, which gives the same configuration when it is read. `in_file`: the names that
    `file` sets. `options`: the options of the command line that have set a name."""
    return "\n".join([INTRODUCTION, *_lines(config, file, in_file, options)])


def _lines(config: Config, file: str | None, in_file: Collection[str], options: Mapping[str, object]) -> Iterator[str]:
    for name in Config.__struct_fields__:
        value = getattr(config, name)
        origin = options.get(name) or (file if name in in_file else "default")
        yield f"# {name} is off  # {origin}" if value is None else f"{name} = {_value(value)}  # {origin}"


def _value(value: object) -> str:
    """A value in TOML: numbers, booleans, strings and lists of strings are written as in JSON (TOML 1.0)."""
    return json.encode(value).decode()
