"""The counts of partitions, joined in a tree: the counts of all rows, in little memory."""

from __future__ import annotations

from dataclasses import replace

import dask
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import storage
from storage.ingestion import first_pass
from storage.ingestion.checked_rows import CheckedRows
from storage.ingestion.first_pass import count_and_keep
from storage.ingestion.joined_tallies import joined
from storage.ingestion.lazy_rows import LazyRows
from storage.ingestion.number_tally import ColumnSketches
from storage.ingestion.rows import Rows
from storage.ingestion.tally import Tally, tally_rows
from storage.quantiles import quantiles_of

PLAN = {
    "x": storage.Column("number", minimum=-1, out_of_range="drop"),
    "kind": storage.Column("category", max_categories=3),
    "flag": storage.Column("boolean", unparsable="missing"),
}
CELLS = {
    "x": st.sampled_from(["-3", "0.5", "7", None]),
    "kind": st.sampled_from([*"abcde", None]),
    "flag": st.sampled_from(["true", "no", "?", None]),
}


def tally_of(table, file):
    rows = Rows(table, file, "line", table.num_rows + 1, first=1)
    return tally_rows(PLAN, (), rows, CheckedRows.of(PLAN, (), table, file))


@st.composite
def tallies(draw):
    parts = draw(st.lists(st.tuples(st.integers(0, 4), st.sampled_from("fg")), min_size=1,
                          max_size=9))  # fmt: skip
    parts.sort(key=lambda part: part[1])  # partitions of a file are neighbours
    return [
        tally_of(
            pa.table({name: pa.array(draw(st.lists(cell, min_size=n_rows, max_size=n_rows)),
                                     pa.string()) for name, cell in CELLS.items()}),
            file,
        )
        for n_rows, file in parts
    ]  # fmt: skip


def without_summary(tally):
    return repr(replace(tally, numbers=replace(tally.numbers, summary=None)))


@given(tallies(), st.data())
def test_groups_are_joined_as_all_partitions_are(parts, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(parts)), max_size=3)))
    groups = [
        parts[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(parts)], strict=True)
    ]
    found = joined([joined(group, PLAN) for group in groups if group], PLAN)
    expected = joined(parts, PLAN)
    if any(each.crowded for each in expected.columns.values()):
        # The categories of a column with too many are an error; their counts are not complete.
        assert found.columns["kind"].crowded
        assert [*found.columns["kind"].categories] == [*expected.columns["kind"].categories]
        columns = {**expected.columns, "kind": found.columns["kind"]}
        expected = replace(expected, columns=columns)
    assert without_summary(found) == without_summary(expected)
    summary, whole = found.numbers.summary_of("x"), expected.numbers.summary_of("x")
    assert (summary is None) == (whole is None)
    if summary is not None:
        for name in ("count", "mean", "squares", "low", "high"):
            np.testing.assert_allclose(getattr(summary, name), getattr(whole, name), rtol=1e-12)


def sketches_in(value):
    if isinstance(value, Tally):
        return len(value.numbers.sketches)
    if type(value) is tuple:  # a tally of each split
        return sum(map(sketches_in, value))
    return int(isinstance(value, ColumnSketches))


@pytest.mark.parametrize("n_partitions", [1, 64, 65, 700])
def test_few_sketches_reach_this_process_and_their_error_is_bounded(n_partitions, monkeypatch):
    n_rows = 300
    values = np.random.default_rng(0).normal(size=(n_partitions, n_rows))
    received, compute = [], first_pass.compute

    def watched(*collections):
        found = compute(*collections)
        received.append(sum(map(sketches_in, found)))
        return found

    monkeypatch.setattr(first_pass, "compute", watched)
    rows = [
        LazyRows(lambda part=part: Rows(pa.table({"x": part}), "f", "row", n_rows))
        for part in values
    ]
    with dask.config.set(scheduler="synchronous"):
        [tally], [n_kept], kept = count_and_keep(rows, (), {"x": storage.Column("number")}, ())
    assert n_kept == (n_rows,) * n_partitions
    assert not kept
    assert received == [min(n_partitions, {65: 2, 700: 11}.get(n_partitions, 64))]
    shares = (0.01, 0.25, 0.5, 0.99)
    quantiles = quantiles_of(tally.numbers.sketches_of("x"), shares)
    assert quantiles.error <= (1 if n_partitions <= 64 else 2) / 256
    for share, value in zip(shares, quantiles.values, strict=True):
        assert np.mean(values <= value) >= share - quantiles.error
        assert np.mean(values < value) < share + quantiles.error


def test_no_partitions_have_empty_counts():
    found = count_and_keep([], (), {"x": storage.Column("number")}, ())
    assert ([each.n_rows for each in found.tallies], found.n_kept) == ([0], ((),))
