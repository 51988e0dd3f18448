"""Run the Autobahn fuzzing client against our echo server, count how its cases ended, and say so in the documents.

    python -m tests.conformance.autobahn PYTHON_2_7 [CASE ...]

A case is a pattern as the suite has them: `1.*`, `9.3.1`. Without one it runs all of them and writes
`docs/internals/conformance.md`. Exit code 1 if a case failed or did not run.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests import sections

ROOT: Final = Path(__file__).parents[3]
SETUP: Final = ROOT / ".setup" / "autobahn"
REPORTS: Final = SETUP / "reports"
DOCUMENT: Final = ROOT / "docs" / "internals" / "conformance.md"
SECTION: Final = "autobahn"
"""The part of the document that is written here."""

ALL_CASES: Final = 517
"""How many cases the suite has."""

BAD: Final = ("FAILED", "WRONG CODE", "UNCLEAN", "FAILED BY CLIENT")
"""What the suite calls a failure, of a case or of the way in which it closed."""

TOO_LONG: Final = 3600
"""Seconds after which a run is given up."""

AT_ONCE: Final = 2
"""How many runs there are at a time. Each waits for one answer after another."""

WSTEST: Final = """
import site, sys
site.addsitedir(sys.argv[1])
del sys.argv[1]
from autobahntestsuite import wstest
wstest.run()
"""
"""Python 2. The suite's libraries share a namespace by a .pth file, which PYTHONPATH alone does not read."""

CHAPTERS: Final = {
    "1": "framing: text and binary",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing",
    "9": "limits and performance, messages of up to 16 MiB",
    "10": "automatic fragmentation",
    "12": "compression with the default parameters",
    "13": "compression with negotiated parameters",
}
"""The suite's chapters."""

LONG: Final = {"12": 5, "13": 7}
"""The chapters that take long, with how many sections they have: these are run by themselves, and first."""

ALL: Final = [
    *(f"{chapter}.{section}.*" for chapter, sections in LONG.items() for section in range(1, sections + 1)),
    *(f"{chapter}.*" for chapter in CHAPTERS if chapter not in LONG),
]
"""The runs that make the whole."""


@contextmanager
def echo_server() -> Iterator[str]:
    """Our echo server in a process of its own. Gives its URL."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.autobahn.echo"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def fuzz(python: str, url: str, cases: str) -> dict[str, Any]:
    """Run the cases of one pattern against `url`, one after another. How each ended, by its number."""
    place = REPORTS / cases.replace("*", "all")
    place.mkdir(parents=True, exist_ok=True)
    index = place / "index.json"
    index.unlink(missing_ok=True)
    specification = place / "spec.json"
    agent = {"agent": "posthouse", "url": url}
    specification.write_text(
        json.dumps({"outdir": str(place), "servers": [agent], "cases": [cases], "exclude-cases": []})
    )
    library = str(SETUP / "lib")
    with (place / "wstest.log").open("w") as output:
        subprocess.run(
            [python, "-s", "-c", WSTEST, library, "-m", "fuzzingclient", "-s", str(specification)],
            env={"PYTHONPATH": library, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=TOO_LONG,
            check=True,
        )
    ended: dict[str, Any] = json.loads(index.read_text())["posthouse"]
    sys.stdout.write(f"{cases}: {len(ended)} cases, {len(failures(ended))} failed\n")
    sys.stdout.flush()
    return ended


def failures(ended: dict[str, Any]) -> list[str]:
    """The cases that failed, with how."""
    return [
        f"{case}: {outcome['behavior']}, closing: {outcome['behaviorClose']}"
        for case, outcome in sorted(ended.items(), key=lambda item: numbers(item[0]))
        if outcome["behavior"] in BAD or outcome["behaviorClose"] in BAD
    ]


def numbers(case: str) -> list[int]:
    """A case's number as one that sorts: 9.10 comes after 9.9."""
    return [int(part) for part in case.split(".")]


def table(ended: dict[str, Any]) -> str:
    """How many cases of each chapter ended how, as a Markdown table."""
    behaviours = sorted({outcome["behavior"] for outcome in ended.values()} | {"OK", "FAILED"}, key=rank)
    lines = [
        "| chapter | about | cases | " + " | ".join(behaviours) + " |",
        "|---|---|---:|" + "---:|" * len(behaviours),
    ]
    chapters: dict[str, Counter[str]] = {chapter: Counter() for chapter in CHAPTERS}
    for case, outcome in ended.items():
        chapters[case.split(".")[0]][outcome["behavior"]] += 1
    total = sum(chapters.values(), Counter[str]())
    for chapter, about, counts in [*((key, CHAPTERS[key], chapters[key]) for key in CHAPTERS), ("", "**all**", total)]:
        row = " | ".join(str(counts[behaviour]) for behaviour in behaviours)
        lines.append(f"| {chapter} | {about} | {counts.total()} | {row} |")
    return "\n".join(lines)


def rank(behaviour: str) -> tuple[int, str]:
    """The order in which behaviours are told."""
    order = ("OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED")
    return (order.index(behaviour) if behaviour in order else len(order), behaviour)


def main() -> int:
    """Run, count, tell."""
    python, *cases = sys.argv[1:]
    ended: dict[str, Any] = {}
    with echo_server() as url, ThreadPoolExecutor(AT_ONCE) as runs:
        for some in runs.map(partial(fuzz, python, url), cases or ALL):
            ended |= some
    counts = table(ended)
    failed = failures(ended)
    sys.stdout.write(f"{counts}\n")
    sys.stderr.writelines(f"{failure}\n" for failure in failed)
    if not cases:
        sections.write(DOCUMENT, SECTION, counts)
        if len(ended) != ALL_CASES:
            sys.stderr.write(f"{len(ended)} of {ALL_CASES} cases were run\n")
            return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
