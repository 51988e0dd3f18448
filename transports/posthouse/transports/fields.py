"""Header fields, wherever they are read or written: their characters and their type (RFC 9110 section 5).

This module may not know what a field means.
"""

from __future__ import annotations

import re
from typing import Final

TCHAR: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
TOKEN: Final = TCHAR + rb"++"
"""RFC 9110 section 5.6.2: a method, the name of a field, a part of many values."""

VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
"""RFC 9110 section 5.5: a value with the white space around it. Both patterns are possessive: they never backtrack."""

BARE_LF: Final = re.compile(rb"(?<!\r)\n")
"""An LF without CR. Some readers take it for the end of a line and others do not, so no head may have one."""

EXPOSITION: Final = b"text/plain; version=0.0.4; charset=utf-8"
"""The media type of metrics, as Prometheus reads them."""

Fields = tuple[tuple[bytes, bytes], ...]
"""Names and values, in their order."""
