"""Measure, and hold the figures against the ones to reach.

    python benchmarks/out_of_core.py                  all of it, about 15 minutes
    python benchmarks/out_of_core.py --quick          small sizes, to see that it works
    python benchmarks/out_of_core.py --only memory    one line of the table, or several

Ratios come from one run: what is compared is measured in turns. Before anything that reads
files is timed, the files are read once, so that all read from the page cache and none from
the disk. The table is printed and written to ``out/benchmark.md`` (``benchmark-quick.md``
with ``--quick``; nowhere with ``--only``). The exit code is 1 where a target was missed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import against_dask_ml
import in_memory
import on_disk
import same_bits
from lines import LINES, Table
from peers import PeerUnavailable
from workload import Workload

OUT = Path(__file__).resolve().parent.parent / "out"
PEERS = ("intelex", "intelex-ridge", "dask-ml")
PACKAGES = ("numpy", "scikit-learn", "dask", "zarr")

NOTES = """\
Times and ratios are medians, with the least and the largest in brackets; what is compared was
measured in turns in one run, and files were read from the page cache. Bare work: the same workers
read the same chunks with zarr and form X.T @ X, nothing else; each fit is divided by the mean of
the bare work just before and just after it. Peak memory is the operating system's high-water mark
of the whole process. Coefficients differ by max |a - b| / max |b|, except where columns have other
scales: there each coefficient is compared with itself.
"""

Measure = Callable[[Workload, Table], None]


def measures(peers: bool) -> list[tuple[Measure, tuple[str, ...]]]:
    """All measurements in the order they run, with the lines of the table each fills."""
    found: list[tuple[Measure, tuple[str, ...]]] = [
        (on_disk.against_bare_work, ("passes", "bare-work", "ridge")),
        (on_disk.memory, ("memory",)),
        (on_disk.by_hand, ("memmap",)),
    ]
    if peers:
        found.append((against_dask_ml.newton, ("dask-ml",)))
    with_peers = ("intelex", "intelex-ridge") if peers else ()
    return [
        *found,
        (partial(in_memory.two_classes, peers=peers), ("lbfgs", *with_peers)),
        (in_memory.ten_classes, ("multinomial",)),
        (in_memory.bad_scales, ("ill-conditioned",)),
        (same_bits.tasks_of_a_pass, ("tasks",)),
        (same_bits.any_cluster, ("same-bits", "killed-worker")),
    ]


def measure(workload: Workload, table: Table, only: list[str], peers: bool) -> bool:
    """Fill the table; tell whether nothing went wrong."""
    whole = True
    for run, names in measures(peers):
        if only and not set(names) & set(only):
            continue
        print(f"{', '.join(names)} ...", flush=True)
        began = time.perf_counter()
        try:
            run(workload, table)
        except PeerUnavailable as error:
            for name in names:
                table.skip(name, str(error))
        except Exception as error:  # noqa: BLE001 - the other lines can still be measured
            traceback.print_exc()
            whole = False
            for name in names:
                table.skip(name, f"{type(error).__name__}: {error}")
        print(f"  {time.perf_counter() - began:.0f} s", flush=True)
    if not peers:
        for name in PEERS:
            if not only or name in only:
                table.skip(name, "--without-peers")
    return whole


def machine() -> str:
    """Say what the figures were measured on and with."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs ({platform.machine()}), "
        f"{memory:.0f} GiB of memory, Python {platform.python_version()}, {packages}."
    )


@contextmanager
def folder_for(parent: Path | None, keep: bool) -> Iterator[Path]:
    """Where data sets go: a new folder that is removed, or one to keep."""
    parent = parent or OUT / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    if keep:
        yield parent
        return
    with tempfile.TemporaryDirectory(prefix="data-", dir=parent) as folder:
        yield Path(folder)


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description="Hold figures against the ones to reach.")
    parser.add_argument("--rows", type=int, help="of the data set on disk, default: 8_000_000")
    parser.add_argument("--quick", action="store_true", help="small sizes, one repetition")
    parser.add_argument(
        "--only", nargs="+", default=[], choices=LINES, metavar="NAME", help=", ".join(LINES)
    )
    parser.add_argument(
        "--without-peers", action="store_true", help="leave out what needs its own environment"
    )
    parser.add_argument("--dir", type=Path, help="where data sets are made, default: out/bench")
    parser.add_argument(
        "--keep", action="store_true", help="leave the data sets there, for the next run"
    )
    return parser.parse_args()


def main() -> int:
    """Measure; the exit code is 1 where a target was missed or something went wrong."""
    options = arguments()
    OUT.mkdir(exist_ok=True)
    with folder_for(options.dir, options.keep) as folder:
        workload = Workload.quick(folder) if options.quick else Workload(folder)
        if options.rows:
            workload = replace(workload, rows=options.rows)
        table = Table(workload.words())
        whole = measure(workload, table, options.only, not options.without_peers)
    label = "Quick run: small sizes, whose figures say little.\n\n" if options.quick else ""
    text = f"{label}{machine()}\n\n{table.markdown()}\n\n{NOTES}"
    if not options.only:
        name = "benchmark-quick.md" if options.quick else "benchmark.md"
        (OUT / name).write_text(text)
    print(f"\n{text}")
    return 0 if whole and table.all_reached else 1


if __name__ == "__main__":
    sys.exit(main())
