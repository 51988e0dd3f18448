"""The part of zope.interface that an example uses: it ships no types."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

def implementer(*interfaces: object) -> Callable[[T], T]: ...
