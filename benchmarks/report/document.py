"""The section of docs/performance.md that is drawn from figures, and the file around it.

python -m benchmarks.report.document    # draws it again from docs/performance/figures.json
"""

from __future__ import annotations

from typing import Final

from benchmarks import environment
from benchmarks.figures import Figures, read
from benchmarks.servers.host import ROOT

from . import sections
from .targets import targets

DOCUMENT: Final = ROOT / "docs" / "performance.md"
PLOTS: Final = ROOT / "docs" / "performance"
BEGIN: Final = "<!-- figures:begin -->"
END: Final = "<!-- figures:end -->"


def text(figures: Figures) -> str:
    """Return all tables of these figures. Parts without figures are left out."""
    parts = (
        ("", sections.summary(figures)),
        ("## A call over a WebSocket", sections.calls(figures, sections.WS)),
        ("Other shapes: the floor in µs, the others in relation to it.", sections.shapes(figures, "websocket")),
        ("## A call over HTTP", sections.calls(figures, sections.HTTP)),
        ("Other shapes: the floor in µs, the others in relation to it.", sections.shapes(figures, "http")),
        ("## As an ASGI application", sections.hosted(figures)),
        ("## How the cost grows", plots(figures)),
        ("## Connections, broadcasts and latency", sections.opening(figures)),
        ("", idle(figures)),
        ("", sections.broadcast(figures)),
        ("", sections.latency(figures)),
        ("## Without sockets", sections.core(figures)),
        ("", sections.simulation(figures)),
        ("## Sessions in a file", sections.stores(figures)),
        ("## Where the time goes", sections.shares(figures)),
        ("## Targets", targets(figures)),
        ("## Machine and versions", sections.versions(figures)),
    )
    return "\n\n".join("\n\n".join(filter(None, (head, body))) for head, body in parts if body)


def plots(figures: Figures) -> str:
    """Return the links to the plots."""
    if not any(question.startswith("growth ") for question in figures.questions):
        return ""
    return "\n\n".join(f"![{alternative}](performance/{name}.svg)" for name, alternative in PICTURES.items())


PICTURES: Final = {
    "connections": "CPU time of a call over a WebSocket against the number of connections",
    "size": "CPU time of a call against the size of its message",
    "depth": "CPU time of a call against the number of calls in flight on each connection",
    "heads": "CPU time of a call over HTTP with known and with new heads",
}


def idle(figures: Figures) -> str:
    """Return the sentence about many idle connections."""
    share, number = (figures.value("idle", "posthouse", quantity) for quantity in ("share", "held"))
    if share is None or number is None:
        return ""
    return f"{number:,.0f} idle WebSockets, with their heartbeats, take {share:.1%} of a core."


def write(figures: Figures) -> None:
    """Put the tables between the markers of the document, and draw the plots."""
    from .plots import draw

    draw(figures, PLOTS)
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{text(figures)}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    environment.enter([], "benchmarks.report.document")
    write(read())
