"""Header lines for property tests of heads: plain ones, and those that a parser must look at."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

LINES: Final = st.lists(
    st.sampled_from(
        [
            b"Host: a",
            b"Host: ",
            b"X: y",
            b"X:\t\xff ",
            b"Connection: close",
            b"Expect: 100-continue",
            b"Upgrade: x",
            b"Content-Length: 2",
            b"Content-Length: 02",
            b"Content-Length: 2,2",
            b"content-length:\t3",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip",
            b"X y",
            b" folded",
            b"X: \x0b",
            b"",
        ]
    ),
    max_size=5,
)
