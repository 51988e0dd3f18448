"""One fuzzing session in a process of its own: its folders, its options, what it says, and what it found.

What is new goes to `.setup/fuzz/TARGET/`: `corpus/` for inputs that reached something new, `found/` for those that
found something. The committed corpus is only read; `merge` writes it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import Struct

from tests.fuzz.target import HERE, Target

ROOT: Final = HERE.parent.parent
MOST_ENTRIES: Final = 100
"""Entries of a target that are committed."""

SLOWEST: Final = 10
"""Seconds that one input may take: a target takes a few milliseconds at most."""

MOST_MEMORY: Final = 512
"""MiB that the process may take."""

PROGRESS: Final = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)/\S+ .*?exec/s: (\d+)")
EXECUTED: Final = re.compile(r"stat::number_of_executed_units: (\d+)")
ARTEFACT: Final = re.compile(r"Test unit written to (\S+)")


class Progress(Struct, frozen=True):
    """How far a session is. `coverage` counts edges of instrumented code, `features` also how often."""

    runs: int
    coverage: int
    features: int
    entries: int
    rate: int

    def __str__(self) -> str:
        return (
            f"{self.runs:,} runs, {self.rate:,} a second, coverage {self.coverage}, features {self.features}, "
            f"{self.entries} entries"
        )


class Finding(Struct, frozen=True):
    """An input that found something, what was said about it, and how many inputs it took."""

    file: Path
    said: str
    runs: int

    @property
    def reason(self) -> str:
        """The exception, in one line."""
        return self.said.partition("Uncaught Python exception: ===\n")[2].partition("\n")[0]


class Session:
    """libFuzzer on one target. `root` is the checkout whose code is fuzzed: this one, or a copy with a planted bug."""

    def __init__(self, target: Target, folder: Path, *, root: Path = ROOT) -> None:
        self.target = target
        self.folder = folder
        self.finding: Finding | None = None
        self.last: Progress | None = None
        self._root = root
        for name in ("corpus", "seeds", "found"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(target.seeds):
            (folder / "seeds" / str(number)).write_bytes(seed)
        (folder / "tokens").write_text("".join(f'"{escaped(token)}"\n' for token in target.tokens))

    def fuzz(
        self, *, seconds: int | None = None, runs: int | None = None, seeds_alone: bool = False
    ) -> Iterator[Progress]:
        """Fuzz for so long, or so many inputs, or until something is found."""
        folders = [self.folder / "corpus", self.folder / "seeds"]
        if not seeds_alone:
            folders += [self.target.corpus, self.target.findings]
        options = [
            f"-dict={self.folder / 'tokens'}",
            f"-max_len={self.target.max_len}",
            f"-timeout={SLOWEST}",
            f"-rss_limit_mb={MOST_MEMORY}",
            f"-artifact_prefix={self.folder / 'found'}/",
            "-print_final_stats=1",
            *([] if seconds is None else [f"-max_total_time={seconds}"]),
            *([] if runs is None else [f"-runs={runs}"]),
        ]
        said: list[str] = []
        options += [str(folder) for folder in folders if folder.is_dir()]
        with self._child(options) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                progress = PROGRESS.match(line)
                if progress is not None:
                    said.clear()
                    self.last = Progress(*map(int, progress.groups()))
                    yield self.last
        artefact = next((found[1] for line in said if (found := ARTEFACT.search(line))), None)
        if artefact is not None:
            executed = EXECUTED.search("".join(said))
            self.finding = Finding(Path(artefact), "".join(said), 0 if executed is None else int(executed[1]))
        elif process.returncode:
            raise RuntimeError(f"the fuzzer ended with {process.returncode}:\n{''.join(said)}")

    def merge(self) -> tuple[int, int]:
        """Replace the committed corpus by the fewest entries that reach what all that there are reach. How many
        entries there were, and are. Where how often each edge is taken needs too many, it is forgotten."""
        before = list(self.target.corpus.glob("*"))
        folders = [self.folder / "corpus", self.folder / "seeds", self.target.corpus]
        with TemporaryDirectory() as merged:
            after = self._merged(Path(merged) / "features", folders, "-use_counters=1")
            if len(after) > MOST_ENTRIES:
                after = self._merged(Path(merged) / "edges", folders, "-use_counters=0")
            for entry in before:
                entry.unlink()
            self.target.corpus.mkdir(parents=True, exist_ok=True)
            for entry in after:
                (self.target.corpus / entry.name[:12]).write_bytes(entry.read_bytes())
        return len(before), len(after)

    def _merged(self, into: Path, folders: list[Path], counters: str) -> list[Path]:
        into.mkdir()
        options = ["-set_cover_merge=1", counters, str(into), *(str(folder) for folder in folders if folder.is_dir())]
        with self._child(options) as process:
            said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"the fuzzer ended with {process.returncode}:\n{said}")
        return sorted(into.iterdir())

    def _child(self, options: list[str]) -> subprocess.Popen[str]:
        paths = [str(self._root / ring) for ring in ("core", "transports", "adapters")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *paths])}
        command = [sys.executable, "-m", "tests.fuzz.child", self.target.name, *options]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            text=True,
            errors="replace",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


def escaped(token: bytes) -> str:
    """A token as libFuzzer's dictionaries have it."""
    return "".join(f"\\x{byte:02x}" for byte in token)
