"""What a header field is made of, wherever one is read or written: characters and a type (RFC 9110 section 5).

It may not know what a field means, nor where a line of it ends.
"""

from __future__ import annotations

from typing import Final

TCHAR: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
TOKEN: Final = TCHAR + rb"++"
"""RFC 9110 section 5.6.2: a method, the name of a field, and much that stands in values."""

VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
"""RFC 9110 section 5.5: a value, and the white space around it. Neither pattern gives back what it took."""

Fields = tuple[tuple[bytes, bytes], ...]
"""Names and values, in their order."""
