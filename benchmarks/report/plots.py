"""The plots of the document, as SVG that is the same for the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.figures import Figures
from benchmarks.servers.catalogue import SERVERS

from .sections import HTTP, NEW_HEADS

COLOURS: Final = {
    "floor": "#8a8a8a",
    "posthouse": "#c0392b",
    "posthouse-uvloop": "#e67e22",
    "posthouse-trio": "#d98880",
    "picows": "#2980b9",
    "ws": "#27ae60",
    "node-http": "#27ae60",
    "starlette": "#8e44ad",
}
STYLE: Final = {"svg.fonttype": "none", "svg.hashsalt": "posthouse", "font.family": "sans-serif", "font.size": 10}


def draw(figures: Figures, folder: Path) -> None:
    """Draw all plots into a folder."""
    folder.mkdir(exist_ok=True)
    with mpl.rc_context(STYLE):
        save(connections(figures), folder / "connections.svg")
        save(curves(figures, "size", "bytes of a request"), folder / "size.svg")
        save(curves(figures, "depth", "calls in flight on each of 8 connections"), folder / "depth.svg")
        save(heads(figures), folder / "heads.svg")


def save(figure: Any, file: Path) -> None:
    """Write one plot, without the date and with no blank at the end of a line."""
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    lines = file.read_text(encoding="utf-8").splitlines()
    file.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


def plain(name: str) -> str:
    """Return a label without Markdown."""
    return SERVERS[name].label.partition(":")[0].replace("*", "").replace("`", "")


def panel(axes: Any, title: str, below: str, lines: dict[str, dict[float, float]]) -> None:
    """Draw lines through points of (x, µs), on logarithmic scales."""
    for name, points in lines.items():
        xs = sorted(points)
        axes.plot(xs, [points[x] for x in xs], marker="o", markersize=4, color=COLOURS[name], label=plain(name))
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    marked = sorted({x for points in lines.values() for x in points})
    axes.set_xticks(marked, [amount(x) for x in marked])
    axes.set_title(title)
    axes.set_xlabel(below)
    axes.set_ylabel("CPU of the server, µs a call")
    axes.grid(True, which="both", alpha=0.2)
    axes.legend(frameon=False)


def amount(value: float) -> str:
    """Return a number of things or bytes for an axis."""
    for size, unit in ((1024 * 1024, " Mi"), (1024, " Ki")):
        if value >= size and value % size == 0:
            return f"{value / size:.0f}{unit}"
    return f"{value:,.0f}"


def connections(figures: Figures) -> Any:
    """Cost against connections."""
    lines: dict[str, dict[float, float]] = {}
    for question, asked in figures.questions.items():
        if question.startswith("connections "):
            for name in asked:
                cost = figures.value(question, name)
                lines.setdefault(name, {})[float(question.split()[1])] = 1e6 * (cost or 0.0)
    figure = Figure(figsize=(8, 4), layout="constrained")
    below = "open connections; up to 64 are active, the others are held"
    panel(figure.add_subplot(), "WebSocket, 80 B, 1 in flight", below, lines)
    return figure


def curves(figures: Figures, what: str, below: str) -> Any:
    """Cost against size or depth, over both transports."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for place, (transport, title) in enumerate((("websocket", "WebSocket"), ("http", "HTTP"))):
        lines: dict[str, dict[float, float]] = {}
        for question, asked in figures.questions.items():
            if not question.startswith(f"growth {transport} "):
                continue
            connected, depth, size = question.split()[2].split("×")
            if (what == "size") != (connected == "16"):
                continue
            for name in asked:
                cost = figures.value(question, name)
                lines.setdefault(name, {})[float(size if what == "size" else depth)] = 1e6 * (cost or 0.0)
        panel(figure.add_subplot(1, 2, place + 1), title, below, lines)
    return figure


def heads(figures: Figures) -> Any:
    """Known and new heads, side by side."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    names = list(figures.questions.get(NEW_HEADS, {}))
    for shift, (question, title, alpha) in enumerate(((HTTP, "known heads", 1.0), (NEW_HEADS, "new heads", 0.5))):
        places = [place + 0.4 * shift for place in range(len(names))]
        costs = [1e6 * (figures.value(question, name) or 0.0) for name in names]
        axes.barh(places, costs, 0.36, label=title, color=[COLOURS[name] for name in names], alpha=alpha)
    axes.set_yticks([place + 0.2 for place in range(len(names))], [plain(name) for name in names])
    axes.invert_yaxis()
    axes.set_xlabel("CPU of the server, µs a call (pale: every head is new)")
    axes.grid(True, axis="x", alpha=0.2)
    return figure
