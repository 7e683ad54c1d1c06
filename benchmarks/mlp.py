"""Measure networks, and compare the figures with their targets.

    python benchmarks/mlp.py                          all measurements
    python benchmarks/mlp.py --quick                  small sizes, to see that it works
    python benchmarks/mlp.py --only torch             one measurement, or several
    python benchmarks/mlp.py --plots docs/images      also draw plots of validation loss

The two sides of each ratio are measured in turns, in one run. Before a measurement that reads
files, the files are read once, so that all of them are in the page cache. The tables are printed
and written to ``out/benchmark-mlp.md`` (``benchmark-mlp-quick.md`` with ``--quick``; to no file
with ``--only``). The exit code is 1 if a target was missed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lines import Line

# Worker processes import this file, too, and their memory is measured. So other modules are
# imported only in the functions that need them.
if TYPE_CHECKING:
    from mlp_workload import NetworkWorkload
    from program import Measurement

#: Lines by name, in the order of the table. ``{network}`` etc. are placeholders for the sizes.
LINES = {
    "sklearn": Line.at_least(
        "MLPClassifier {network}, batches of 200, Adam, {memory_rows} float32 rows in memory: "
        "samples/s / scikit-learn's",
        2.2,
    ),
    "wide-sklearn": Line.at_least(
        "the same, {wide}, batches of {wide_batch}, {wide_rows} rows: samples/s / scikit-learn's",
        1.3,
    ),
    "small-sklearn": Line.at_least("the same, {small}: samples/s / scikit-learn's", 2.0),
    "torch": Line.at_least(
        "{network} / PyTorch's on CPUs, Adam(fused=True), as many threads, batches gathered from a "
        "permutation",
        2.2,
    ),
    "wide-torch": Line.at_least("the same, {wide}, batches of {wide_batch}, {wide_rows} rows", 1.3),
    "small-torch": Line.at_least("the same, {small}", 2.0),
    "out-of-core": Line.at_least(
        "the same network, {large} rows in Zarr ({large_nbytes}), n_replicas=1 on one worker of "
        "{memory} and one thread: samples/s / in memory on one thread",
        0.7,
    ),
    "out-of-core-torch": Line.at_least(
        "the same, {shared} rows in Zarr, all CPUs: samples/s / PyTorch's, which reads the same "
        "Zarr by a DataLoader with a worker process",
        2.0,
    ),
    "workers": Line.at_least(
        "the same, {shared} rows, {shared_epochs} epochs, n_replicas=2: samples/s on 2 workers / "
        "on 1",
        1.8,
    ),
    "workers-loss": Line(
        "the same: validation loss on 2 workers against 1", "within 2 %", limit=0.02
    ),
    "memory": Line(
        "the same, n_replicas=2, two workers of {memory}: peak resident memory a worker; {half} "
        "and {large} rows",
        "<= the buffer + 250 MB, the same at twice the rows; never spilled, paused or restarted",
        250e6,
    ),
    "bits": Line("the same, {same} rows; 1, 2 and 4 workers, and threads: parameters", "same bits"),
    "killed": Line(
        "one worker of three killed (SIGKILL) in the middle of a round: parameters",
        "same bits, no error",
    ),
}

PEERS = ("torch",)

NOTES = """\
Ratios, speeds and seconds are medians, with the smallest and the largest in brackets. The two sides
of a ratio were measured in turns in one run, and files were read from the page cache. Seconds are
those of whole fits, with checks, the pass over the labels, and the start of tasks. Peak memory is
the operating system's high-water mark of the whole process. Classes are drawn from a fixed network
of 32 hidden units. Validation uses other rows, 20,000 in a full run.
"""


def measurements(peers: bool) -> list[Measurement]:
    """Return all measurements in the order they run, with the names of the lines of each."""
    import mlp_cluster
    import mlp_curves
    import mlp_speed

    torch: list[Measurement] = [
        (mlp_speed.against_torch, ("torch", "wide-torch", "small-torch")),
        (mlp_speed.out_of_core_torch, ("out-of-core-torch",)),
    ]
    return [
        (mlp_speed.against_sklearn, ("sklearn", "wide-sklearn", "small-sklearn")),
        *(torch if peers else []),
        (mlp_speed.out_of_core, ("out-of-core",)),
        (mlp_speed.two_workers, ("workers", "workers-loss")),
        (mlp_cluster.memory, ("memory",)),
        (mlp_cluster.any_cluster, ("bits", "killed")),
        (mlp_curves.replicas, ("replicas",)),
        (mlp_curves.shuffling, ("shuffling",)),
        (mlp_curves.batch_sizes, ("batch-size",)),
    ]


def main() -> int:
    """Run the measurements; return 1 if a target was missed or an error occurred."""
    from mlp_workload import NetworkWorkload
    from program import Program

    program = Program("benchmark-mlp", LINES, NOTES, measurements, PEERS)
    parser = program.parser("Measure networks, and compare the figures with their targets.")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw plots there")
    options = parser.parse_args()

    def workload(folder: Path) -> NetworkWorkload:
        if options.quick:
            return NetworkWorkload.quick(folder, options.plots)
        return NetworkWorkload(folder, options.plots)

    return program.run(options, workload)


if __name__ == "__main__":
    sys.exit(main())
