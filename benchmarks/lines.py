"""The figures to reach, and the table that holds what was measured against them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A figure to reach.

    Attributes
    ----------
    what : str
        What is measured.
    target : str
        What to reach, in words.
    limit : float
        Largest value that reaches it, where it is a number.
    """

    what: str
    target: str
    limit: float = float("nan")

    @classmethod
    def at_most(cls, what: str, limit: float) -> Line:
        """A number that must not be larger than ``limit``."""
        return cls(what, f"<= {limit:g}", limit)


#: By name, in the order of the table. ``{rows}`` and the like are the sizes of the run.
LINES = {
    "passes": Line.at_most(
        "logistic, {rows} x {features} float32 in Zarr, two {memory} workers: passes to a "
        "certified Newton decrement <= 1e-10",
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
    "tasks": Line("scheduler tasks a pass at 50 blocks and at 5,000 blocks", "the same"),
    "lbfgs": Line.at_most(
        "in memory, {memory_rows} x 100 float64 NumPy, logistic: wall / scikit-learn's lbfgs, "
        "tol 1e-8",
        0.5,
    ),
    "intelex": Line.at_most("the same / scikit-learn-intelex's lbfgs, tol 1e-8", 0.7),
    "dask-ml": Line.at_most(
        'the out-of-core fit / dask-ml 2025.1 LogisticRegression(solver="newton")', 0.15
    ),
    "memmap": Line.at_most(
        "the out-of-core fit / scikit-learn's lbfgs, tol 1e-8, on an np.memmap of the same rows, "
        "page cache warm, no memory limit",
        1.0,
    ),
    "intelex-ridge": Line.at_most("in memory, the same X, Ridge: wall / intelex's Ridge", 1.0),
    "multinomial": Line.at_most(
        "in memory, multinomial {multinomial_rows} x 50, 10 classes: wall / scikit-learn's "
        "fastest solver that comes within 1e-6",
        0.7,
    ),
    "ill-conditioned": Line.at_most(
        "columns of scales 1e-3 to 1e3: largest relative error of a coefficient, default settings",
        1e-6,
    ),
    "same-bits": Line("1, 2 and 4 workers, and threads: coefficients", "same bits"),
    "killed-worker": Line(
        "one worker of three killed (SIGKILL) in the middle of a pass: coefficients",
        "same bits, no error",
    ),
}


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes
    ----------
    verdict : str
        ``ok``, ``missed``, or why there is no figure.
    reached : str
        The figure, in words.
    """

    verdict: str
    reached: str = ""


class Table:
    """Results by line.

    Parameters
    ----------
    sizes : dict
        Fills in the placeholders of :data:`LINES`.
    """

    def __init__(self, sizes: dict[str, str]) -> None:
        self._sizes = sizes
        self._results: dict[str, Result] = {}
        self._references: list[tuple[str, str]] = []

    def number(self, name: str, value: float, reached: str) -> None:
        """Record a number, which reaches its target by being small enough."""
        self.claim(name, value <= LINES[name].limit, reached)

    def claim(self, name: str, holds: bool, reached: str) -> None:
        """Record whether a target is reached."""
        self._record(name, Result("ok" if holds else "missed", reached))

    def skip(self, name: str, reason: str) -> None:
        """Record why there is no figure; a figure that is there already stays."""
        if name not in self._results:
            self._record(name, Result(f"not run: {reason}"))

    def reference(self, what: str, reached: str) -> None:
        """Add a row that has no target."""
        self._references.append((what, reached))
        print(f"  reference: {self._fill(what)}: {reached}", flush=True)

    @property
    def all_reached(self) -> bool:
        """Whether no figure that was measured missed its target."""
        return all(result.verdict != "missed" for result in self._results.values())

    def markdown(self) -> str:
        """Return the table, without the lines that nobody asked for."""
        rows = [
            (self._fill(line.what), line.target, result.reached, result.verdict)
            for name, line in LINES.items()
            for result in [self._results.get(name)]
            if result is not None
        ]
        rows += [(self._fill(what), "", reached, "reference") for what, reached in self._references]
        header = ("what", "target", "reached", "verdict")
        lines = [header, ("---",) * len(header), *rows]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def _fill(self, text: str) -> str:
        return text.format_map(self._sizes)

    def _record(self, name: str, result: Result) -> None:
        self._results[name] = result
        print(f"  {name}: {result.verdict}{result.reached and '; ' + result.reached}", flush=True)
