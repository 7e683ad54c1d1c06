"""The options of ``dlbd ingest`` for svmlight files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from storage.ingestion.svmlight_format import SVMLightFormat

__all__ = ["format_from_options", "svmlight_options"]

_OPTIONS = [
    click.option(
        "--svmlight", is_flag=True,
        help="Read files of any name as svmlight (LIBSVM); .svm, .svmlight and .libsvm are known.",
    ),
    click.option(
        "--n-features", metavar="N", type=click.IntRange(1),
        help="svmlight: number of columns of X; default: up to the largest column number.",
    ),
    click.option(
        "--zero-based/--one-based", default=None,
        help="svmlight: columns are numbered from 0 or from 1; default: as the files show.",
    ),
    click.option(
        "--classes", metavar="A,B,...|auto",
        help="svmlight: labels are classes, these or all that the files have; default: numbers.",
    ),
    click.option(
        "--ignore-qid", is_flag=True, help="svmlight: leave out query numbers (qid:3)."
    ),
]  # fmt: skip


def svmlight_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def format_from_options(
    *,
    svmlight: bool,
    n_features: int | None,
    zero_based: bool | None,
    classes: str | None,
    ignore_qid: bool,
) -> SVMLightFormat | None:
    """Return the format that the options declare; None if none of them is given."""
    if not (svmlight or ignore_qid) and (n_features, zero_based, classes) == (None, None, None):
        return None
    labels: Any = classes
    if classes not in (None, "auto"):
        labels = classes.split(",")
    try:
        return SVMLightFormat(
            n_features=n_features,
            zero_based="auto" if zero_based is None else zero_based,
            classes=labels,
            qid="ignore" if ignore_qid else "error",
        )
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"--classes {classes}: {error}") from error
