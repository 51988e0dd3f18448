"""Checks of a JSON text on its bytes, before anything is built from it: is it UTF-8, and how deep does it nest?"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from functools import cache
from typing import Final

CHUNK: Final = 64 * 1024
"""Bytes that are decoded at a time. Decoding a whole text would need up to four times its memory."""

SMALL: Final = 1024
"""Up to so many bytes, counting all brackets is cheaper than finding them one by one."""

# All quantifiers are possessive: nothing is tried twice, so a match takes linear time and no memory. A string without
# an end matches too, because otherwise the pattern would be tried again at each of its bytes.
PLAIN: Final = rb'[^"\[\]{}]++'
STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'


def is_utf8(text: bytes) -> bool:
    """Is the whole text UTF-8, without surrogates (RFC 3629 section 3)?"""
    if text.isascii():
        return True
    view = memoryview(text)
    at = 0
    while at < len(view):
        try:
            _, taken = utf_8_decode(view[at : at + CHUNK], "strict", at + CHUNK >= len(view))
        except UnicodeDecodeError:
            return False
        at += taken
    return True


def nests_deeper(text: bytes, limit: int) -> bool:
    """Does this valid JSON nest deeper than `limit` (at most `MAX_PROVABLE_DEPTH` of Config)? `[]` has depth 1.

    Three checks, the cheapest first: by length (a level takes two brackets), by number of brackets, by structure.
    """
    if len(text) <= 2 * limit or _has_few_brackets(text, limit):
        return False
    return _nested(limit).fullmatch(text) is None


def _has_few_brackets(text: bytes, limit: int) -> bool:
    """Are there at most `limit` opening brackets, including those inside strings?"""
    if len(text) <= SMALL:
        return text.count(b"[") + text.count(b"{") <= limit
    for bracket in (b"[", b"{"):
        at = text.find(bracket)
        while at >= 0:
            if limit == 0:
                return False
            limit -= 1
            at = text.find(bracket, at + 1)
    return True


@cache
def _nested(limit: int) -> re.Pattern[bytes]:
    """A pattern for texts of depth `limit` at most: plain bytes, strings, and brackets around a text of lower depth."""
    pattern = rb"(?:%b|%b)*+" % (PLAIN, STRING)
    for _ in range(limit):
        pattern = rb"(?:%b|%b|[\[{]%b[\]}])*+" % (PLAIN, STRING, pattern)
    return re.compile(pattern, re.DOTALL)
