"""Measure how replicas, buffers and batch sizes change the validation loss, epoch by epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from lines import Table
from mlp_curve import Curve, follow
from mlp_workload import CLASSES, TABLE, Layout, NetworkWorkload
from timing import spread
from workload import MEMORY, local_workers

REPLICAS = (1, 2, 4, 8)
BUFFER_BLOCKS = (2, 8, 32)
BATCH_SIZES = (50, 200, 1_000, 5_000)


def replicas(workload: NetworkWorkload, table: Table) -> None:
    """Measure epochs and seconds to the same loss, for numbers of replicas on two workers."""
    panels = []
    rows = []
    for layout in (workload.few, workload.many):
        curves = _replicas(workload, layout)
        rows += _rows(workload, layout, curves)
        panels.append((f"{layout.n_rows:,} rows, {layout.n_blocks} blocks", curves[0]))
    table.add_table(
        "Replicas of {table} on two workers, default buffer: until the validation log-loss is that "
        "of one replica after {reference_epochs} epochs (at most {most_epochs})",
        (
            "rows",
            "blocks",
            "n_replicas",
            "epochs",
            "seconds",
            "seconds an epoch",
            f"loss after {workload.least_epochs} epochs",
        ),
        rows,
    )
    if workload.plots:
        import mlp_plots

        mlp_plots.by_epoch_and_second(
            workload.plots / "mlp_replicas.png",
            panels,
            {title: curves[0].losses[workload.reference_epochs - 1] for title, curves in panels},
        )


def _replicas(workload: NetworkWorkload, layout: Layout) -> list[list[Curve]]:
    """Return, for each seed, one curve for each number of replicas."""
    data = workload.dataset(layout)
    held_out = layout.problem.held_out(workload.held_out)
    found = []
    with local_workers(2, MEMORY, workload.folder):
        # A first fit, so that the workers have imported what they need.
        layout.problem.incremental(n_replicas=2).partial_fit(data.X, data.y, classes=range(CLASSES))
        for seed in range(workload.seeds):
            curves: list[Curve] = []

            def enough(curve: Curve, curves: list[Curve] = curves) -> bool:
                n_epochs = len(curve.losses)
                if n_epochs < workload.least_epochs:
                    return False
                if not curves or n_epochs >= workload.most_epochs:
                    return True
                return curve.epochs_to(_goal(workload, curves)) is not None

            for n_replicas in REPLICAS:
                model = layout.problem.incremental(seed, n_replicas=n_replicas)
                label = f"n_replicas={n_replicas}"
                curves.append(follow(label, model, data.X, data.y, held_out, enough))
            found.append(curves)
    return found


def _goal(workload: NetworkWorkload, curves: list[Curve]) -> float:
    """Return the loss of one replica, the first curve, after ``reference_epochs`` epochs."""
    return curves[0].losses[workload.reference_epochs - 1]


def _rows(
    workload: NetworkWorkload, layout: Layout, found: list[list[Curve]]
) -> list[tuple[str, ...]]:
    rows = []
    for place, n_replicas in enumerate(REPLICAS):
        same_replicas = [curves[place] for curves in found]
        taken = [
            (n_epochs, curve.seconds[n_epochs - 1])
            for curve, curves in zip(same_replicas, found, strict=True)
            for n_epochs in [curve.epochs_to(_goal(workload, curves))]
            if n_epochs is not None
        ]
        failed = len(same_replicas) - len(taken)
        note = f", {failed} of {len(same_replicas)} never" if failed else ""
        never = f"more than {workload.most_epochs}"
        rows.append(
            (
                f"{layout.n_rows:,}",
                str(layout.n_blocks),
                str(n_replicas),
                spread([float(n) for n, _ in taken], note, ".0f") if taken else never,
                spread([seconds for _, seconds in taken]) if taken else "",
                spread([curve.seconds[-1] / len(curve.seconds) for curve in same_replicas]),
                spread(
                    [curve.losses[workload.least_epochs - 1] for curve in same_replicas], form=".4f"
                ),
            )
        )
    return rows


def shuffling(workload: NetworkWorkload, table: Table) -> None:
    """Compare rows in random order with rows sorted by class, for small and large buffers."""
    layout = workload.sorted_
    X, y = layout.problem.rows(layout.n_rows)
    by_class = np.argsort(y, kind="stable")
    held_out = layout.problem.held_out(workload.held_out)

    def curve(label: str, X: Any, y: Any, **parameters: Any) -> Curve:
        model = layout.problem.incremental(**parameters)
        return follow(label, model, X, y, held_out, enough=_so_many(workload))

    def in_blocks(rows: Any) -> da.Array:
        return da.from_array(rows, chunks=(layout.block_rows, *rows.shape[1:]))

    curves = [
        curve("in memory: all rows shuffled", X, y),
        curve(
            f"stored in random order, buffer of {BUFFER_BLOCKS[0]} blocks",
            in_blocks(X),
            in_blocks(y),
            buffer_size=BUFFER_BLOCKS[0] * layout.block_nbytes,
        ),
        *(
            curve(
                f"sorted by class, buffer of {n_blocks} blocks",
                in_blocks(X[by_class]),
                in_blocks(y[by_class]),
                buffer_size=n_blocks * layout.block_nbytes,
            )
            for n_blocks in reversed(BUFFER_BLOCKS)
        ),
    ]
    table.add_table(
        "Shuffling, {table}, {sorted} rows, {sorted_blocks} blocks: validation log-loss",
        ("rows", "least", "last epoch"),
        [(c.label, f"{min(c.losses):.4f}", f"{c.losses[-1]:.4f}") for c in curves],
    )
    if workload.plots:
        import mlp_plots

        mlp_plots.by_epoch(
            workload.plots / "mlp_shuffling.png",
            curves,
            f"{layout.n_rows:,} rows, {layout.n_blocks} blocks",
        )


def batch_sizes(workload: NetworkWorkload, table: Table) -> None:
    """Compare small and large mini-batches, in memory."""
    n_rows = workload.sorted_.n_rows
    X, y = TABLE.rows(n_rows)
    held_out = TABLE.held_out(workload.held_out)
    curves = [
        follow(
            f"batch_size={size}",
            TABLE.incremental(batch_size=size),
            X,
            y,
            held_out,
            enough=_so_many(workload),
        )
        for size in BATCH_SIZES
    ]
    table.add_table(
        "Batch sizes, {table}, {sorted} rows in memory: validation log-loss",
        ("batch_size", "least", "last epoch", "seconds an epoch"),
        [
            (
                c.label.removeprefix("batch_size="),
                f"{min(c.losses):.4f}",
                f"{c.losses[-1]:.4f}",
                f"{c.seconds[-1] / len(c.seconds):.2f}",
            )
            for c in curves
        ],
    )
    if workload.plots:
        import mlp_plots

        mlp_plots.by_epoch_and_second(
            workload.plots / "mlp_batch_size.png", [(f"{n_rows:,} rows in memory", curves)], {}
        )


def _so_many(workload: NetworkWorkload) -> Callable[[Curve], bool]:
    return lambda curve: len(curve.losses) >= workload.curve_epochs
