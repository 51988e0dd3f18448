"""What the measurements run in: an environment of its own, with the servers that we compare with, and its description.

The extra `bench`, pinned by `requirements-bench.lock`, goes to `.setup/bench`, so that nothing else in this project
ever sees it. Both sides of each comparison run there.
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

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = ROOT / "requirements-bench.lock"
PLACE: Final = ROOT / ".setup" / "bench"
PYTHON: Final = PLACE / "bin" / "python"
READY: Final = PLACE / "ready"

LIBRARIES: Final = (
    "msgspec",
    "h11",
    "wsproto",
    "anyio",
    "jsonrpcserver",
    "fastapi",
    "starlette",
    "uvicorn",
    "pydantic",
)
"""Whose versions are told with the figures."""

RINGS: Final = os.pathsep.join(str(ROOT / ring) for ring in ("core", "transports", "adapters"))
"""Where this project's packages are found without being installed."""


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


def enter(arguments: list[str]) -> None:
    """Become `python -m benchmarks` in that environment, unless this process runs in it already."""
    if Path(sys.prefix).resolve() == PLACE.resolve():
        return
    set_up()
    os.chdir(ROOT)
    os.execve(PYTHON, [str(PYTHON), "-m", "benchmarks", *arguments], {**os.environ, "PYTHONPATH": RINGS})


def describe() -> str:
    """The machine, the interpreter and the libraries, in one line."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.machine()}; {python}; {libraries}"


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "an unnamed processor"
