"""The part of a document that a command writes: what stands between two comments that name it.

<!-- NAME:begin -->
<!-- NAME:end -->
"""

from __future__ import annotations

from pathlib import Path


def read(document: Path, name: str) -> str:
    """What stands between the marks, without the empty lines around it. ValueError unless each mark is there once."""
    return _parts(document, name)[1].strip("\n")


def write(document: Path, name: str, section: str) -> None:
    """Put `section` between the marks. ValueError unless each mark is there once."""
    before, _, after = _parts(document, name)
    document.write_text(f"{before}\n\n{section}\n\n{after}", encoding="utf-8")


def _parts(document: Path, name: str) -> tuple[str, str, str]:
    """The text up to the first mark and with it, between them, and from the second one on."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = document.read_text(encoding="utf-8")
    if (text.count(begin), text.count(end)) != (1, 1) or text.index(end) < text.index(begin):
        raise ValueError(f"{document} must have the marks {begin} and {end}, each once and in this order")
    before, rest = text.split(begin)
    between, after = rest.split(end)
    return before + begin, between, end + after
