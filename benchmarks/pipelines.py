"""Measure the cost of pipelines and searches over data on disk."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import numpy.typing as npt
from distributed import Client
from lines import Table
from on_disk import warm_fit
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from timing import Fit, in_turns, seconds_of, spread, timed_fit
from workload import (
    Workload,
    check_free,
    make_dataset,
    peak_memory,
    reset_peak,
    warm_page_cache,
)

import storage
from dlbd_estimators import LogisticRegression
from dlbd_estimators.model_selection import KFold
from dlbd_estimators.preprocessing import SimpleImputer, StandardScaler

#: Entries below this value are replaced by NaN: about 2 % of all entries.
_MISSING_BELOW = -2.0


@dataclass(frozen=True)
class _Shape:
    """Width and dtype of a data set of ``Workload.shape_nbytes``; whether values are missing."""

    n_features: int
    dtype: str
    gaps: bool

    def __str__(self) -> str:
        return f"{self.n_features} columns of {self.dtype}{', gaps' if self.gaps else ''}"


_SHAPES = [
    _Shape(n_features, dtype, gaps)
    for n_features in (10, 200)
    for dtype in ("float32", "float64")
    for gaps in (False, True)
]


@dataclass(frozen=True)
class _Turn:
    """A fit of the pipeline, and a fit of its last step alone just before or after it."""

    whole: Fit
    alone: Fit
    #: Processor seconds of the workers in the fit of the pipeline, and in the fit of its last step.
    processor: tuple[float, float]

    @property
    def ratio(self) -> float:
        return self.whole.seconds / self.alone.seconds

    @property
    def more_passes(self) -> float:
        return sum(self._passes) - float(self.alone.model.n_passes_)

    @property
    def passes(self) -> str:
        whole = " + ".join(f"{each:.2f}" for each in self._passes)
        return f"{whole} against {self.alone.model.n_passes_:.2f}"

    @property
    def _passes(self) -> list[float]:
        return [step.n_passes_ for _, step in self.whole.model.steps]

    @property
    def processor_ratio(self) -> float:
        return self.processor[0] / self.processor[1]


def against_alone(workload: Workload, table: Table) -> None:
    """Compare a pipeline with its last step alone, on the same rows without missing values."""
    data = workload.dataset()
    gaps = _with_gaps(workload, data, f"gaps-{workload.rows}")
    with workload.two_workers() as client:
        timed_fit(_pipeline(), gaps.X, gaps.y)  # warm-up: the workers import modules
        reset_peak(client)
        turns = _in_turns(client, data, gaps, workload.repeats)
        peak = max(peak_memory(client).values())
    more = turns[-1].more_passes
    table.number(
        "pipeline", more, f"{more:.2f}: {turns[-1].passes}; peak {peak / 1e6:.0f} MB a worker"
    )
    ratios = [turn.ratio for turn in turns]
    table.number(
        "pipeline-time",
        float(np.median(ratios)),
        f"{spread(ratios)}; {seconds_of([turn.whole for turn in turns])} against "
        f"{seconds_of([turn.alone for turn in turns])}; processor time "
        f"{spread([turn.processor_ratio for turn in turns])}",
    )


def shapes(workload: Workload, table: Table) -> None:
    """Compare the same two for small data of several shapes, without the block cache.

    The cache would hold all blocks, so that only the first pass would read them.
    """
    found = {}
    for shape in _SHAPES:
        n_rows = workload.shape_nbytes // (shape.n_features * np.dtype(shape.dtype).itemsize)
        data = _dataset(workload, n_rows, shape)
        incomplete = data
        if shape.gaps:
            incomplete = _with_gaps(
                workload, data, f"gaps-{n_rows}-{shape.n_features}-{shape.dtype}"
            )
        with workload.two_workers(cache=False) as client:
            timed_fit(_pipeline(), incomplete.X, incomplete.y)
            found[shape] = _in_turns(client, data, incomplete, workload.repeats)
    ratios = {shape: float(np.median([t.ratio for t in turns])) for shape, turns in found.items()}
    worst = max(ratios, key=lambda shape: ratios[shape])
    table.number(
        "pipeline-shapes",
        float(np.median(list(ratios.values()))),
        f"{np.median(list(ratios.values())):.2f}, worst {ratios[worst]:.2f} ({worst})",
    )
    table.add_table(
        "SimpleImputer -> StandardScaler -> LogisticRegression / LogisticRegression alone",
        ("shape", "wall", "processor time", "passes"),
        [
            (
                str(shape),
                spread([turn.ratio for turn in turns]),
                spread([turn.processor_ratio for turn in turns]),
                turns[-1].passes,
            )
            for shape, turns in found.items()
        ],
    )


def _pipeline() -> Pipeline:
    return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())


def _in_turns(
    client: Client, data: storage.Dataset, gaps: storage.Dataset, repeats: int
) -> list[_Turn]:
    def fit(model: Any, rows: storage.Dataset) -> tuple[Fit, float]:
        warm_page_cache(rows.path)
        before = sum(client.run(time.process_time).values())
        fitted = timed_fit(model, rows.X, rows.y)
        return fitted, sum(client.run(time.process_time).values()) - before

    contestants = {
        "alone": lambda: fit(LogisticRegression(), data),
        "whole": lambda: fit(_pipeline(), gaps),
    }
    measured = in_turns(contestants, repeats, warm_up=False)
    return [
        _Turn(whole, alone, (processor, processor_alone))
        for (whole, processor), (alone, processor_alone) in zip(
            measured["whole"], measured["alone"], strict=True
        )
    ]


def _dataset(workload: Workload, n_rows: int, shape: _Shape) -> storage.Dataset:
    path = workload.folder / f"shape-{n_rows}-{shape.n_features}-{shape.dtype}.zarr"
    with suppress(storage.DatasetNotFound):
        return storage.open_dataset(path)
    narrow = make_dataset(workload.folder / f"narrow-{path.name}", n_rows, shape.n_features)
    X = narrow.X.astype(shape.dtype)
    return storage.create_dataset(path, X, narrow.y, target="label", source="benchmark")


def _with_gaps(workload: Workload, data: storage.Dataset, name: str) -> storage.Dataset:
    """Store the same rows with some entries missing."""
    path = workload.folder / f"{name}.zarr"
    with suppress(storage.DatasetNotFound):
        return storage.open_dataset(path)
    check_free(workload.folder, data.nbytes)
    X = da.map_blocks(_missing, data.X, dtype=data.X.dtype, meta=data.X._meta)
    return storage.create_dataset(path, X, data.y, target="label", source="benchmark")


def search(workload: Workload, table: Table) -> None:
    """Measure the peak memory and the time of a search over C on Dask arrays."""
    data = workload.dataset(workload.shared_rows)
    with workload.two_workers() as client:
        timed_fit(LogisticRegression(), data.X, data.y)  # warm-up: the workers import modules
        reset_peak(client)
        single_fit = warm_fit(LogisticRegression(), data)
        grid = GridSearchCV(LogisticRegression(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=KFold(3))
        began = time.perf_counter()
        grid.fit(data.X, data.y)
        seconds = time.perf_counter() - began
        peak = max(peak_memory(client).values())
    table.number(
        "search",
        float(peak),
        f"{peak / 1e6:.0f} MB; {seconds:.1f} s, {seconds / single_fit.seconds:.0f} times a single "
        f"fit of {single_fit.seconds:.2f} s (12 fits of 2/3 of the rows, 12 scores, one refit)",
    )


def _missing(block: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(block < _MISSING_BELOW, np.nan, block).astype(block.dtype)
