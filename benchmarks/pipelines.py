"""What pipelines and searches over data on disk cost."""

from __future__ import annotations

import time
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from lines import Table
from on_disk import warm_fit
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from timing import timed_fit
from workload import Workload, peak_memory, reset_peak, warm_page_cache

from dlbd_estimators import LogisticRegression
from dlbd_estimators.model_selection import KFold
from dlbd_estimators.preprocessing import SimpleImputer, StandardScaler

#: Entries below this are taken for missing: about 2 % of them.
_MISSING_BELOW = -2.0


def passes(workload: Workload, table: Table) -> None:
    """Count the passes of a pipeline, and those of its last step alone on the same data."""
    data = workload.dataset()
    X = da.map_blocks(_with_gaps, data.X, dtype=data.X.dtype, meta=data.X._meta)
    with workload.two_workers() as client:
        alone = warm_fit(LogisticRegression(), data)
        reset_peak(client)
        pipeline = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
        warm_page_cache(data.path)
        began = time.perf_counter()
        pipeline.fit(X, data.y)
        seconds = time.perf_counter() - began
        peak = max(peak_memory(client).values())
    steps = [step.n_passes_ for _, step in pipeline.steps]
    more = sum(steps) - alone.model.n_passes_
    table.number(
        "pipeline",
        more,
        f"{more:.2f}: {' + '.join(f'{each:.2f}' for each in steps)} against "
        f"{alone.model.n_passes_:.2f}; {seconds:.1f} s against {alone.seconds:.1f} s; peak "
        f"{peak / 1e6:.0f} MB a worker",
    )


def search(workload: Workload, table: Table) -> None:
    """Search over C on Dask arrays, fold by fold."""
    data = workload.dataset(workload.shared_rows)
    with workload.two_workers() as client:
        timed_fit(LogisticRegression(), data.X, data.y)  # the workers import what they need
        reset_peak(client)
        one = warm_fit(LogisticRegression(), data)
        grid = GridSearchCV(LogisticRegression(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=KFold(3))
        began = time.perf_counter()
        grid.fit(data.X, data.y)
        seconds = time.perf_counter() - began
        peak = max(peak_memory(client).values())
    table.number(
        "search",
        float(peak),
        f"{peak / 1e6:.0f} MB; {seconds:.1f} s, {seconds / one.seconds:.0f} times a single fit of "
        f"{one.seconds:.2f} s (12 fits of 2/3 of the rows, 12 scores, one refit)",
    )


def _with_gaps(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(block < _MISSING_BELOW, np.nan, block).astype(block.dtype)
