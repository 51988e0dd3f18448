"""Markdown tables, and numbers as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table. The first column is aligned left, the others right. Without rows: nothing."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    if not lines:
        return ""
    return "\n".join([f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}", *lines])


def microseconds(seconds: float | None) -> str:
    """Return a cost for reading."""
    if seconds is None:
        return ""
    value = seconds * 1e6
    return f"{value:.2f} µs" if value < 10 else f"{value:.1f} µs" if value < 100 else f"{value:,.0f} µs"


def milliseconds(seconds: float | None) -> str:
    """Return a latency for reading."""
    return "" if seconds is None else f"{seconds * 1e3:.2f} ms"


def times(ratio: float | None) -> str:
    """Return a ratio for reading."""
    return "" if ratio is None else f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def percent(share: float | None) -> str:
    """Return a share for reading."""
    return "" if share is None else f"{share:.0%}"
