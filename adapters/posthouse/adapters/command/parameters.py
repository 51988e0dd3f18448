"""From the words of a command line to the `params` of a request: `NAME=TEXT`, `NAME:=JSON`, or one JSON text."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import Final

from msgspec import DecodeError, Raw, json
from posthouse.adapters.terminal import Misuse

PARAMETER: Final = re.compile(r"([^=:\s][^=]*?)(:?)=(.*)", re.DOTALL)

TEXT_HINT: Final = "to pass text without quotes, use NAME=TEXT"


def read_params(words: Sequence[str]) -> bytes | None:
    """The `params` of the request as JSON, or None if there are no words. Raises Misuse."""
    if not words:
        return None
    if len(words) == 1 and (words[0] == "-" or words[0].lstrip()[:1] in ("{", "[")):
        data = _json(_standard_input() if words[0] == "-" else words[0], "the parameters")
        if data.lstrip()[:1] not in (b"{", b"["):
            raise Misuse("the parameters must be a JSON array or object")
        return data
    params: dict[str, Raw] = {}
    for word in words:
        match = PARAMETER.fullmatch(word)
        if match is None:
            hint = "write NAME=TEXT, such as name=Ada, or NAME:=JSON; by position, use one JSON array: '[42, 23]'"
            raise Misuse(f"{word!r} does not say which parameter it is", hint=hint)
        name, is_json, text = match.groups()
        if name in params:
            raise Misuse(f"the parameter {name!r} is given twice")
        params[utf8(name)] = Raw(_json(text, name, TEXT_HINT) if is_json else json.encode(utf8(text)))
    return json.encode(params)


def _standard_input() -> str:
    """The whole standard input. JSON is UTF-8, whatever the locale."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise Misuse(f"standard input is not UTF-8 at byte {error.start}") from None


def _json(text: str, name: str, hint: str = "") -> bytes:
    data = utf8(text).encode()
    try:
        json.decode(data)
    except (DecodeError, RecursionError) as error:
        raise Misuse(f"invalid JSON for {name}: {error}", hint=hint) from None
    return data


def utf8(text: str) -> str:
    """An argument as text. It may hold any bytes, and the locale may not be UTF-8, but JSON is. Raises Misuse."""
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        pass  # the argument has bytes that this locale cannot decode
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        raise Misuse(f"{text!a} is not UTF-8") from None
