"""Measure the cost of monitoring fits, and compare the figures with their targets.

    python benchmarks/monitoring.py            all measurements, a few minutes
    python benchmarks/monitoring.py --quick    small sizes, to see that it works

Monitored and unmonitored fits run in turns, after their files were read once. The table is printed
and written to ``out/benchmark-monitoring.md`` (``benchmark-monitoring-quick.md`` with ``--quick``;
to no file with ``--only``). The exit code is 1 if a target was missed.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dask
import numpy as np
from lines import Line, Table
from program import Measurement, Program
from rich.console import Console
from timing import Fit, in_turns, quotients, seconds_of, spread, timed_fit
from workload import Workload, warm_page_cache

from dlbd_estimators import LogisticRegression
from dlbd_estimators.monitoring import JSONLinesFile, ProgressBar, listening
from dlbd_estimators.monitoring.events import Event, FitEvents, Listener
from dlbd_estimators.monitoring.lines import print_line

#: Single fits differ by a fifth on a shared machine: a median of fewer is not accurate to 2 %.
TURNS = 60
STEPS = 10_000
#: Values of one step, as a linear model reports them.
ENTRY = {
    "iteration": 1,
    "pass": 1.0,
    "loss": 0.5,
    "gradient_norm": 1e-3,
    "error": 1e-3,
    "step": 1.0,
    "seconds": 1.0,
    "bytes_read": 10**9,
}

LINES = {
    "all-sinks": Line.at_most(
        "logistic, {shared_rows} x {features} float32 in Zarr, two {memory} workers, with the "
        "training page, a file of JSON lines, a progress bar and verbose=1: wall / unwatched",
        1.02,
    ),
    "event": Line.at_most(
        f"an event of {STEPS:,} steps in memory, for a listener that does nothing: microseconds",
        50.0,
    ),
}

NOTES = """\
Wall times and times of an event are medians, with the smallest and the largest in brackets. The
progress bar is drawn ten times a second, for a terminal that is a buffer in memory; the lines of
verbose=1 go to such a buffer, too. No browser shows the training page. Unwatched fits have no
listener and the Dask configuration dlbd-estimators.dashboard is false.
"""


@contextmanager
def event_time_recorded(fits: list[float]) -> Iterator[None]:
    """Append to ``fits`` the seconds that the fitting thread spends on sending events.

    Wall times of equal fits differ by more than this.
    """
    seconds: list[float] = []

    def timed(function: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: object, **options: object) -> None:
            began = time.perf_counter()
            function(*arguments, **options)
            seconds.append(time.perf_counter() - began)

        return call

    with ExitStack() as patches:
        for owner, name in (
            (FitEvents, "start"),
            (FitEvents, "step"),
            (FitEvents, "warn"),
            (FitEvents, "end"),
        ):
            patches.enter_context(patch.object(owner, name, timed(getattr(owner, name))))
        yield
    fits.append(sum(seconds))


@contextmanager
def all_sinks(folder: Path) -> Iterator[None]:
    """Monitor fits in all ways at once, except verbose=1, which is a parameter of the fits."""
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with (
        redirect_stdout(io.StringIO()),
        listening(JSONLinesFile(folder / "fits.jsonl")),
        listening(ProgressBar(screen)),
    ):
        yield


def sinks(workload: Workload, table: Table) -> None:
    """Fit on a cluster, monitored and unmonitored."""
    data = workload.dataset(workload.shared_rows)

    event_seconds: list[float] = []

    def watched() -> Fit:
        with all_sinks(workload.folder), event_time_recorded(event_seconds):
            return timed_fit(LogisticRegression(verbose=1), data.X, data.y)

    def unwatched() -> Fit:
        with dask.config.set({"dlbd-estimators.dashboard": False}):
            return timed_fit(LogisticRegression(), data.X, data.y)

    with workload.two_workers():
        warm_page_cache(data.path)
        contestants = {"watched": watched, "unwatched": unwatched}
        fits = in_turns(contestants, workload.repeats, warm_up=True)
    seconds = {name: [fit.seconds for fit in found] for name, found in fits.items()}
    event_seconds = event_seconds[-len(seconds["watched"]) :]  # without the round that warms up
    share = sum(event_seconds) / sum(seconds["watched"])
    ratio = float(np.median(seconds["watched"]) / np.median(seconds["unwatched"]))
    by_turn = spread(quotients(seconds["watched"], seconds["unwatched"]), form=".3f")
    table.number(
        "all-sinks",
        ratio,
        f"{ratio:.3f}; {seconds_of(fits['watched'])} against {seconds_of(fits['unwatched'])}, "
        f"{len(fits['watched'])} turn(s), by turn {by_turn}",
    )
    table.reference(
        "the same: share of a watched fit's wall that its own thread spends on sending events",
        f"{share:.2%}, {np.median(event_seconds) * 1e3:.1f} ms a fit",
    )


def events(workload: Workload, table: Table) -> None:
    """Time the events of a long fit without the fit itself, for each kind of listener."""
    listeners: dict[str, Callable[[], list[Listener]]] = {
        "nobody": list,
        "nothing": lambda: [_nothing],
        "a file of JSON lines": lambda: [JSONLinesFile(workload.folder / "steps.jsonl")],
        "a progress bar": lambda: [
            ProgressBar(Console(file=io.StringIO(), force_terminal=True, width=100))
        ],
        "verbose=1": lambda: [print_line],
    }
    executor = _executor_of_a_fit()
    with redirect_stdout(io.StringIO()):
        contestants = {
            name: partial(_microseconds, executor, make) for name, make in listeners.items()
        }
        found = in_turns(contestants, max(workload.repeats // 3, 1), warm_up=True)
    without_work = found.pop("nothing")
    table.number("event", float(np.median(without_work)), spread(without_work, " us", ".1f"))
    for name, taken in found.items():
        table.reference(f"the same for {name}", spread(taken, " us", ".1f"))


def _nothing(event: Event) -> None:
    """Ignore an event."""


def _executor_of_a_fit() -> Any:
    """Return the executor of a small fit: events read its threads and its cost."""
    with patch.object(FitEvents, "start", autospec=True) as start:
        LogisticRegression().fit([[-1.0], [1.0]], [0, 1])
    return start.call_args.args[1]


def _microseconds(executor: Any, listeners: Callable[[], list[Listener]]) -> float:
    """Return the microseconds of one event in a fit with many steps."""
    fit = FitEvents(listeners())
    fit.start(
        executor,
        estimator="LogisticRegression",
        parameters=LogisticRegression().get_params,
        step="iteration",
        max_steps=STEPS,
        tol=1e-9,
        n_rows=10**6,
        n_features=100,
        n_blocks=100,
    )
    began = time.perf_counter()
    for _ in range(STEPS):
        fit.step(lambda: ENTRY)
    taken = time.perf_counter() - began
    fit.end("converged")
    return taken / STEPS * 1e6


#: The measurements, in the order they run.
MEASUREMENTS: list[Measurement] = [(sinks, ("all-sinks",)), (events, ("event",))]


def main() -> int:
    """Run the measurements; return 1 if a target was missed or an error occurred."""
    # The measurements are the same with and without peers: none needs a peer.
    program = Program("benchmark-monitoring", LINES, NOTES, lambda _: MEASUREMENTS, ())
    options = program.parser("Compare the cost of monitoring with its targets.").parse_args()

    def workload(folder: Path) -> Workload:
        return Workload.quick(folder) if options.quick else replace(Workload(folder), repeats=TURNS)

    return program.run(options, workload)


if __name__ == "__main__":
    sys.exit(main())
