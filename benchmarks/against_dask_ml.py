"""Compare the out-of-core fit with dask-ml, on the same stored rows and the same workers."""

from __future__ import annotations

from lines import Table
from on_disk import warm_fit
from peers import Peer, PeerFailed
from timing import Fit, difference
from workload import MEMORY, Workload, warm_page_cache

import storage
from dlbd_estimators import LogisticRegression

#: Memory limit of dask-ml's workers if it fails with the same memory as ours.
MORE_MEMORY = "4GB"
#: Seconds after which a fit counts as stuck.
PATIENCE = 600.0


def newton(workload: Workload, table: Table) -> None:
    """Fit once with dask-ml, and once with our estimator before and after it."""
    data = workload.dataset()
    ours = [_ours(workload, data)]
    memory = MEMORY
    try:
        theirs = _dask_ml_fit(workload, data, memory)
    except PeerFailed as error:
        print(f"  with {memory} a worker: {error}", flush=True)
        memory = MORE_MEMORY
        theirs = _dask_ml_fit(workload, data, memory)
    ours.append(_ours(workload, data))
    mean = sum(fit.seconds for fit in ours) / len(ours)
    table.number(
        "dask-ml",
        mean / theirs.seconds,
        f"{mean / theirs.seconds:.3f}; {ours[0].seconds:.2f} and {ours[1].seconds:.2f} s against "
        f"{theirs.seconds:.1f} s with {memory} a worker; coefficients differ by "
        f"{difference(theirs, ours[0]):.0e}",
    )


def _ours(workload: Workload, data: storage.Dataset) -> Fit:
    with workload.two_workers():
        warm_fit(LogisticRegression(), data)  # warm-up: the workers import modules
        return warm_fit(LogisticRegression(), data)


def _dask_ml_fit(workload: Workload, data: storage.Dataset, memory: str) -> Fit:
    block_rows = max(data.X.chunks[0])
    arguments = [str(data.path), str(workload.folder), memory, str(block_rows)]
    with Peer("dask-ml", workload.folder, arguments) as peer:
        peer.fit({"rows": min(block_rows, data.n_samples)})  # imports and compiles
        warm_page_cache(data.path)
        return peer.fit({"rows": data.n_samples}, PATIENCE)
