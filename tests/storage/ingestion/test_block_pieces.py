"""Rows that lie in files are encoded block by block, whatever the partitions and blocks are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import storage
from storage import appending, create
from storage.ingestion import first_pass
from storage.ingestion.block_pieces import block_parts
from storage.ingestion.lazy_rows import LazyRows
from storage.layout import row_chunks

LENGTHS = st.lists(st.integers(0, 9), max_size=6)
N = 300


@given(LENGTHS, st.integers(0, 5), st.lists(st.integers(1, 9), max_size=9))
@example([3, 0, 4], 0, [2, 5])
@example([3, 4], 2, [1, 1, 9])
def test_blocks_have_all_rows_in_their_order(n_kept, first, blocks):
    rows = [LazyRows(print, (number,)) for number in range(len(n_kept))]
    ends = np.cumsum(blocks, dtype=int).tolist()
    found = [*block_parts(rows, n_kept, first, ends)]
    places = [
        [(part.rows.inputs[0], row) for part in parts for row in range(part.start, part.stop)]
        for parts in found
    ]
    in_order = [(number, row) for number, n in enumerate(n_kept) for row in range(n)]
    assert [place for each in places for place in each] == in_order
    last = first + sum(n_kept)
    inside = sorted({end for end in ends if first < end < last})
    expected = np.diff([first, *inside, last]).tolist() if last > first else []
    assert [len(each) for each in places] == expected
    assert [sum(part.n_rows for part in parts) for parts in found] == expected


@pytest.fixture
def writings(monkeypatch):
    """The chunks of the rows of X that are written, and those of the blocks, of each writing."""
    found = []
    for module in (create, appending):
        write = module.write_arrays

        def watched(arrays, writers, *rest, write=write, **options):
            writer = writers["X"]
            blocks = row_chunks(writer.layout, writer.block_rows, writer.first_row)[0]
            found.append((arrays["X"].chunks[0], blocks))
            return write(arrays, writers, *rest, **options)

        monkeypatch.setattr(module, "write_arrays", watched)
    return found


@pytest.mark.parametrize("options", [
    {}, {"dtype": "float32"}, {"expected_rows": 10_000}, {"rows": storage.HashSplit("a", 0, 0.7)},
    {"columns": {"a": storage.Column(maximum=20, out_of_range="drop")}},
])  # fmt: skip
def test_pieces_are_the_blocks_that_are_written(tmp_path, writings, options, monkeypatch):
    texts = [f"{row / 8},{'uvw'[row % 3]},{row % 2}\n" for row in range(N)]
    for name, some in (("a", texts[: N // 2]), ("b", texts[N // 2 :])):
        (tmp_path / f"{name}.csv").write_text("a,b,y\n" + "".join(some))
    source = [tmp_path / "a.csv", tmp_path / "b.csv"]
    sizes = {"chunk_nbytes": 700, "block_nbytes": 2100, "partition_nbytes": 900}
    data = storage.ingest(source, tmp_path / "d", target="y", **sizes, **options)
    newer = storage.append(data, source)
    assert len(writings) == 2
    for pieces, blocks in writings:
        assert pieces == blocks
        assert len(blocks) > 3
    assert newer.n_samples == 2 * data.n_samples
    # In memory, pieces are those of the partitions.
    monkeypatch.setattr(first_pass, "_FILE_NBYTES", 0)
    other = storage.ingest(source, tmp_path / "e", target="y", **sizes, **options)
    other = storage.append(other, source)
    assert writings[2][0] != writings[2][1]
    for name in ("X", "y"):
        expected, found = (getattr(each, name).compute() for each in (other, newer))
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
