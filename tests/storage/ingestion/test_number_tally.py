"""Statistics of several columns in a few arrays: the same as of each column alone."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.ingestion import number_tally
from storage.ingestion.number_tally import NumberTally
from storage.quantiles import N_RUNS, QuantileSketch
from storage.summary import Summary, summary_of


@st.composite
def partitions(draw):
    """Columns of the same names in several partitions, some without rows or values."""
    names = [*"abc"[: draw(st.integers(1, 3))]]
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    lengths = draw(st.lists(st.sampled_from([0, 1, 7, N_RUNS, 1000]), min_size=1, max_size=9))
    found = []
    for n in lengths:
        columns = {name: rng.normal(size=n) for name in names}
        for values in columns.values():
            values[rng.random(n) < draw(st.sampled_from([0, 0, 0.3, 1]))] = np.nan
        found.append(columns)
    return names, found


def joined_summaries(summaries):
    total = None
    for each in summaries:
        if each is not None:
            total = each if total is None else total.joined(each)
    return total


def summary_alone(group):
    """The summary of some partitions of one column."""
    return joined_summaries(summary_of(each[:, None]) for each in group if len(each))


def sketches_alone(groups, most):
    """The sketches of groups of partitions of one column."""
    groups = [[QuantileSketch.of(each) for each in group] for group in groups]
    if sum(map(len, groups)) <= most:
        return [each for group in groups for each in group]
    return [QuantileSketch.joined(group) if len(group) > 1 else group[0] for group in groups]


def check_same(found, expected):
    assert (found is None) == (expected is None)
    for name, value in vars(expected).items() if expected is not None else ():
        np.testing.assert_array_equal(getattr(found, name), value, err_msg=name)


@given(partitions(), st.integers(1, 9), st.integers(1, 9))
def test_each_column_has_the_bits_of_its_own_statistics(drawn, in_group, most):
    names, parts = drawn
    groups = [parts[start : start + in_group] for start in range(0, len(parts), in_group)]
    tallies = [NumberTally.joined([*map(NumberTally.of, group)]) for group in groups]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(number_tally, "_MAX_SKETCHES", most)
        total = pickle.loads(pickle.dumps(NumberTally.joined(tallies)))
    for name in names:
        alone = [[each[name] for each in group] for group in groups]
        check_same(total.summary_of(name), joined_summaries(map(summary_alone, alone)))
        pairs = zip(total.sketches_of(name), sketches_alone(alone, most), strict=True)
        for found, expected in pairs:
            check_same(found, expected)


def test_columns_without_numbers_have_no_summary():
    assert NumberTally.of({}).summary_of("a") is None
    empty = NumberTally.joined([NumberTally.of({"a": np.empty(0)})] * 2)
    assert empty.summary_of("a") is None
    assert [each.count for each in empty.sketches_of("a")] == [0, 0]
    assert NumberTally.joined([]) == NumberTally()
    some = NumberTally.joined([empty, NumberTally.of({"a": np.array([3.0])})])
    assert isinstance(some.summary_of("a"), Summary)
    assert some.summary_of("b") is None
