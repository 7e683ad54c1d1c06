"""Passes on real worker processes: same bits, few tasks, survived deaths, errors with a place."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.utils import key_split

from dlbd_estimators import LogisticRegression, LogisticRegressionCV, Ridge
from dlbd_estimators.engine import task_results
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.exceptions import BlockTooLarge, NonFiniteValues, WorkersLost
from dlbd_estimators.model_selection import KFold
from dlbd_estimators.solvers.smooth import path_sample
from tests.blocks.test_dask_blocks import never

N, P, ROWS = 6000, 5, 150

pytestmark = pytest.mark.long


@contextmanager
def own_cluster(n_workers, directory, *, threads=1):
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=threads,
            processes=True,
            memory_limit="1GiB",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=str(directory),
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client
        # Dask leaves processes behind where it is closed while it starts workers anew.
        client.wait_for_workers(n_workers, timeout=60)


@pytest.fixture
def arrays():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(N, P))
    score = X @ np.arange(1, P + 1) + 3 * rng.normal(size=N)
    return X, np.digitize(score, [0.0]), score


def lazy(arrays, rows=ROWS):
    X, y, score = arrays
    return (
        da.from_array(X, chunks=(rows, P)),
        da.from_array(y, chunks=1000),
        da.from_array(score, chunks=rows),
    )


def fitted(X, y, score):
    models = [
        LogisticRegression().fit(X, y),
        LogisticRegression(tol=1e-6).fit(X, da.digitize(score, [-3.0, 3.0])),
        Ridge().fit(X, score),
    ]
    return [np.append(np.ravel(model.coef_), model.intercept_) for model in models]


@pytest.fixture
def expected(arrays):
    """What threads of this process find."""
    with dask.config.set(scheduler="threads"):
        return fitted(*lazy(arrays))


def assert_same_bits(left, right):
    for mine, other in zip(left, right, strict=True):
        np.testing.assert_array_equal(mine, other)


def scheduler_keys(client):
    """All tasks that the scheduler has seen end, in order."""

    def read(dask_scheduler):
        return list(
            dict.fromkeys(
                str(entry[0]) for entry in dask_scheduler.transition_log if entry[2] == "memory"
            )
        )

    return client.run_on_scheduler(read)


def cached_fits():
    from dlbd_estimators.engine.cache import block_cache

    return len(block_cache._fits)


@pytest.mark.usefixtures("client")
def test_the_cluster_gives_the_bits_of_threads(arrays, expected):
    assert not isinstance(executor_for_lazy(arrays), ThreadExecutor)
    assert_same_bits(fitted(*lazy(arrays)), expected)


def executor_for_lazy(arrays):
    from dlbd_estimators.blocks.dask_blocks import from_dask

    X, y, _ = lazy(arrays)
    return executor_for(from_dask(X, y, None))


@pytest.mark.parametrize(("n_workers", "threads"), [(1, 3), (4, 1)])
def test_any_number_of_workers_and_threads_gives_the_same_bits(
    n_workers, threads, arrays, expected, tmp_path
):
    with own_cluster(n_workers, tmp_path, threads=threads):
        assert_same_bits(fitted(*lazy(arrays)), expected)


@pytest.mark.usefixtures("client")
def test_persisted_arrays_give_the_same_bits(arrays):
    X, y, score = (array.persist() for array in lazy(arrays, rows=500))
    models = [LogisticRegression().fit(X, y), Ridge().fit(X - X.mean(axis=0), score)]
    with dask.config.set(scheduler="threads"):
        X, y, score = lazy(arrays, rows=500)
        others = [LogisticRegression().fit(X, y), Ridge().fit(X - X.mean(axis=0), score)]
    for mine, other in zip(models, others, strict=True):
        np.testing.assert_array_equal(mine.coef_, other.coef_)


def test_arrays_in_memory_stay_in_this_process(client, arrays):
    before = len(scheduler_keys(client))
    X, y, _ = arrays
    LogisticRegression().fit(X, y).predict(X)
    assert len(scheduler_keys(client)) == before


def test_the_number_of_tasks_a_pass_does_not_grow_with_the_blocks(client):
    tasks = {}
    for n_blocks in (50, 5000):
        X = da.random.default_rng(0).normal(size=(2 * n_blocks, 2), chunks=(2, 2))
        y = X[:, 0]
        before = set(scheduler_keys(client))
        model = Ridge().fit(X, y)
        assert model.n_passes_ == 1
        mine = [key for key in scheduler_keys(client) if key not in before]
        assert {key_split(key) for key in mine} == {"ridge-gram-pass"}
        tasks[n_blocks] = len(mine)
    assert tasks[50] == tasks[5000] == 8  # four a worker thread


def test_tasks_have_names_that_people_recognise_and_nothing_is_scattered(client, arrays):
    X, y, _ = lazy(arrays)
    before = set(scheduler_keys(client))
    model = LogisticRegression(solver="newton").fit(X, y)
    mine = [key for key in scheduler_keys(client) if key not in before]
    names = {key_split(key) for key in mine}
    assert {"logistic-classes", "logistic-newton-pass"} <= names
    assert names <= {"logistic-classes", "logistic-newton-pass", "logistic-newton-sample"}
    last = max(int(key.split("-")[3]) for key in mine if key.startswith("logistic-newton-pass-"))
    assert last >= 1
    assert all(key.startswith("logistic-") for key in mine)
    assert model.n_passes_ >= 1


def test_predictions_run_under_names_that_people_recognise(client, arrays):
    X, y, _ = lazy(arrays)
    model = LogisticRegression().fit(X, y)
    assert key_split(model.predict_proba(X).name) == "logisticregression-predict-proba"
    before = set(scheduler_keys(client))
    model.score(X, y)
    mine = {key_split(key) for key in scheduler_keys(client) if key not in before}
    assert mine == {"logisticregression-score"}


def test_blocks_that_fit_are_read_once_and_freed_at_the_end(arrays, tmp_path):
    X, y, _ = lazy(arrays)
    X = X + 0.0  # chunks of the workers' own
    nbytes = X.nbytes + 8 * N
    # One worker: of two, the one that is held up gives work to the other, which reads it once more.
    with own_cluster(1, tmp_path, threads=2) as client:
        model = LogisticRegression(tol=1e-4).fit(X, y)
        assert model.n_passes_ > 2
        assert model.history_[-1]["bytes_read"] == nbytes
        with dask.config.set({"dlbd-estimators.cache-share": 0}):
            again = LogisticRegression(tol=1e-4).fit(X, y)
        assert again.history_[-1]["bytes_read"] == pytest.approx(again.n_passes_ * nbytes)
        np.testing.assert_array_equal(model.coef_, again.coef_)
        deadline = time.monotonic() + 30
        while any(client.run(cached_fits).values()):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.usefixtures("client")
def test_a_shared_part_is_computed_once_for_all_workers(arrays, tmp_path):
    def noting(name):
        def read(block):
            with (tmp_path / name).open("a") as file:
                file.write(f"{os.getpid()} {block[0, 0]}\n")
            return block

        return read

    def noted(name):
        return (tmp_path / name).read_text().splitlines()

    X, y, _ = lazy(arrays)
    mean, rows = (
        X.map_blocks(noting(name), meta=np.empty((0, 0))) for name in ("of the mean", "of the rows")
    )
    model = LogisticRegression(tol=1e-4).fit(rows - mean.mean(axis=0), y)
    assert model.n_passes_ > 2
    n_blocks = X.numblocks[0]
    assert len(noted("of the mean")) == n_blocks
    # Then the blocks are in the cache. A worker that is held up gives some to the other one, which
    # reads them, too.
    assert len(set(noted("of the rows"))) == len(noted("of the rows"))
    assert len({line.split()[1] for line in noted("of the rows")}) == n_blocks


@pytest.mark.usefixtures("client")
def test_a_value_that_is_not_finite_is_named_from_afar(arrays):
    X, y, score = lazy(arrays)
    X = da.where((da.arange(N, chunks=ROWS) == 4321)[:, None] & (da.arange(P) == 3), np.nan, X)
    for model, target in ((LogisticRegression(), y), (Ridge(), score)):
        with pytest.raises(
            NonFiniteValues, match=r"X contains NaN at row 121 of block 28 .*, column 3"
        ):
            model.fit(X, target)


@pytest.mark.usefixtures("client")
def test_a_block_too_large_is_refused_before_anything_is_read():
    X = da.zeros((10**7, 20), chunks=(5 * 10**6, 20)).map_blocks(never, meta=np.empty((0, 0)))
    y = da.zeros(10**7, chunks=5 * 10**6).map_blocks(never, meta=np.empty(0))
    for model in (LogisticRegression(), Ridge()):
        with pytest.raises(BlockTooLarge, match=r"takes 763 MiB.*X\.rechunk\(\{0: \d+\}\)"):
            model.fit(X, y)


class _WaitsForDeaths:
    """Counts reads in a directory; from the given one on, they wait until workers were killed."""

    def __init__(self, directory, reads):
        self.directory = directory
        self.reads = reads
        directory.mkdir()

    def __call__(self, block):
        begun = self.directory / f"{time.monotonic_ns()}-{os.getpid()}"
        begun.touch()
        deadline = time.monotonic() + 100
        while len(self.begun()) >= self.reads and not self.killed.exists():
            assert time.monotonic() < deadline
            time.sleep(0.005)
        return block

    @property
    def killed(self):
        return self.directory / "killed"

    def begun(self):
        return [each for each in self.directory.iterdir() if each != self.killed]

    def kill(self, victims):
        """Kill processes in the middle of the pass; return how many reads had begun."""
        deadline = time.monotonic() + 90
        while len(self.begun()) < self.reads and time.monotonic() < deadline:
            time.sleep(0.01)
        n_reads = len(self.begun())
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        self.killed.touch()
        return n_reads


def test_a_worker_killed_in_the_middle_of_a_pass_changes_no_bit(arrays, tmp_path):
    X, y, score = lazy(arrays)
    cases = [(LogisticRegression(tol=1e-4), y), (Ridge(), score)]
    with dask.config.set(scheduler="threads"):
        expected = [model.fit(X, target).coef_.copy() for model, target in cases]
    # No cache: every pass reads every block.
    with (
        dask.config.set({"dlbd-estimators.cache-share": 0}),
        own_cluster(3, tmp_path) as client,
    ):
        for number, (model, target) in enumerate(cases):
            reads = _WaitsForDeaths(tmp_path / f"begun-{number}", X.numblocks[0] // 2)
            held = X.map_blocks(reads, meta=np.empty((0, 0)))
            client.wait_for_workers(3)
            victim = next(iter(client.run(os.getpid).values()))
            with ThreadPoolExecutor(1) as killer:
                n_reads = killer.submit(reads.kill, [victim])
                model.fit(held, target)
            # In the middle of the first pass.
            assert X.numblocks[0] // 2 <= n_reads.result() < X.numblocks[0]
            assert victim not in client.run(os.getpid).values()
            np.testing.assert_array_equal(model.coef_, expected[number])


def test_a_worker_killed_in_the_middle_of_a_search_changes_no_bit(arrays, tmp_path, monkeypatch):
    monkeypatch.setattr(path_sample, "_MOST_ROWS", 100)  # fewer than there are: sweeps are needed
    X, y, _ = lazy(arrays)
    given = {"l1_ratios": (0.0,), "scoring": "neg_log_loss", "use_legacy_attributes": False}
    model = LogisticRegressionCV(Cs=[0.01, 1.0], cv=KFold(2), tol=1e-4, **given)
    with dask.config.set(scheduler="threads"):
        model.fit(X, y)
    expected = [model.coef_, model.scores_, model.coefs_paths_]
    n_blocks = X.numblocks[0]
    reads = _WaitsForDeaths(tmp_path / "begun", n_blocks + n_blocks // 2)
    held = X.map_blocks(reads, meta=np.empty((0, 0)))
    # No cache: every sweep reads every block.
    with (
        dask.config.set({"dlbd-estimators.cache-share": 0}),
        own_cluster(2, tmp_path) as client,
    ):
        client.wait_for_workers(2)
        victim = next(iter(client.run(os.getpid).values()))
        with ThreadPoolExecutor(1) as killer:
            n_reads = killer.submit(reads.kill, [victim])
            model.fit(held, y)
        assert n_reads.result() >= n_blocks + n_blocks // 2
    after = [model.coef_, model.scores_, model.coefs_paths_]
    for one, other in zip(after, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("n_workers", [1, 2])
def test_the_death_of_all_workers_at_once_changes_no_bit(n_workers, arrays, tmp_path):
    X, _, score = lazy(arrays)
    with dask.config.set(scheduler="threads"):
        expected = Ridge().fit(X, score).coef_
    reads = _WaitsForDeaths(tmp_path / "begun", X.numblocks[0] // 4)
    held = X.map_blocks(reads, meta=np.empty((0, 0)))
    with own_cluster(n_workers, tmp_path) as client:
        client.wait_for_workers(n_workers)
        victims = list(client.run(os.getpid).values())
        with ThreadPoolExecutor(1) as killer:
            n_reads = killer.submit(reads.kill, victims)
            model = Ridge().fit(held, score)
        assert X.numblocks[0] // 4 <= n_reads.result() < X.numblocks[0]
    np.testing.assert_array_equal(model.coef_, expected)


def _fatal(block, block_info=None):
    if block_info[0]["chunk-location"][0] == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return block


def test_a_block_that_kills_every_worker_is_named_in_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(task_results, "_BLOCK_DEATHS", 1)  # four take half a minute
    X = da.zeros((80, 2), chunks=(20, 2)).map_blocks(_fatal, meta=np.empty((0, 0)))
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        own_cluster(2, tmp_path),
        pytest.raises(WorkersLost, match=r"block 2 \(rows 40 to 60\)"),
    ):
        Ridge().fit(X, da.ones(80, chunks=20))
