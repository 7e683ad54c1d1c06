"""Whatever Dask hands over gives what the same rows in memory give, or a typed error."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import event, given, settings

from tests.lazy_input import array_programs, arrays, programs, sources

#: Programs that lazy data refuse where rows in memory would do, by what the error says.
REFUSED = {
    "do not belong together": "X and y do not share the shuffle that decides their order",
    "do not come from the same shuffle": "the same, of create_dataset",
    "cannot be stored": "the same as for numbers, of create_dataset",
    "was promised, and its values do not all convert": "create_dataset stores what was promised",
    "is masked": "NumPy would ignore the mask",
    "must be numeric": "Dask makes arrays of objects of frames that mix dtypes",
}
pytestmark = [
    pytest.mark.long,
    # Third parties' warnings.
    pytest.mark.filterwarnings(
        # pandas' own word on .values of nullable columns, which `arrays` asks for.
        "ignore:Dask currently has limited support for converting pandas extension dtypes"
        ":UserWarning",
        # Dask's merge of keys that went through other dtypes.
        "ignore:.*Merging dataframes with merge column data type mismatches:UserWarning",
    ),
]
#: 240 programs in all; 8,000 with HYPOTHESIS_PROFILE=nightly.
N_EXAMPLES = max(settings().max_examples, 60)


def explore(strategy, run, made, n_examples):
    """Run drawn programs, and hold the refusals among them against those that are known."""
    told = Counter()

    @settings(max_examples=n_examples)
    @given(strategy)
    def check(program):
        outcome = run(program, made)
        kind, _, message = outcome.partition(": ")
        event(kind)
        told[kind] += 1
        if kind == "refused":
            assert any(re.search(each, message) for each in REFUSED), message

    check()
    # Dask itself cannot do some of what is drawn; most has to be answered.
    assert told["same"] >= 0.7 * sum(told.values()), told


def frame_programs():
    return programs.frame_programs().filter(programs.is_sensible)


def sensible_array_programs():
    return array_programs.array_programs().filter(array_programs.is_sensible)


@pytest.mark.timeout(240 + 10 * N_EXAMPLES)
def test_frames_on_threads(tmp_path):
    explore(frame_programs(), programs.run, sources.Sources(tmp_path), N_EXAMPLES)


@pytest.mark.timeout(240 + 10 * N_EXAMPLES)
def test_arrays_on_threads(tmp_path):
    explore(sensible_array_programs(), array_programs.run, arrays.Sources(tmp_path), N_EXAMPLES)


@pytest.mark.timeout(240 + 10 * N_EXAMPLES)
def test_frames_on_a_cluster(tmp_path, client):  # noqa: ARG001 - Dask's own default then
    explore(frame_programs(), programs.run, sources.Sources(tmp_path), N_EXAMPLES)


@pytest.mark.timeout(240 + 10 * N_EXAMPLES)
def test_arrays_on_a_cluster(tmp_path, client):
    made = arrays.Sources(tmp_path, client)
    explore(sensible_array_programs(), array_programs.run, made, N_EXAMPLES)
