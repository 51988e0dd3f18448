"""What the measurements run in: an environment of its own, with the servers that we compare with, and its description.

The extra `bench`, pinned by `requirements-bench.lock`, goes to `.setup/bench`, so that nothing else in this project
ever sees it. Both sides of each comparison run there. Packages of node go to `benchmarks/servers/node/node_modules`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from .machine import processor
from .servers.catalogue import NODE, SERVERS, available, missing
from .servers.host import RINGS, ROOT

LOCK: Final = ROOT / "requirements-bench.lock"
PLACE: Final = ROOT / ".setup" / "bench"
PYTHON: Final = PLACE / "bin" / "python"
READY: Final = PLACE / "ready"

RUN_TIME: Final = ("msgspec", "anyio", "h11", "wsproto", "trio", "uvloop", "uvicorn", "httptools")
"""Libraries under the servers, whose versions are told, too."""


def set_up() -> None:
    """Install what the lock file names, with uv where it is on the path, else with pip. A second time does nothing."""
    if READY.is_file() and READY.read_bytes() == LOCK.read_bytes():
        return
    print(f"setting up {PLACE.relative_to(ROOT)}", file=sys.stderr)
    uv = shutil.which("uv")
    if uv is not None:
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, PLACE], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", PYTHON, "--requirement", LOCK], check=True)
    else:
        venv.create(PLACE, clear=True, with_pip=True)
        pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        subprocess.run([*pip, "--requirement", LOCK], check=True)
    READY.write_bytes(LOCK.read_bytes())


def enter(arguments: list[str], module: str = "benchmarks") -> None:
    """Become `python -m MODULE` in that environment, unless this process runs in it already."""
    if Path(sys.prefix).resolve() == PLACE.resolve():
        return
    set_up()
    set_up_node()
    os.chdir(ROOT)
    os.execve(PYTHON, [str(PYTHON), "-m", module, *arguments], {**os.environ, "PYTHONPATH": RINGS})


def set_up_node() -> None:
    """Install what the lock of node's packages names, if node is here."""
    installed, lock = NODE / "node_modules" / ".package-lock.json", NODE / "package-lock.json"
    if missing() is not None or (installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime):
        return
    subprocess.run(["npm", "ci", "--ignore-scripts", "--silent", "--no-progress"], cwd=NODE, check=True)
    installed.touch()


def versions() -> dict[str, str]:
    """The versions of the interpreters and of all libraries that were measured, by name."""
    found = {platform.python_implementation(): platform.python_version()}
    in_python = [server.library for server in SERVERS.values() if server.library and not server.in_node]
    for name in dict.fromkeys((*RUN_TIME, *in_python)):
        found[name] = version(name)
    if missing() is None:
        found["node"] = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout.strip("v\n")
        lock = msgspec.json.decode((NODE / "package-lock.json").read_bytes())["packages"]
        for server in available():
            if server.in_node and server.library:
                found[f"{server.library} (npm)"] = lock[f"node_modules/{server.library}"]["version"]
    return found


def describe() -> str:
    """The machine, in one line."""
    return f"{processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}"
