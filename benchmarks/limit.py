"""Measure how far fits on Zarr data are from the limit of the machine.

The limit of a fit is the time of its passes if they only decoded and multiplied: its number of
passes times the seconds of one pass of bare work (:mod:`bare_pass`), by as many processes as there
are workers.

The rows are the same in all layouts. Zarr's defaults write three of them, with chunks of different
sizes, and ``dask.array.from_zarr`` opens them; the chunks of y have the same rows. The fourth is a
data set of ``storage``. Files are in the page cache. The block cache of the workers is off: it
would hold all rows of a data set of this size, so that only the first pass would decode them.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import zarr
from bare_pass import BarePass, bare_pass, bare_processes
from distributed import Client
from lines import Line, Table
from timing import Fit, in_turns, spread, timed_fit
from workload import FEATURES, Workload, check_free, warm_page_cache

import storage
from dlbd_estimators import LogisticRegression, Ridge

N_WORKERS = 2
#: Decoded sizes in MiB of the chunks that zarr writes.
CHUNK_MB = (1, 16, 64)
#: Largest relative difference of Gram matrices in float32 that comes from rounding.
ROUNDING = 1e-3

#: The models by the name of their line.
MODELS = {"limit": LogisticRegression, "limit-ridge": Ridge}
LINES = {
    "limit": Line.at_most(
        "logistic, {limit_rows} x {features} float32 in Zarr's default chunks of 1, 16 and 64 MB "
        "and in a data set of storage, cache off: largest median of wall / (passes x "
        "decoding and multiplying alone)",
        1.35,
    ),
    "limit-ridge": Line.at_most("the same, Ridge", 1.35),
}


@dataclass(frozen=True)
class Layout:
    """The rows in one storage layout.

    Attributes
    ----------
    name : str
        Name in the table.
    path : Path
        Folder of the Zarr group, with the arrays X and y.
    X, y : dask.array.Array
        The arrays, as they are passed to ``fit``.
    """

    name: str
    path: Path
    X: da.Array
    y: da.Array


@dataclass(frozen=True)
class Turn:
    """A fit, and a pass of bare work of the same turn.

    Attributes
    ----------
    fit : Fit
        The fit.
    processor : float
        Processor time of the workers during the fit, in seconds.
    bare : BarePass
        The pass of bare work.
    """

    fit: Fit
    processor: float
    bare: BarePass

    @property
    def passes(self) -> float:
        """Number of passes of the fit."""
        return float(self.fit.model.n_passes_)

    @property
    def ratio(self) -> float:
        """Wall time of the fit / (passes x bare work)."""
        return self.fit.seconds / (self.passes * self.bare.seconds)

    @property
    def processor_ratio(self) -> float:
        """The same of processor times."""
        return self.processor / (self.passes * self.bare.processor)


def distance(workload: Workload, table: Table) -> None:
    """Compare fits with the limit of the machine, in each layout."""
    turns: dict[tuple[str, str], list[Turn]] = {}
    grams = []
    with workload.two_workers(cache=False) as client, bare_processes(N_WORKERS) as pool:
        for layout in _layouts(workload):
            found = _in_turns(workload, client, pool, layout)
            turns |= {(line, layout.name): of_line for line, of_line in found.items()}
            grams.append(found["limit"][0].bare.gram)
    _check_same_rows(grams)
    for line in MODELS:
        medians = {
            name: float(np.median([turn.ratio for turn in of_layout]))
            for (of_line, name), of_layout in turns.items()
            if of_line == line
        }
        worst = max(medians, key=medians.__getitem__)
        others = ", ".join(f"{ratio:.2f} {name}" for name, ratio in medians.items())
        table.number(line, medians[worst], others)
    table.add_table(
        "Fits on {limit_rows} x {features} float32 rows and the limit of the machine (passes x "
        "bare work), with the ratio of wall times and that of processor times:",
        ("fit", "layout", "passes", "fit, s", "bare work, s", "wall", "processor"),
        [
            (MODELS[line].__name__, name, *_cells(turns[line, name]))
            for line in MODELS
            for of_line, name in turns
            if of_line == line
        ],
    )


def _layouts(workload: Workload) -> Iterator[Layout]:
    """Write the rows in each layout, one after the other; remove them afterwards."""
    n_rows = workload.limit_rows
    data = workload.dataset(n_rows)
    yield Layout("storage", Path(data.path), data.X, data.y)
    for megabytes in CHUNK_MB:
        path = workload.folder / f"zarr-{megabytes}.zarr"
        check_free(workload.folder, data.nbytes)
        print(f"  writing chunks of {megabytes} MB ...", flush=True)
        _write(data, path, megabytes * 2**20 // (4 * FEATURES))
        X, y = (da.from_zarr(str(path), component=name) for name in ("X", "y"))
        yield Layout(f"zarr, {megabytes} MB", path, X, y)
        shutil.rmtree(path)
    workload.remove_dataset(n_rows)


def _write(data: storage.Dataset, path: Path, chunk_rows: int) -> None:
    """Write the rows of a data set by zarr, with its default codecs."""
    group = zarr.open_group(path, mode="w")
    for name, rows in (("X", data.X), ("y", data.y)):
        chunks = (chunk_rows, *rows.shape[1:])
        stored = group.create_array(name, shape=rows.shape, chunks=chunks, dtype=rows.dtype)
        for start in range(0, len(rows), chunk_rows):
            some = slice(start, start + chunk_rows)
            stored[some] = rows[some].compute(scheduler="threads")


def _in_turns(
    workload: Workload, client: Client, pool: Pool, layout: Layout
) -> dict[str, list[Turn]]:
    """Measure fits and bare work in turns; return the turns by the name of the line."""
    warm_page_cache(layout.path)
    stored = zarr.open_group(layout.path, mode="r")["X"]
    assert isinstance(stored, zarr.Array)

    def fit(line: str) -> tuple[Fit, float]:
        before = _processor_seconds(client)
        found = timed_fit(MODELS[line](), layout.X, layout.y)
        return found, _processor_seconds(client) - before

    # Bare work between the two fits, which run in reverse order in every second round.
    runs: dict[str, Callable[[], Any]] = {
        "limit": lambda: fit("limit"),
        "bare": lambda: bare_pass(pool, stored, N_WORKERS),
        "limit-ridge": lambda: fit("limit-ridge"),
    }
    found: dict[str, list[Any]] = in_turns(runs, workload.limit_repeats, warm_up=True)
    return {
        line: [
            Turn(fitted, processor, bare)
            for (fitted, processor), bare in zip(found[line], found["bare"], strict=True)
        ]
        for line in MODELS
    }


def _processor_seconds(client: Client) -> float:
    return float(sum(client.run(time.process_time).values()))


def _check_same_rows(grams: list[Any]) -> None:
    """Check that bare work has decoded the same rows in all layouts."""
    for gram in grams[1:]:
        if not np.abs(gram - grams[0]).max() <= ROUNDING * np.abs(grams[0]).max():
            raise RuntimeError("bare work found other rows in one layout than in another")


def _cells(turns: list[Turn]) -> tuple[str, ...]:
    return (
        spread([turn.passes for turn in turns]),
        spread([turn.fit.seconds for turn in turns]),
        spread([turn.bare.seconds for turn in turns]),
        spread([turn.ratio for turn in turns]),
        spread([turn.processor_ratio for turn in turns]),
    )
