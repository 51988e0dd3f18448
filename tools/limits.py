"""Draw the text about each limit that `pydoc posthouse.core.Config` shows: `python tools/limits.py`, as `make limits`.

`docs/limits.md` is the source: its tables have the unit, the default and the effect of a breach of each field.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import wrap
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs" / "limits.md"
MODULE: Final = ROOT / "core" / "posthouse" / "core" / "values" / "limits.py"

HEADER: Final = '''\
"""What each limit of Config counts, its default, and what a breach does: the text for `pydoc posthouse.core.Config`.

`make limits` draws this file from the tables in docs/limits.md, and a test compares them.
"""

from typing import Final

LIMITS: Final = """\\
'''

WIDTH: Final = 100


def module() -> str:
    """The whole text of the module."""
    return "".join((HEADER, *(f"{line}\n" for line in lines()), '"""\n'))


def lines() -> Iterator[str]:
    """The limits, section by section: `name = default: unit`, and below it what a breach does."""
    page = PAGE.read_text(encoding="utf-8")
    for section in page.split("\n## Limits\n")[1].split("\n## ")[0].split("\n### ")[1:]:
        title, *rest = section.splitlines()
        yield ""
        yield title
        for row in (line for line in rest if line.startswith("| `")):
            name, default, unit, breach = (cell.strip().replace("`", "") for cell in row.strip("|").split("|"))
            yield from wrap(f"{name} = {default}: {unit}", WIDTH, initial_indent="  ", subsequent_indent="      ")
            yield from wrap(breach, WIDTH, initial_indent="      ", subsequent_indent="      ")


if __name__ == "__main__":
    MODULE.write_text(module(), encoding="utf-8")
