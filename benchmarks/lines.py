"""Targets of benchmarks, and the table that compares measured figures with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """A line of the table: what is measured, and its target.

    Attributes
    ----------
    what : str
        Description of the measurement.
    target : str
        The target in words.
    limit : float
        The target as a number: the largest value that reaches it. NaN if it is not a number.
    is_lower_bound : bool
        Whether `limit` is the smallest value that reaches the target instead.
    """

    what: str
    target: str
    limit: float = float("nan")
    is_lower_bound: bool = False

    @classmethod
    def at_most(cls, what: str, limit: float) -> Line:
        """Return a line for a number that must not be larger than ``limit``."""
        return cls(what, f"<= {limit:g}", limit)

    @classmethod
    def at_least(cls, what: str, limit: float) -> Line:
        """Return a line for a number that must not be smaller than ``limit``."""
        return cls(what, f">= {limit:g}", limit, is_lower_bound=True)

    def is_reached_by(self, value: float) -> bool:
        """Return whether a number reaches the target."""
        return value >= self.limit if self.is_lower_bound else value <= self.limit


@dataclass(frozen=True)
class Result:
    """One row of the table.

    Attributes
    ----------
    verdict : str
        ``ok``, ``missed``, or the reason why nothing was measured.
    reached : str
        The figure, in words.
    """

    verdict: str
    reached: str = ""


class Table:
    """The results of a benchmark program.

    Parameters
    ----------
    lines : mapping of Line
        Lines by name, in the order of the table. Their texts may have placeholders such as
        ``{rows}``.
    sizes : mapping of str
        Values of the placeholders.
    """

    def __init__(self, lines: Mapping[str, Line], sizes: Mapping[str, str]) -> None:
        self._lines = lines
        self._sizes = sizes
        self._results: dict[str, Result] = {}
        self._references: list[tuple[str, str]] = []
        self._others: list[str] = []

    def limit(self, name: str) -> float:
        """Return the limit of a line, for targets that have other conditions, too."""
        return self._lines[name].limit

    def number(self, name: str, value: float, reached: str) -> None:
        """Record a number, and compare it with its target."""
        self.claim(name, self._lines[name].is_reached_by(value), reached)

    def claim(self, name: str, holds: bool, reached: str) -> None:
        """Record whether a target is reached."""
        self._record(name, Result("ok" if holds else "missed", reached))

    def skip(self, name: str, reason: str) -> None:
        """Record why a line was not measured, unless the line has a result already."""
        if name not in self._results:
            self._record(name, Result(f"not run: {reason}"))

    def reference(self, what: str, reached: str) -> None:
        """Add a row that has no target."""
        self._references.append((what, reached))
        print(f"  reference: {self._fill(what)}: {reached}", flush=True)

    def add_table(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a separate table, which has no targets."""
        self._others.append(f"{self._fill(title)}\n\n{_markdown([header, *rows])}")
        print("  " + self._others[-1].replace("\n", "\n  "), flush=True)

    @property
    def all_reached(self) -> bool:
        """Whether no figure that was measured missed its target."""
        return all(result.verdict != "missed" for result in self._results.values())

    def markdown(self) -> str:
        """Return the table of all lines that have a result, and the separate tables."""
        rows = [
            (self._fill(line.what), line.target, result.reached, result.verdict)
            for name, line in self._lines.items()
            for result in [self._results.get(name)]
            if result is not None
        ]
        rows += [
            (name, "", "", result.verdict)
            for name, result in self._results.items()
            if name not in self._lines
        ]
        rows += [(self._fill(what), "", reached, "reference") for what, reached in self._references]
        tables = [_markdown([("what", "target", "reached", "verdict"), *rows])] if rows else []
        return "\n\n".join([*tables, *self._others])

    def _fill(self, text: str) -> str:
        return text.format_map(self._sizes)

    def _record(self, name: str, result: Result) -> None:
        self._results[name] = result
        print(f"  {name}: {result.verdict}{result.reached and '; ' + result.reached}", flush=True)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ("---",) * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
