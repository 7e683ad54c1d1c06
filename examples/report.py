"""The report of the flights example: one table, as printed text and as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from pathlib import Path

from flights_models import Result

HEADINGS = (
    "predicted",
    "model",
    "solver",
    "passes",
    "fit, s",
    "peak, MB",
    "test score",
    "baseline",
    "sklearn, s",
    "coef. diff.",
)
N_TEXT = 3
LEGEND = """\
passes       readings of the training rows; a fit from a sample of blocks counts by its share
             (a validation pass of the network counts as one; standardising its features takes
             one more, in its time but not in its passes)
fit          wall time out of core, from the stored data set to coefficients
peak         largest resident memory of a worker process during the fit, interpreter and
             libraries included
test score   of rows that no fit has seen: R2 for delays, share of right answers for classes
baseline     the same score for always predicting the training rows' mean, or largest class
sklearn      scikit-learn's fit of the same rows, already in memory, by its fastest solver
             that gets to 1e-6 ({references}), or its network of the
             same parameters, on one thread
coef. diff.  max |a - b| / max |b|, b being scikit-learn's: the larger of that of the
             coefficients and that of the intercepts; none for the network, as the two shuffle
             in different ways: their scores are compared below"""


def rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    """Return the cells of the table, one row per model."""
    return [
        (
            f"{result.task.name}, {result.task.score_name}",
            type(result.task.model).__name__,
            result.task.solver,
            f"{result.task.model.n_passes_:.2f}",
            f"{result.seconds:.2f}",
            f"{result.peak / 1e6:.0f}",
            f"{result.score:.4f}",
            f"{result.baseline:z.4f}",
            f"{result.reference_seconds:.2f}",
            "-" if isnan(result.difference) else f"{result.difference:.1e}",
        )
        for result in results
    ]


def plain(results: Sequence[Result]) -> str:
    """Return the table as text for a terminal."""
    table = [HEADINGS, *rows(results)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if number < N_TEXT else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def markdown(results: Sequence[Result]) -> str:
    """Return the table as Markdown."""
    align = ["---" if number < N_TEXT else "---:" for number in range(len(HEADINGS))]
    lines = [HEADINGS, align, *rows(results)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def legend(results: Sequence[Result]) -> str:
    """Return the explanation of the columns."""
    solvers = [
        getattr(result.task.reference, "solver", "lstsq")
        for result in results
        if not result.task.is_network
    ]
    return LEGEND.format(references=", ".join(dict.fromkeys(solvers)))


def notes(results: Sequence[Result]) -> list[str]:
    """Return the warnings of the fits, each with the name of its model."""
    return [
        f"{result.task.name}, {result.task.solver}: {note}"
        for result in results
        for note in result.notes
    ]


def write(
    path: Path, results: Sequence[Result], extra: Sequence[str], plots: Sequence[Path]
) -> None:
    """Write the report as Markdown, with links to the plots in the same folder."""
    parts = [
        "# Flights from New York, 2013",
        markdown(results),
        f"```text\n{legend(results)}\n```",
        *(f"- {line}" for line in [*extra, *notes(results)]),
        *(f"![{plot.stem}]({plot.name})" for plot in plots),
    ]
    path.write_text("\n\n".join(parts) + "\n")
