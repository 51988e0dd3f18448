"""A finding made smaller: bytes are left out as long as the target goes on to say the same."""

from __future__ import annotations

from collections.abc import Callable


def complaint(run: Callable[[bytes], None], data: bytes) -> str | None:
    """What the target says of these bytes: which exception, and where it was raised. None: nothing."""
    try:
        run(data)
    except Exception as error:
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = "" if at is None else f"{at.tb_frame.f_code.co_qualname}:{at.tb_lineno}"
        return f"{type(error).__name__} in {place}"
    return None


def shrink(run: Callable[[bytes], None], data: bytes) -> bytes:
    """The shortest that is found by leaving out halves, quarters, and in the end single bytes. Raises ValueError where
    the target says nothing of it."""
    wanted = complaint(run, data)
    if wanted is None:
        raise ValueError("the target finds nothing in this input")
    size = len(data)
    while size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size :]
            if complaint(run, shorter) == wanted:
                data = shorter
            else:
                at += size
        size //= 2
    return data
