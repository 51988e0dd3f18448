"""Words of the command line become the `params` of a request."""

from __future__ import annotations

import sys
from io import BytesIO, TextIOWrapper

import pytest
from posthouse.adapters.command.parameters import read_params
from posthouse.adapters.terminal import Misuse


@pytest.mark.parametrize(
    ("words", "params"),
    [
        ([], None),
        (["name=Ada"], b'{"name":"Ada"}'),
        (["a=1", "b:=1"], b'{"a":"1","b":1}'),
        (["text=a=b:=c"], b'{"text":"a=b:=c"}'),
        (["empty="], b'{"empty":""}'),
        (["a.b-c:=[1, 2]"], b'{"a.b-c":[1, 2]}'),
        (["big:=123456789012345678901234567890"], b'{"big":123456789012345678901234567890}'),
        (["[1, 2]"], b"[1, 2]"),
        ([' {"a": "x=y"}'], b' {"a": "x=y"}'),
    ],
)
def test_words_become_params(words: list[str], params: bytes | None) -> None:
    assert read_params(words) == params


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["42"], "'42' does not say which parameter it is"),
        (["Ada"], "'Ada' does not say which parameter it is"),
        (["=x"], "'=x' does not say"),
        (["[1]", "a=1"], "'[1]' does not say"),
        (["a=1", "a:=2"], "'a' is given twice"),
        (["a:=one"], "invalid JSON for a: "),
        (["[1,"], "invalid JSON for the parameters: "),
        (["[" * 100_000], "invalid JSON for the parameters: "),
        (["a=\udcff"], "is not UTF-8"),
    ],
)
def test_words_that_are_no_params_are_refused(words: list[str], complaint: str) -> None:
    with pytest.raises(Misuse) as refused:
        read_params(words)
    assert complaint in refused.value.text
    assert refused.value.status == 2


def standard_input(data: bytes) -> TextIOWrapper:
    """Standard input in a locale that is not UTF-8."""
    return TextIOWrapper(BytesIO(data), encoding="ascii")


def test_params_come_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", standard_input(b'{"a": 1}\n'))
    assert read_params(["-"]) == b'{"a": 1}\n'
    monkeypatch.setattr(sys, "stdin", standard_input(b"5"))
    with pytest.raises(Misuse, match="must be a JSON array or object"):
        read_params(["-"])
    monkeypatch.setattr(sys, "stdin", standard_input('{"größe": "µ"}'.encode()))
    assert read_params(["-"]) == '{"größe": "µ"}'.encode()
    monkeypatch.setattr(sys, "stdin", standard_input(b'{"a": "\xb5"}'))
    with pytest.raises(Misuse, match="standard input is not UTF-8 at byte 7"):
        read_params(["-"])
