"""Header fields, wherever they are read or written: their characters and their type (RFC 9110 section 5).

It may not know what a field means, nor where its line ends.
"""

from __future__ import annotations

from typing import Final

TCHAR: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
TOKEN: Final = TCHAR + rb"++"
"""RFC 9110 section 5.6.2: a method, the name of a field, a part of many values."""

VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
"""RFC 9110 section 5.5: a value with the white space around it. Both patterns are possessive: they never backtrack."""

Fields = tuple[tuple[bytes, bytes], ...]
"""Names and values, in their order."""
