"""Whatever Dask hands over gives what the same rows in memory give, or a typed error."""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict

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
#: Programs of each consumer of each kind, of which there are 94: 240 programs in all; 7,500 with
#: HYPOTHESIS_PROFILE=nightly.
NIGHTLY = None if settings().derandomize else settings().max_examples // len(CONSUMERS)
ON_THREADS, ON_A_CLUSTER = NIGHTLY or 3, NIGHTLY or 2
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(300 + 10 * (NIGHTLY or 0)),
    # Third parties' warnings.
    pytest.mark.filterwarnings(
        # pandas' own word on .values of nullable columns, which `arrays` asks for.
        "ignore:Dask currently has limited support for converting pandas extension dtypes"
        ":UserWarning",
        # Dask's merge of keys that went through other dtypes.
        "ignore:.*Merging dataframes with merge column data type mismatches:UserWarning",
    ),
]


@pytest.fixture(scope="module")
def outcomes():
    """Count what comes of the programs of each test: most have to be answered."""
    told = defaultdict(Counter)
    yield told
    for name, counts in told.items():
        n_programs = sum(counts.values())
        # Dask itself cannot do some of what is drawn. (A few programs are no share of all.)
        assert n_programs < len(CONSUMERS) or counts["same"] >= 0.7 * n_programs, (name, counts)


@pytest.fixture
def explore(request, outcomes):
    """Run drawn programs, and hold the refusals among them against those that are known."""
    name = request.function.__name__
    told = outcomes[name]

    def explore(strategy, run, made, n_examples):
        @settings(max_examples=n_examples)
        @given(strategy)
        def check(program):
            outcome = run(program, made)
            kind, _, message = outcome.partition(": ")
            event(kind)
            told[kind] += 1
            if kind == "refused":
                assert any(re.search(each, message) for each in REFUSED), message

        if settings().derandomize:  # it would draw the same for all consumers
            check = seed(zlib.crc32(request.node.name.encode()))(check)
        check()

    return explore


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    return sources.Sources(tmp_path_factory.mktemp("frames"))


def frame_programs(consumer):
    return programs.frame_programs(consumer).filter(programs.is_sensible)


def sensible_array_programs(consumer):
    return array_programs.array_programs(consumer).filter(array_programs.is_sensible)


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_frames_on_threads(explore, frames, consumer):
    explore(frame_programs(consumer), programs.run, frames, ON_THREADS)


@pytest.mark.parametrize("consumer", array_programs.NUMERIC)
def test_arrays_on_threads(explore, tmp_path, consumer):
    made = arrays.Sources(tmp_path)
    explore(sensible_array_programs(consumer), array_programs.run, made, ON_THREADS)


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.usefixtures("client")  # Dask's own default then
def test_frames_on_a_cluster(explore, frames, consumer):
    explore(frame_programs(consumer), programs.run, frames, ON_A_CLUSTER)


@pytest.mark.parametrize("consumer", array_programs.NUMERIC)
def test_arrays_on_a_cluster(explore, tmp_path, client, consumer):
    made = arrays.Sources(tmp_path, client)
    explore(sensible_array_programs(consumer), array_programs.run, made, ON_A_CLUSTER)
