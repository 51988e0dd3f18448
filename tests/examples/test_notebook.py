"""The notebook: its cells run one after the other in a loop that runs already, as Jupyter runs them."""

from __future__ import annotations

import ast
import asyncio
import json
from inspect import isawaitable
from typing import Any

from tests.adapters.loopback import PATIENCE

from .processes import EXAMPLES

TOP_LEVEL_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


async def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run one cell. Returns the value of the expression at its end."""
    tree = ast.parse(source)
    if isinstance(tree.body[-1], ast.Expr):
        shown = ast.Assign([ast.Name("_shown", ast.Store())], tree.body[-1].value)
        tree.body[-1] = ast.fix_missing_locations(ast.copy_location(shown, tree.body[-1]))
    names["_shown"] = None
    running = eval(compile(tree, "cell", "exec", flags=TOP_LEVEL_AWAIT), names)
    if isawaitable(running):
        await running
    return names["_shown"]


def test_the_cells_serve_call_and_shut_down() -> None:
    cells = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]
    shown: list[Any] = []

    async def notebook() -> None:
        names: dict[str, Any] = {}
        async with asyncio.timeout(PATIENCE):
            for cell in cells:
                if cell["cell_type"] == "code":
                    shown.append(await run_cell("".join(cell["source"]), names))

    asyncio.run(notebook())
    assert shown[0] is None
    assert shown[1].startswith("http://127.0.0.1:")
    assert shown[2:] == [3.0, None]
