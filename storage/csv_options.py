"""The options of ``dlbd ingest``, ``append`` and ``repair`` for CSV files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from storage.ingestion.csv_format import CSVFormat

__all__ = ["csv_from_options", "csv_options"]

_OPTIONS = [
    click.option(
        "--delimiter", metavar="CHAR",
        help=r"What separates the fields of CSV files, such as ; or \t.",
    ),
    click.option("--encoding", help="How CSV files are encoded; default: UTF-8."),
    click.option(
        "--multiline", is_flag=True, help="Quoted fields of CSV files may hold line breaks."
    ),
    click.option(
        "--skip-bad-lines", is_flag=True,
        help="Leave out and count lines of CSV files with too many or too few fields.",
    ),
]  # fmt: skip


def csv_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def csv_from_options(
    *,
    delimiter: str | None,
    encoding: str | None,
    multiline: bool,
    skip_bad_lines: bool,
) -> CSVFormat | None:
    """Return the format that the options declare; None if none of them is given."""
    options: dict[str, Any] = {"delimiter": delimiter, "encoding": encoding}
    given = {name: value for name, value in options.items() if value is not None}
    if delimiter == r"\t":  # which a shell does not turn into a tab
        given["delimiter"] = "\t"
    if multiline:
        given["multiline"] = True
    if skip_bad_lines:
        given["on_bad_lines"] = "skip"
    try:
        return CSVFormat(**given) if given else None
    except (LookupError, ValueError) as error:
        raise click.UsageError(str(error)) from error
