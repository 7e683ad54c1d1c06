"""A benchmark program: it reads options, runs measurements, and prints a table."""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from lines import Line, Table
from peers import PeerUnavailable

OUT = Path(__file__).resolve().parent.parent / "out"
PACKAGES = ("numpy", "scikit-learn", "dask", "zarr")


class Sizes(Protocol):
    """Sizes and data of a run."""

    def words(self) -> dict[str, str]:
        """Return the sizes as the table prints them."""


#: A function that fills some lines of the table, and the names of these lines for ``--only``.
Measurement = tuple[Callable[[Any, Table], None], tuple[str, ...]]


@dataclass(frozen=True)
class Program:
    """A benchmark program.

    Attributes
    ----------
    name : str
        Name of the file in ``out`` that it writes.
    lines : mapping of Line
        Lines of the table, with their targets.
    notes : str
        Text below the table.
    measurements : callable
        Takes whether to run peers, and returns the measurements in the order they run.
    peers : sequence of str
        Names of lines that need a peer.
    on_request : sequence of str
        Names of lines that are measured only if ``--only`` names them, because they take long.
    """

    name: str
    lines: Mapping[str, Line]
    notes: str
    measurements: Callable[[bool], Sequence[Measurement]]
    peers: Sequence[str]
    on_request: Sequence[str] = ()

    def parser(self, description: str) -> argparse.ArgumentParser:
        """Return a command line parser, to which a program may add options."""
        names = [name for _, filled in self.measurements(True) for name in filled]
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--quick", action="store_true", help="small sizes, one repetition")
        parser.add_argument(
            "--only", nargs="+", default=[], choices=names, metavar="NAME", help=", ".join(names)
        )
        parser.add_argument(
            "--without-peers", action="store_true", help="do not run other packages"
        )
        parser.add_argument("--dir", type=Path, help="where data sets are made, default: out/bench")
        parser.add_argument(
            "--keep", action="store_true", help="leave the data sets there, for the next run"
        )
        return parser

    def run(self, options: argparse.Namespace, sizes: Callable[[Path], Sizes]) -> int:
        """Run the measurements; return 1 if a target was missed or an error occurred.

        The table is printed, and written to a file unless `--only` was given.

        Parameters
        ----------
        options : Namespace
            Result of the parser.
        sizes : callable
            Takes the folder for data sets, and returns the sizes and data of the run.
        """
        OUT.mkdir(exist_ok=True)
        with _folder_for(options.dir, options.keep) as folder:
            workload = sizes(folder)
            table = Table(self.lines, workload.words())
            no_errors = self._measure(workload, table, options.only, not options.without_peers)
        label = "Quick run: small sizes, whose figures mean little.\n\n" if options.quick else ""
        text = f"{label}{machine()}\n\n{table.markdown()}\n\n{self.notes}"
        if not options.only:
            name = f"{self.name}-quick.md" if options.quick else f"{self.name}.md"
            (OUT / name).write_text(text)
        print(f"\n{text}")
        return 0 if no_errors and table.all_reached else 1

    def _measure(self, workload: Sizes, table: Table, only: list[str], peers: bool) -> bool:
        """Fill the table; return whether there was no error."""
        no_errors = True
        for run, names in self.measurements(peers):
            wanted = only or [name for name in names if name not in self.on_request]
            if not set(names) & set(wanted):
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
                no_errors = False
                for name in names:
                    table.skip(name, f"{type(error).__name__}: {error}")
            print(f"  {time.perf_counter() - began:.0f} s", flush=True)
        if not peers:
            for name in self.peers:
                if not only or name in only:
                    table.skip(name, "--without-peers")
        return no_errors


def machine() -> str:
    """Return the date, the machine and the versions of the packages, in words."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs ({platform.machine()}), "
        f"{memory:.0f} GiB of memory, Python {platform.python_version()}, {packages}."
    )


@contextmanager
def _folder_for(parent: Path | None, keep: bool) -> Iterator[Path]:
    """Yield the folder for data sets: a new folder that is removed at the end, or one to keep."""
    parent = parent or OUT / "bench"
    parent.mkdir(parents=True, exist_ok=True)
    if keep:
        yield parent
        return
    with tempfile.TemporaryDirectory(prefix="data-", dir=parent) as folder:
        yield Path(folder)
