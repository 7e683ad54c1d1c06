"""Files of lines in blocks: each line is in one block, whatever the blocks and the lines are."""

from __future__ import annotations

from unittest import mock

import fsspec
from hypothesis import example, given
from hypothesis import strategies as st

from storage.ingestion import line_blocks
from storage.ingestion.line_blocks import LineBlock, byte_ranges

FILES = fsspec.filesystem("memory")
PATH = "/lines-of-blocks.csv"


@given(
    st.lists(st.sampled_from([b"", b"a", b"bcd", b"efghijklmnop"]), max_size=8).map(b"\n".join),
    st.integers(1, 30),
    st.integers(0, 12),
    st.integers(0, 9),
)
@example(b"a\nb", 2, 0, 0)
@example(b"abcdefgh\nb\n", 3, 2, 0)
def test_each_line_is_in_the_block_that_it_begins_in(text, nbytes, more, header):
    with FILES.open(PATH, "wb") as file:
        file.write(text)
    begin = text.find(b"\n", header) + 1
    try:
        with mock.patch.object(line_blocks, "_MORE", more), FILES.open(PATH, "rb") as file:
            found = [
                bytes(LineBlock(FILES, PATH, start, stop).lines(file, begin))
                for start, stop in byte_ranges(FILES, PATH, nbytes)
            ]
    finally:
        FILES.rm(PATH)
    assert b"".join(found) == text[begin:]
    starts = [0, *(place + 1 for place, byte in enumerate(text) if byte == ord("\n"))]
    for number, lines in enumerate(found):
        begins = [start for start in starts if number * nbytes <= start < (number + 1) * nbytes]
        expected = [text[start : (text.find(b"\n", start) + 1) or None] for start in begins]
        assert lines == b"".join(
            line for start, line in zip(begins, expected, strict=True) if start >= begin
        )
