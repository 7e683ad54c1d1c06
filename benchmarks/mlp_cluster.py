"""Measure the workers' memory for networks, and check that bits do not depend on the workers."""

from __future__ import annotations

from dask.utils import parse_bytes
from lines import Table
from mlp_workload import NetworkWorkload
from on_disk import MEMORY_NOISE, megabytes
from same_bits import on_a_dying_cluster, on_any_cluster, record_bits
from timing import flat, timed_fit
from workload import (
    MEMORY,
    local_workers,
    memory_troubles,
    peak_memory,
    reset_peak,
    worker_pids,
)

#: Values of ``buffer_size``, and the buffer size in bytes that each means here.
BUFFERS = {"128 MiB": parse_bytes("128 MiB"), "auto": parse_bytes("256 MiB")}
REPLICAS = (1, 4)


def memory(workload: NetworkWorkload, table: Table) -> None:
    """Measure the peak memory of new workers for two buffer sizes, also at twice the rows."""
    peaks: dict[str, list[int]] = {buffer: [] for buffer in BUFFERS}
    troubles = []
    for layout in (workload.half, workload.large):
        data = workload.dataset(layout)
        for buffer in BUFFERS:
            with local_workers(2, MEMORY, workload.folder) as client:
                pids = worker_pids(client)
                reset_peak(client)
                model = layout.problem.model(n_replicas=2, buffer_size=buffer)
                timed_fit(model, data.X, data.y)
                peaks[buffer].append(max(peak_memory(client).values()))
                troubles += memory_troubles(client, pids)
        if layout == workload.half:
            workload.remove(data)
    most = table.limit("memory")
    table.claim(
        "memory",
        not troubles
        and all(max(found) <= BUFFERS[buffer] + most for buffer, found in peaks.items())
        and all(twice <= MEMORY_NOISE * once for once, twice in peaks.values()),
        "; ".join(
            [f"buffer of {BUFFERS[name] / 1e6:.0f} MB: {megabytes(peaks[name])}" for name in peaks]
            + (troubles or ["never spilled, paused or restarted"])
        ),
    )


def any_cluster(workload: NetworkWorkload, table: Table) -> None:
    """Train on clusters of several sizes and on threads, and while a worker is killed."""
    data = workload.dataset(workload.same)

    def bits() -> bytes:
        models = [
            workload.same.problem.model(
                workload.same_epochs,
                n_replicas=n_replicas,
                # Small enough that an epoch fills the buffer several times.
                buffer_size=2 * workload.same.block_nbytes,
            )
            for n_replicas in REPLICAS
        ]
        return b"".join(flat(timed_fit(model, data.X, data.y).model).tobytes() for model in models)

    last = f"mlpclassifier-epoch-{workload.same_epochs}"
    record_bits(
        table,
        ("bits", "killed"),
        on_any_cluster(bits, workload.folder),
        on_a_dying_cluster(bits, workload.folder, last),
        " and ".join(f"n_replicas={n}" for n in REPLICAS),
    )
