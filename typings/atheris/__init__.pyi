from collections.abc import Callable
from contextlib import AbstractContextManager

def instrument_imports(include: list[str] = ...) -> AbstractContextManager[None]: ...
def Setup(  # noqa: N802
    args: list[str],
    test_one_input: Callable[[bytes], None],
    *,
    custom_mutator: Callable[[bytes, int, int], bytes] = ...,
) -> list[str]: ...
def Mutate(data: bytes, max_size: int) -> bytes: ...  # noqa: N802
def Fuzz() -> None: ...  # noqa: N802
