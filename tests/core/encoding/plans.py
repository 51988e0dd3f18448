"""Reading and sending values of one type, as methods do."""

from __future__ import annotations

from typing import Any

from msgspec import json
from posthouse.core.encoding.compiler import reading, sending
from posthouse.core.encoding.conversion import read_custom, write_custom
from posthouse.core.encoding.faults import explain, reader
from posthouse.core.encoding.ordering import ordered


class Alias:
    """A `type` statement, which Python has since 3.12: its value is evaluated late, so it can contain itself."""

    def __init__(self, name: str, value: Any, *parameters: Any) -> None:
        self.__name__ = name
        self.value = value
        self.__type_params__ = parameters
        self.__parameters__ = parameters

    def __call__(self) -> None:
        """typing wants it of the members of a union."""

    @property
    def __value__(self) -> Any:
        return self.value()


def read(annotation: Any, text: str) -> Any:
    """The value of this JSON."""
    return reader(reading(annotation, "it"))(text.encode())


def faults(annotation: Any, text: str) -> list[tuple[str, str]]:
    """Why this JSON is not read: paths and reasons."""
    return [(fault.path, fault.reason) for fault in explain(reading(annotation, "it"), text.encode())]


def send(annotation: Any, value: Any) -> str:
    """The JSON of this value. Raises if the value is not as declared."""
    plan, _ = sending(annotation, "it")
    data = json.encode(ordered(value if plan.convert is None else plan.convert(value)), enc_hook=write_custom)
    json.decode(data, type=plan.wire, dec_hook=read_custom)
    return data.decode()
