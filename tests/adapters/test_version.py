"""The version of the installed distribution, or that there is none."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from posthouse.adapters.version import installed_version

ROOT = Path(__file__).parents[2]


def test_it_is_that_of_the_distribution() -> None:
    assert installed_version() == version("posthouse")


def test_sources_without_an_installation_have_none() -> None:
    code = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('v', sys.argv[1]); m = u.module_from_spec(s); "
    )
    code += "s.loader.exec_module(m); print(m.installed_version())"
    path = ROOT / "adapters" / "posthouse" / "adapters" / "version.py"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, path], capture_output=True, text=True, check=True)
    assert done.stdout == "unknown\n"
