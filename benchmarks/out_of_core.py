"""Measure linear models, and compare the figures with their targets.

    python benchmarks/out_of_core.py                  all measurements, about 20 minutes
    python benchmarks/out_of_core.py --quick          small sizes, to see that it works
    python benchmarks/out_of_core.py --only memory    one line of the table, or several

The two sides of each ratio are measured in turns, in one run. Before a measurement that reads
files, the files are read once, so that all of them are in the page cache. The table is printed and
written to ``out/benchmark.md`` (``benchmark-quick.md`` with ``--quick``; to no file with
``--only``). The exit code is 1 if a target was missed.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import against_dask_ml
import correlated
import in_memory
import lasso
import limit
import on_disk
import pipelines
import same_bits
import small_problems
from lines import Line
from program import Measurement, Program
from workload import Workload

#: Lines by name, in the order of the table. ``{rows}`` etc. are placeholders for the sizes.
LINES = {
    "passes": Line.at_most(
        "logistic, {rows} x {features} float32 in Zarr, two {memory} workers: passes to "
        "an error of the coefficients of at most 1e-7",
        2.6,
    ),
    "bare-work": Line.at_most("the same: wall / (passes x bare work)", 1.15),
    "memory": Line(
        "the same: peak resident memory a worker; {rows} and {twice} rows",
        "cache on: < 0.7 of the limit, never spilled, paused or restarted; off: <= 450 MB; "
        "the same at twice the rows",
        450e6,
    ),
    "ridge": Line("Ridge, same data: passes; wall / bare work", "1; <= 1.15", 1.15),
    **limit.LINES,
    "pipeline": Line.at_most(
        "SimpleImputer -> StandardScaler -> LogisticRegression, same data with 2 % missing: passes "
        "more than LogisticRegression alone",
        1.0,
    ),
    "pipeline-time": Line.at_most("the same: wall / LogisticRegression alone", 1.5),
    "pipeline-shapes": Line.at_most(
        "the same, cache off, {shape_mb} MB each of 10 and 200 columns, float32 and float64, "
        "without gaps and with: median wall / LogisticRegression alone",
        1.5,
    ),
    "search": Line(
        "GridSearchCV over 4 values of C x 3 folds on {shared_rows} x 100 rows in Zarr, two "
        "{memory} workers: peak resident memory a worker",
        "< 0.7 of the limit",
        700e6,
    ),
    "tasks": Line("scheduler tasks a pass at 50 blocks and at 5,000 blocks", "the same"),
    "lbfgs": Line.at_most(
        "in memory, {memory_rows} x 100 float64 NumPy, logistic: wall / scikit-learn's lbfgs, "
        "tol 1e-8",
        0.5,
    ),
    "intelex": Line.at_most("the same / scikit-learn-intelex's lbfgs, tol 1e-8", 0.45),
    **correlated.LINES,
    "dask-ml": Line.at_most(
        'the out-of-core fit / dask-ml 2025.1 LogisticRegression(solver="newton")', 0.15
    ),
    "memmap": Line.at_most(
        "the out-of-core fit / scikit-learn's lbfgs, tol 1e-8, on an np.memmap of the same rows, "
        "page cache warm, no memory limit",
        1.0,
    ),
    "intelex-ridge": Line.at_most("in memory, the same X, Ridge: wall / intelex's Ridge", 0.55),
    "multinomial": Line.at_most(
        "in memory, multinomial {multinomial_rows} x 50, 10 classes: wall / scikit-learn's "
        "fastest solver that comes within 1e-6",
        0.5,
    ),
    "classes-30": Line.at_most(
        "in memory, multinomial {multinomial_rows} x 50, 30 classes: wall / the faster of "
        "scikit-learn's lbfgs and newton-cg, tol 1e-7",
        0.5,
    ),
    "classes-100": Line.at_most("the same, 100 classes", 0.5),
    "lasso": Line.at_most(
        "in memory, Lasso, {lasso_rows} x 200 float64, at no larger a duality gap: wall / "
        "scikit-learn's Lasso",
        0.3,
    ),
    "lasso-intelex": Line.at_most("the same / scikit-learn-intelex's Lasso", 0.3),
    **small_problems.LINES,
    "ill-conditioned": Line.at_most(
        "columns of scales 1e-3 to 1e3, default settings: largest error of a coefficient in "
        "standard units, relative to the largest coefficient",
        1e-6,
    ),
    "same-bits": Line("1, 2 and 4 workers, and threads: coefficients", "same bits"),
    "killed-worker": Line(
        "one worker of three killed (SIGKILL) in the middle of a pass: coefficients",
        "same bits, no error",
    ),
}

PEERS = ("intelex", "intelex-ridge", "correlated-glum", "lasso-intelex", "dask-ml")

NOTES = """\
Times and ratios are medians, with the smallest and the largest in brackets. The two sides of a
ratio were measured in turns in one run, and files were read from the page cache. Bare work: the
same workers read the same chunks with zarr and compute X.T @ X, nothing else. The time of each fit
is divided by the mean time of the bare work just before and just after it. Decoding and multiplying
alone: two processes decode all chunks into one buffer each, without zarr, and compute X.T @ X. The
ratio is the median of the turns, in the layout where it is largest. Peak memory is the
operating system's high-water mark of the whole process. The difference of coefficients is
max |a - b| / max |b|; for columns of different scales it is the largest relative error of a single
coefficient.
"""


def measurements(peers: bool) -> list[Measurement]:
    """Return all measurements in the order they run, with the names of the lines of each."""
    found: list[Measurement] = [
        (on_disk.against_bare_work, ("passes", "bare-work", "ridge")),
        (limit.distance, tuple(limit.LINES)),
        (on_disk.memory, ("memory",)),
        (on_disk.by_hand, ("memmap",)),
        (pipelines.against_alone, ("pipeline", "pipeline-time")),
        (pipelines.shapes, ("pipeline-shapes",)),
        (pipelines.search, ("search",)),
    ]
    if peers:
        found.append((against_dask_ml.newton, ("dask-ml",)))
    with_peers = ("intelex", "intelex-ridge") if peers else ()
    return [
        *found,
        (partial(in_memory.two_classes, peers=peers), ("lbfgs", *with_peers)),
        (
            partial(correlated.against_peers, peers=peers),
            ("correlated", *(("correlated-glum",) if peers else ())),
        ),
        (in_memory.ten_classes, ("multinomial",)),
        (in_memory.many_classes, ("classes-30", "classes-100")),
        (small_problems.against_scikit_learn, tuple(small_problems.LINES)),
        (
            partial(lasso.against_peers, peers=peers),
            ("lasso", *(("lasso-intelex",) if peers else ())),
        ),
        (in_memory.bad_scales, ("ill-conditioned",)),
        (same_bits.tasks_of_a_pass, ("tasks",)),
        (same_bits.any_cluster, ("same-bits", "killed-worker")),
    ]


def main() -> int:
    """Run the measurements; return 1 if a target was missed or an error occurred."""
    program = Program("benchmark", LINES, NOTES, measurements, PEERS)
    parser = program.parser("Measure linear models, and compare the figures with their targets.")
    parser.add_argument("--rows", type=int, help="rows of the data set on disk, default: 8_000_000")
    parser.add_argument(
        "--shape-mb", type=int, help="megabytes of each data set of pipeline-shapes, default: 400"
    )
    options = parser.parse_args()

    def workload(folder: Path) -> Workload:
        sizes = Workload.quick(folder) if options.quick else Workload(folder)
        if options.shape_mb:
            sizes = replace(sizes, shape_nbytes=options.shape_mb * 1_000_000)
        return replace(sizes, rows=options.rows) if options.rows else sizes

    return program.run(options, workload)


if __name__ == "__main__":
    sys.exit(main())
