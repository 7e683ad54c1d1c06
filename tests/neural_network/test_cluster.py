"""Perceptrons on worker processes: the bits of threads, whoever dies; errors from afar."""

from __future__ import annotations

import os
import signal
from functools import cache
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client

from dlbd_estimators.engine import task_results
from dlbd_estimators.exceptions import BlockTooLarge, Diverged, NonFiniteValues, WorkersLost
from tests.blocks.test_dask_blocks import never
from tests.engine.test_cluster import assert_same_bits, own_cluster, scheduler_keys
from tests.inputs import flat, in_chunks, perceptron, task

ROWS = 50
CASES = {
    "one": {},
    "several fills": {"buffer_size": 2 * 2 * ROWS * 5 * 8},
    "several rounds": {"buffer_size": 2 * ROWS * 5 * 8},
    "two replicas": {"n_replicas": 2, "solver": "sgd"},
    "three replicas": {"n_replicas": 3, "outer_momentum": 0.9, "outer_learning_rate": 0.7},
    "early stopping": {"n_replicas": 2, "early_stopping": True},
    "passes": {"solver": "lbfgs"},
    "dropout": {"n_replicas": 2, "dropout": 0.3, "clip_norm": 1.0, "learning_rate": "cosine"},
}

# All fits are cut short: bits are the same from the first epoch.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def data(kind="classes"):
    return in_chunks(ROWS, *task(kind, n=1000))


def fit(*arrays, kind="classes", **options):
    return perceptron(kind, **{"max_iter": 2, "batch_size": 20, **options}).fit(*arrays)


def bits(model):
    return np.concatenate([flat(model), model.loss_curve_, model.validation_scores_ or []])


@cache
def expected(names=tuple(CASES)):
    """What threads of this process find."""
    with dask.config.set(scheduler="threads"):
        return [bits(fit(*data(), **CASES[name])) for name in names]


def found(*arrays):
    return [bits(fit(*arrays, **options)) for options in CASES.values()]


@pytest.mark.usefixtures("client")
def test_the_cluster_gives_the_bits_of_threads():
    assert_same_bits(found(*data()), expected())


def test_one_worker_of_two_threads_gives_the_same_bits(tmp_path):
    with own_cluster(1, tmp_path, threads=2):
        mine = found(*data())
    assert_same_bits(mine, expected())


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("name", CASES)
def test_persisted_arrays_give_the_same_bits(name):
    X, y = (array.persist() for array in data())
    assert_same_bits([bits(fit(X, y, **CASES[name]))], expected((name,)))


def test_tasks_have_names_that_people_recognise(client):
    before = set(scheduler_keys(client))
    fit(*data(), n_replicas=2, early_stopping=True, max_iter=1)
    mine = [key for key in scheduler_keys(client) if key not in before]
    assert all(key.startswith("mlpclassifier-") for key in mine)
    assert any(key.startswith("mlpclassifier-validation-") for key in mine)
    for number in range(2):
        turns = [key for key in mine if f"-replica-{number}-" in key]
        assert len(turns) == 1
        assert turns[0].startswith("mlpclassifier-epoch-1-round-1-")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("n_replicas", [1, 2])
def test_errors_come_from_afar_with_their_place(n_replicas):
    X, y = data("number")
    bad = da.where((da.arange(1000, chunks=ROWS) == 432)[:, None] & (da.arange(5) == 3), np.nan, X)
    with pytest.raises(
        NonFiniteValues, match=r"X contains NaN at row 32 of block 8 \(rows 400 to 450\), column 3"
    ):
        fit(bad, y, kind="number", n_replicas=n_replicas)
    with pytest.raises(
        Diverged, match=r"epoch 1, round 1 of 1: .*learning_rate_init=\S+ instead of 1e\+06"
    ):
        fit(X, y, kind="number", n_replicas=n_replicas, solver="sgd", learning_rate_init=1e6)


@pytest.mark.usefixtures("client")
def test_a_buffer_too_large_is_refused_before_anything_is_read():
    X = da.zeros((10**7, 20), chunks=(5 * 10**5, 20)).map_blocks(never, meta=np.empty((0, 0)))
    y = da.zeros(10**7, chunks=5 * 10**5).map_blocks(never, meta=np.empty(0))
    with pytest.raises(BlockTooLarge, match=r"takes 1526 MiB.*Give buffer_size=\d+ or less"):
        fit(X, y, kind="number", buffer_size="4 GiB")


def test_arrays_in_memory_stay_in_this_process(client: Client):
    before = len(scheduler_keys(client))
    X, y = task("classes")
    fit(X, y).predict(X)
    assert len(scheduler_keys(client)) == before


@pytest.fixture
def four(tmp_path_factory):
    """A client of four workers that may be killed."""
    with own_cluster(4, tmp_path_factory.mktemp("four")) as client:
        yield client


def allow_failures(client, number):
    """So many workers may die of a task before it is called the culprit."""

    def set_limit(dask_scheduler):
        dask_scheduler.allowed_failures = number

    client.run_on_scheduler(set_limit)


@pytest.mark.usefixtures("four")
def test_four_workers_give_the_same_bits():
    assert_same_bits(found(*data()), expected())


class _Kills:
    """Ends its process once, in the middle of the reads that it counts in a directory."""

    def __init__(self, directory, reads):
        self.directory = str(directory)
        self.reads = reads

    def __call__(self, block):
        place = Path(self.directory)
        (place / f"{len(list(place.iterdir()))}-{os.getpid()}-{block.ravel()[:1]}").touch()
        if len(list(place.iterdir())) > self.reads and not (place / "killed").exists():
            (place / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return block


@pytest.mark.parametrize(
    ("name", "reads", "allowed"),
    [("several fills", 27, 3), ("early stopping", 47, 0)],  # both in the second epoch
)
def test_a_worker_killed_in_the_middle_of_a_round_changes_no_bit(
    name, reads, allowed, four, tmp_path
):
    X, y = data()
    allow_failures(four, allowed)
    deadly = X.map_blocks(_Kills(tmp_path, reads), meta=np.empty((0, 0)))
    mine = bits(fit(deadly, y, **CASES[name]))
    assert (tmp_path / "killed").exists()
    assert_same_bits([mine], expected((name,)))


def _fatal(block, block_info=None):
    if block_info[0]["chunk-location"][0] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return block


def test_blocks_among_which_one_kills_every_worker_are_named_in_the_end(four, monkeypatch):
    monkeypatch.setattr(task_results, "_BLOCK_DEATHS", 1)  # four take half a minute
    allow_failures(four, 0)
    X, y = in_chunks(50, *task("number", n=200))
    deadly = X.map_blocks(_fatal, meta=np.empty((0, 0)))
    with pytest.raises(WorkersLost, match=r"the blocks \[(2, \d|\d, 2)\] of replica \d, even"):
        fit(deadly, y, kind="number", n_replicas=2)
