"""The public list of the core is whole: what the package imports is public, and nothing else is."""

from __future__ import annotations

from types import ModuleType

import posthouse.core


def test_every_name_that_the_package_offers_is_listed_once() -> None:
    offered = {
        name
        for name, value in vars(posthouse.core).items()
        if not (name.startswith("_") or isinstance(value, ModuleType) or name == "annotations")
    }
    assert sorted(offered) == sorted(posthouse.core.__all__)
