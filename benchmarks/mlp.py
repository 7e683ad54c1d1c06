"""Measure networks, and hold the figures against the ones to reach.

    python benchmarks/mlp.py                          all of it
    python benchmarks/mlp.py --quick                  small sizes, to see that it works
    python benchmarks/mlp.py --only torch             one measurement, or several
    python benchmarks/mlp.py --plots docs/images      and plots of validation loss

Ratios come from one run: what is compared is measured in turns. Before anything that reads
files is timed, the files are read once, so that all read from the page cache and none from
the disk. The tables are printed and written to ``out/benchmark-mlp.md``
(``benchmark-mlp-quick.md`` with ``--quick``; nowhere with ``--only``). The exit code is 1 where
a target was missed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lines import Line

# Workers import this file too, and their memory is measured: what it needs waits for main.
if TYPE_CHECKING:
    from mlp_workload import NetworkWorkload
    from program import Measurement

#: By name, in the order of the table. ``{network}`` and the like are what the run is of.
LINES = {
    "sklearn": Line.at_least(
        "MLPClassifier {network}, batches of 200, Adam, {memory_rows} float32 rows in memory: "
        "samples/s / scikit-learn's",
        2.0,
    ),
    "torch": Line.at_least(
        "the same / PyTorch's on CPUs, Adam(fused=True), as many threads, batches gathered from a "
        "permutation",
        1.0,
    ),
    "out-of-core": Line.at_least(
        "the same network, {large} rows in Zarr ({large_nbytes}), n_replicas=1 on one worker of "
        "{memory} and one thread: samples/s / in memory on one thread",
        0.7,
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
Ratios, speeds and seconds are medians, with the least and the largest in brackets; what is
compared was measured in turns in one run, and files were read from the page cache. Seconds are of
whole fits: checks, the pass over the labels, and starting tasks are part of them. Peak memory is
the operating system's high-water mark of the whole process. Classes are drawn from a fixed network
of 32 hidden units; validation rows are others, 20,000 of them in a full run.
"""


def measurements(peers: bool) -> list[Measurement]:
    """All measurements in the order they run, with the names that each goes by."""
    import mlp_cluster
    import mlp_curves
    import mlp_speed

    torch: list[Measurement] = [(mlp_speed.against_torch, ("torch",))] if peers else []
    return [
        (mlp_speed.against_sklearn, ("sklearn",)),
        *torch,
        (mlp_speed.out_of_core, ("out-of-core",)),
        (mlp_speed.two_workers, ("workers", "workers-loss")),
        (mlp_cluster.memory, ("memory",)),
        (mlp_cluster.any_cluster, ("bits", "killed")),
        (mlp_curves.replicas, ("replicas",)),
        (mlp_curves.shuffling, ("shuffling",)),
        (mlp_curves.batch_sizes, ("batch-size",)),
    ]


def main() -> int:
    """Measure; the exit code is 1 where a target was missed or something went wrong."""
    from mlp_workload import NetworkWorkload
    from program import Program

    program = Program("benchmark-mlp", LINES, NOTES, measurements, PEERS)
    parser = program.parser("Hold figures of networks against the ones to reach.")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draw plots there")
    options = parser.parse_args()

    def workload(folder: Path) -> NetworkWorkload:
        if options.quick:
            return NetworkWorkload.quick(folder, options.plots)
        return NetworkWorkload(folder, options.plots)

    return program.run(options, workload)


if __name__ == "__main__":
    sys.exit(main())
