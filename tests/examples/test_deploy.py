"""The files for systemd, containers and Kubernetes: their commands are valid, and the guide shows them as they are."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from posthouse.adapters.command.main import main

from tests.adapters.loopback import ENVIRONMENT, ROOT

from .processes import EXAMPLES

DEPLOY = EXAMPLES / "deploy"
GUIDE = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def instructions(name: str) -> list[str]:
    """What the Dockerfile says after each instruction of this name."""
    lines = DOCKERFILE.replace("\\\n", "").splitlines()
    return [line.split(" ", 1)[1].strip() for line in lines if line.startswith(f"{name} ")]


@pytest.mark.parametrize("name", ["Dockerfile", "calculator.service", "calculator.socket"])
def test_the_guide_shows_the_file(name: str) -> None:
    _, _, shown = (DEPLOY / name).read_text(encoding="utf-8").partition("\n\n")
    assert shown in GUIDE


def test_the_guide_shows_lines_of_the_deployment() -> None:
    (shown,) = re.findall(r"```yaml\n(      terminationGrace.*?)```", GUIDE, re.DOTALL)
    lines = (DEPLOY / "calculator.yaml").read_text(encoding="utf-8").splitlines()
    assert [line for line in shown.splitlines() if line not in lines] == []


def is_valid(words: list[str], monkeypatch: pytest.MonkeyPatch, folder: Path) -> bool:
    """Can this command run in a folder with the calculator?"""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    return main([*words, "--print-config"]) == 0


def test_the_command_of_the_container_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    command, health = json.loads(instructions("CMD")[-1]), instructions("HEALTHCHECK")[0]
    assert command[0] == "posthouse"
    assert is_valid(command[1:], monkeypatch, EXAMPLES)
    _, _, arguments = health.partition("CMD ")
    compile(json.loads(arguments)[2], "health", "exec")


def test_the_command_of_the_unit_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = (DEPLOY / "calculator.service").read_text(encoding="utf-8").replace("\\\n", "")
    found = re.search(r"ExecStart=(\S+) (.*)", unit)
    assert found
    assert found[1].endswith("/bin/posthouse")
    shutil.copy(EXAMPLES / "calculator.py", tmp_path)
    (tmp_path / "limits.toml").write_text("call_timeout = 10.0\n", encoding="utf-8")
    assert is_valid(shlex.split(found[2]), monkeypatch, tmp_path)


def test_what_the_container_copies_is_enough_to_install_and_to_serve(tmp_path: Path) -> None:
    for copied in instructions("COPY"):
        if copied.startswith("--from"):
            continue
        *sources, target = copied.split()
        for source in sources:
            place = tmp_path / (target if target != "./" else Path(source).name)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, place)
    assert (tmp_path / "calculator.py").exists()
    (install,) = (run for run in instructions("RUN") if run.endswith(" ."))
    program, *words = shlex.split(install)
    assert program.endswith("/pip")
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        build = "import hatchling.build, sys; print(hatchling.build.build_wheel(sys.argv[1]))"
        words = ["-c", build, str(tmp_path)]
    else:
        words = ["-m", "pip", *words, "--quiet", "--target", str(tmp_path / "installed")]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
