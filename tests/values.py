"""Which Structs of a module are values, which cannot change once built, and which are records that do."""

from __future__ import annotations

from importlib import import_module

from msgspec import Struct


def structs(module: str) -> list[type[Struct]]:
    """The Structs that this module defines, in order."""
    things = vars(import_module(module)).values()
    return [
        thing
        for thing in things
        if isinstance(thing, type) and issubclass(thing, Struct) and thing.__module__ == module
    ]


def changeable(module: str) -> list[str]:
    """The names of those whose fields may change after they were built."""
    return [struct.__name__ for struct in structs(module) if not struct.__struct_config__.frozen]


def told_apart(module: str) -> list[str]:
    """The names of those of which each is equal to itself alone, whatever its fields say."""
    return [struct.__name__ for struct in structs(module) if not struct.__struct_config__.eq]
