"""Measure out-of-core fits: passes, wall time and memory, also against an np.memmap."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from dask.utils import parse_bytes
from lines import Table
from numpy.lib.format import open_memmap
from sklearn import linear_model
from timing import Fit, difference, ratios, seconds_of, spread, timed_fit
from workload import (
    MEMORY,
    Workload,
    bare_work,
    check_free,
    memory_troubles,
    peak_memory,
    reset_peak,
    warm_page_cache,
    worker_pids,
)

import storage
from dlbd_estimators import LogisticRegression, Ridge

#: Share of a worker's memory limit at which Dask starts to spill.
SPILL_SHARE = 0.7
#: Largest ratio of the peaks of two runs of the same size.
MEMORY_NOISE = 1.05


def warm_fit(model: Any, data: storage.Dataset) -> Fit:
    """Fit on the active cluster, with the data set's files in the page cache."""
    warm_page_cache(data.path)
    return timed_fit(model, data.X, data.y)


def against_bare_work(workload: Workload, table: Table) -> None:
    """Measure passes of logistic regression and Ridge, and their time relative to bare work."""
    data = workload.dataset()
    logistic, ridge, bare = [], [], []

    def measure_bare() -> None:
        warm_page_cache(data.path)
        bare.append(bare_work(client, data.path))

    with workload.two_workers() as client:
        bare_work(client, data.path)  # warm-up: the workers import modules
        measure_bare()
        for _ in range(workload.repeats):
            logistic.append(warm_fit(LogisticRegression(), data))
            measure_bare()
            # Ridge takes the labels as numbers: the cost of a pass depends on X only.
            ridge.append(warm_fit(Ridge(), data))
            measure_bare()
    _record_passes(table, logistic)
    # Each fit is divided by the mean of the bare work just before and just after it.
    beside = [(before + after) / 2 for before, after in pairwise(bare)]
    overhead = [
        fit.seconds / (fit.model.n_passes_ * work)
        for fit, work in zip(logistic, beside[0::2], strict=True)
    ]
    table.number(
        "bare-work",
        float(np.median(overhead)),
        f"{spread(overhead)}; fit {seconds_of(logistic)}, bare work {spread(bare, ' s')} a pass",
    )
    overhead = [fit.seconds / work for fit, work in zip(ridge, beside[1::2], strict=True)]
    passes = max(fit.model.n_passes_ for fit in ridge)
    table.claim(
        "ridge",
        passes == 1 and float(np.median(overhead)) <= table.limit("ridge"),
        f"{passes:g}; {spread(overhead)}; fit {seconds_of(ridge)}",
    )


def _record_passes(table: Table, fits: list[Fit]) -> None:
    passes = max(fit.model.n_passes_ for fit in fits)
    error = max(fit.model.history_[-1]["error"] for fit in fits)
    table.claim(
        "passes",
        passes <= table.limit("passes") and error <= 1e-7 and all(fit.converged for fit in fits),
        f"{passes:.2f}; error at most {error:.0e}",
    )


def memory(workload: Workload, table: Table) -> None:
    """Measure peak memory of new workers with and without block cache, also at twice the rows."""
    peaks: dict[tuple[int, bool], int] = {}
    troubles = []
    for n_rows in (workload.rows, 2 * workload.rows):
        data = workload.dataset(n_rows)
        for cache in (True, False):
            with workload.two_workers(cache=cache) as client:
                pids = worker_pids(client)
                reset_peak(client)
                LogisticRegression().fit(data.X, data.y)
                peaks[n_rows, cache] = max(peak_memory(client).values())
                troubles += memory_troubles(client, pids)
        if n_rows != workload.rows:
            workload.remove_dataset(n_rows)
    on, off = (
        [peak for (_, cached), peak in peaks.items() if cached is wanted]
        for wanted in (True, False)
    )
    table.claim(
        "memory",
        not troubles
        and max(on) < SPILL_SHARE * parse_bytes(MEMORY)
        and max(off) <= table.limit("memory")
        and all(twice <= MEMORY_NOISE * once for once, twice in (on, off)),
        f"on: {megabytes(on)}; off: {megabytes(off)}; "
        + ("; ".join(troubles) or "never spilled, paused or restarted"),
    )


def megabytes(peaks: list[int]) -> str:
    """Return sizes in bytes as text, in megabytes."""
    return " and ".join(f"{peak / 1e6:.0f}" for peak in peaks) + " MB"


def by_hand(workload: Workload, table: Table) -> None:
    """Compare with scikit-learn on an np.memmap of the same rows, which has no memory limit."""
    data = workload.dataset()
    path = workload.folder / "rows.npy"
    _write_npy(data, path, workload)
    y = data.y.compute()
    lbfgs = linear_model.LogisticRegression(tol=1e-8, max_iter=1000)
    ours, theirs = [], []
    for _ in range(workload.repeats):
        with workload.two_workers():
            warm_fit(LogisticRegression(), data)  # warm-up: the workers import modules
            ours.append(warm_fit(LogisticRegression(), data))
        warm_page_cache(path)
        theirs.append(timed_fit(lbfgs, np.load(path, mmap_mode="r"), y))
    quotients = ratios(ours, theirs)
    table.number(
        "memmap",
        float(np.median(quotients)),
        f"{spread(quotients)}; {seconds_of(ours)} against {seconds_of(theirs)} "
        f"({lbfgs.n_iter_[0]} iterations); coefficients differ by "
        f"{difference(ours[-1], theirs[-1]):.0e}",
    )
    cholesky = linear_model.LogisticRegression(solver="newton-cholesky", tol=1e-8)
    fit = timed_fit(cholesky, np.load(path), y)
    path.unlink()
    table.reference(
        "scikit-learn's newton-cholesky, tol 1e-8, on the same {rows} x {features} float32 rows, "
        "all in memory",
        f"{fit}; ours differs by {difference(ours[-1], fit):.0e}",
    )


def _write_npy(data: storage.Dataset, path: Path, workload: Workload) -> None:
    check_free(workload.folder, data.nbytes)
    X = open_memmap(path, mode="w+", dtype=data.dtype, shape=data.X.shape)
    start = 0
    for block in data.X.blocks:
        X[start : start + len(block)] = block.compute()
        start += len(block)
    X.flush()
