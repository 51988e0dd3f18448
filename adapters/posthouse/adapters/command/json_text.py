"""JSON texts for a terminal."""

from __future__ import annotations

import re
from typing import Final

from msgspec import json

INVISIBLE: Final = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that JSON may hold unescaped but a terminal may obey: controls of ISO 6429, and marks that reorder or hide
text."""


def json_text(data: bytes, *, indent: bool = False) -> str:
    """Format JSON on one line or indented. Numbers keep their digits, and members their order.

    Control characters and invisible characters are escaped as JSON escapes them, so that the value stays the same.
    """
    text = json.format(data, indent=2 if indent else 0).decode("utf-8", "backslashreplace")
    return INVISIBLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
