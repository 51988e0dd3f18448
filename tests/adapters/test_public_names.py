"""The public names of `posthouse.adapters`, which are imported on first use."""

from __future__ import annotations

import subprocess
import sys

import posthouse.adapters
import pytest
from posthouse.adapters.embedded import running
from posthouse.adapters.handlers.lifespans import LifespanError
from posthouse.adapters.server.arguments import Options
from posthouse.adapters.server.entrances.listeners import Bound
from posthouse.adapters.server.serve import serve
from posthouse.adapters.server.server import Server
from posthouse.adapters.system.clock import Clock
from posthouse.adapters.workers.program import run


def test_each_public_name_is_found_where_it_is_defined() -> None:
    found = [getattr(posthouse.adapters, name) for name in posthouse.adapters.__all__]
    assert found == [Bound, Clock, LifespanError, Options, Server, run, running, serve]


def test_another_name_is_an_attribute_error() -> None:
    name = "server_of_another_name"
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'"):
        getattr(posthouse.adapters, name)


def test_the_package_alone_imports_no_server() -> None:
    program = "import sys, posthouse.adapters; print('anyio' in sys.modules, 'posthouse.core' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False False\n", done.stderr
