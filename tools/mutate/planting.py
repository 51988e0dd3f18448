"""Puts a mutant in the place of its module, before anything has imported it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

from .mutants import Mutant


class Planted(MetaPathFinder, Loader):
    """An import hook that gives one module other code."""

    def __init__(self, imported: str, file: Path, mutant: Mutant) -> None:
        self._module = imported
        self._file = str(file)
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """This module's, and no other's."""
        return spec_from_loader(fullname, self, origin=self._file) if fullname == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        """Run the mutant under the module's own file name."""
        module.__file__ = self._file
        exec(self._mutant.code(self._file), module.__dict__)
