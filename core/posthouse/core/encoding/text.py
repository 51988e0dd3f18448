"""What is proved of a JSON text from its bytes, so that what is wrong with it as a whole is never built.

That it is UTF-8, and how deep it nests. It may not know JSON-RPC.
"""

from __future__ import annotations

import re
from codecs import utf_8_decode
from functools import cache
from typing import Final

CHUNK: Final = 64 * 1024
"""Bytes that are decoded at a time: a whole text would be held once more, at four bytes a character."""

SMALL: Final = 1024
"""Bytes up to which to count all brackets is cheaper than to find them one by one."""

# Possessive throughout: nothing is tried twice, so that a match takes linear time and no memory. A string that does
# not end is one too: a pattern that failed there would be tried again at each of its bytes.
PLAIN: Final = rb'[^"\[\]{}]++'
STRING: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'


def is_utf8(text: bytes) -> bool:
    """Is all of it UTF-8, without surrogates (RFC 3629 section 3)?"""
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
    """Does this valid JSON nest deeper than `limit` (at most `MAX_PROVABLE_DEPTH` of Config)? `[]` is one deep.

    Three proofs, each for what the one before it leaves open: by length, by the number of brackets, by structure.
    """
    # A level takes two brackets.
    if len(text) <= 2 * limit or _has_few_brackets(text, limit):
        return False
    return _nested(limit).fullmatch(text) is None


def _has_few_brackets(text: bytes, limit: int) -> bool:
    """Are there at most `limit` that could open a level, those inside strings included?"""
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
    """What nests at most `limit` deep: plain bytes, strings, and brackets around what nests at most one less."""
    pattern = rb"(?:%b|%b)*+" % (PLAIN, STRING)
    for _ in range(limit):
        pattern = rb"(?:%b|%b|[\[{]%b[\]}])*+" % (PLAIN, STRING, pattern)
    return re.compile(pattern, re.DOTALL)
