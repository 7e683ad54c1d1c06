"""Whatever Dask hands over gives what the same rows in memory give, or a typed error."""

from __future__ import annotations

import re
import zlib
from collections import Counter

import pytest
from hypothesis import event, given, seed, settings

from tests.lazy_input import array_programs, arrays, programs, sources
from tests.lazy_input.consumers import CONSUMERS

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
    pytest.mark.timeout(600 if settings().derandomize else 20_000),
    # Third parties' warnings.
    pytest.mark.filterwarnings(
        # pandas' own word on .values of nullable columns, which `arrays` asks for.
        "ignore:Dask currently has limited support for converting pandas extension dtypes"
        ":UserWarning",
        # Dask's merge of keys that went through other dtypes.
        "ignore:.*Merging dataframes with merge column data type mismatches:UserWarning",
    ),
]
#: Programs of each consumer: 240 in all; 8,000 with HYPOTHESIS_PROFILE=nightly.
NIGHTLY = None if settings().derandomize else settings().max_examples // len(CONSUMERS)


def explore(strategy, consumers, run, made, n_examples):
    """Run drawn programs of each consumer, and hold the refusals against those that are known."""
    told = Counter()
    for consumer in consumers:

        @settings(max_examples=NIGHTLY or n_examples)
        @given(strategy(consumer))
        def check(program):
            outcome = run(program, made)
            kind, _, message = outcome.partition(": ")
            event(kind)
            told[kind] += 1
            if kind == "refused":
                assert any(re.search(each, message) for each in REFUSED), message

        if settings().derandomize:  # it would draw the same sources and operations for all
            check = seed(zlib.crc32(consumer.encode()))(check)
        check()
    # Dask itself cannot do some of what is drawn; most has to be answered.
    assert told["same"] >= 0.7 * sum(told.values()), told


def frame_programs(consumer):
    return programs.frame_programs(consumer).filter(programs.is_sensible)


def sensible_array_programs(consumer):
    return array_programs.array_programs(consumer).filter(array_programs.is_sensible)


def test_frames_on_threads(tmp_path):
    explore(frame_programs, CONSUMERS, programs.run, sources.Sources(tmp_path), n_examples=3)


def test_arrays_on_threads(tmp_path):
    made = arrays.Sources(tmp_path)
    explore(sensible_array_programs, array_programs.NUMERIC, array_programs.run, made, n_examples=3)


def test_frames_on_a_cluster(tmp_path, client):  # noqa: ARG001 - Dask's own default then
    explore(frame_programs, CONSUMERS, programs.run, sources.Sources(tmp_path), n_examples=2)


def test_arrays_on_a_cluster(tmp_path, client):
    made = arrays.Sources(tmp_path, client)
    explore(sensible_array_programs, array_programs.NUMERIC, array_programs.run, made, n_examples=2)
