"""Is each module of core and transports covered, branches too, by its own test file alone?

`python tools/coverage_own.py [module …]`, as `make coverage-own`: exits with 1 and names what is missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RINGS = ("core", "transports")


def covered(source: Path) -> str | None:
    """What is wrong with the coverage of this module by its own test file, or None."""
    ring, _, _, *folders, _ = source.relative_to(ROOT).parts
    own = Path(ROOT, "tests", ring, *folders, f"test_{source.stem}.py")
    if not own.exists():
        return f"{own.relative_to(ROOT)} does not exist"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "COVERAGE_FILE": str(Path(folder) / "coverage")}
        run = ["run", "--branch", f"--source={ring}", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(own)]
        report = ["report", "--fail-under=100", f"--include={source.relative_to(ROOT)}"]
        for arguments in (run, report):
            command = [sys.executable, "-m", "coverage", *arguments]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
            if done.returncode:
                return done.stdout + done.stderr
    return None


def main(names: list[str]) -> int:
    """Look at the modules of these names, or at all."""
    sources = [
        source
        for ring in RINGS
        for source in sorted((ROOT / ring / "posthouse" / ring).rglob("*.py"))
        if source.stem != "__init__" and (not names or source.stem in names)
    ]
    wrong = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for source, complaint in zip(sources, pool.map(covered, sources), strict=True):
            wrong += complaint is not None
            print(f"{source.relative_to(ROOT)}: {'whole' if complaint is None else complaint}", flush=True)
    print(f"{len(sources) - wrong} of {len(sources)} modules are covered by their own test file")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
