"""The pages form a whole: every link leads somewhere, and every page can be found from the first one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .pages import FENCE, PAGES, ROOT, name

LINK = re.compile(r"\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(page: Path) -> list[str]:
    """The links of a page to files of this repository."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = [first or second for first, second in LINK.findall(text)]
    return [link for link in found if not link.startswith(("http://", "https://"))]


def anchors(page: Path) -> set[str]:
    """The names by which the headings of a page can be linked to."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES, ids=map(name, PAGES))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_is_in_the_list_of_pages() -> None:
    first = ROOT / "docs" / "README.md"
    listed = {(first.parent / link.partition("#")[0]).resolve() for link in links(first)}
    assert [name(page) for page in PAGES if page not in listed and page != first] == []
