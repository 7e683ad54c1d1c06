"""The commands ``dlbd info`` and ``dlbd verify``, which describe and check data sets.

The program ``dlbd`` finds them by their entry points in ``pyproject.toml``.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from storage.dataset import Dataset
from storage.errors import NotADataset
from storage.layout import HASHES
from storage.opening import open_dataset
from storage.progress_bar import progress_bar
from storage.representation import as_text

__all__ = ["described", "info", "verify"]

_UNITS_SHOWN = 20

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.command(short_help="Show what a data set holds.")
@click.argument("data")
@click.option("--head", metavar="N", type=click.IntRange(0), help="Show the first N rows, too.")
@click.option("--version", metavar="K", type=click.IntRange(1), help="Show an older version.")
@_as_json
def info(data: str, head: int | None, version: int | None, as_json: bool) -> None:
    """Show what the data set DATA holds: rows, columns, target, blocks, sizes, versions, splits.

    DATA is a folder, or a URL such as s3://bucket/flights.zarr. Only metadata is read; --head reads
    the blocks of the rows that it shows.

    \b
    Examples:
      dlbd info flights.zarr
      dlbd info flights.zarr --head 5
      dlbd info flights.zarr --version 1
      dlbd info s3://bucket/flights.zarr --json
    """
    dataset = open_dataset(data, version=version)
    rows = None if head is None else dataset.head(head)
    if as_json:
        facts = _facts(dataset)
        if rows is not None:
            facts["head"] = json.loads(rows.to_json(orient="records"))
        click.echo(json.dumps(facts))
        return
    click.echo(described(dataset))
    if rows is not None:
        click.echo(rows.to_string())


@click.command(short_help="Read all of a data set and check it.")
@click.argument("data")
@click.option("--decode", is_flag=True, help="Decode all chunks and count their values, too.")
@_as_json
def verify(data: str, decode: bool, as_json: bool) -> None:
    """Read all files of the data set DATA, and compare them with the checksums that were written.

    The exit code is 1 where a chunk is missing or damaged, and the error names it.

    \b
    Examples:
      dlbd verify flights.zarr
      dlbd verify flights.zarr --decode
      dlbd verify s3://bucket/flights.zarr --json
    """
    with progress_bar(hidden=as_json):
        report = open_dataset(data).verify(decode=decode)
    if as_json:
        facts = {"data": data, "chunks": report.chunks, "nbytes": report.nbytes}
        click.echo(json.dumps(facts | {"nan": report.nan, "seconds": report.seconds}))
        return
    click.echo(
        f"{data}: all {report.chunks:,} chunks are as they were written "
        f"({report.nbytes:,} bytes in {report.seconds:.1f} s)"
    )


def described(dataset: Dataset) -> str:
    """Return the text of a data set, with its splits and units."""
    splits = [f"{each.name}: {each.summary}" for each in dataset.splits.values()]
    if splits:
        splits.append(f"in none, and not stored: {dataset.n_in_no_split:,} rows")
    units = [f"{name}: {unit}" for name, unit in dataset.units.items()]
    if len(units) > _UNITS_SHOWN:
        units[_UNITS_SHOWN:] = ["..."]
    return as_text(
        dataset,
        [
            (name if place == 0 else "", line)
            for name, lines in (("splits", splits), ("units", units))
            for place, line in enumerate(lines)
        ],
    )


def _facts(dataset: Dataset) -> dict[str, Any]:
    arrays = [name for name in dataset.layouts if name != HASHES]
    return {
        "url": dataset.url,
        "n_samples": dataset.n_samples,
        "n_features": dataset.n_features,
        "n_blocks": dataset.X.numblocks[0],
        "feature_names": list(dataset.feature_names),
        "target": dataset.target,
        "classes": None if dataset.classes is None else list(dataset.classes),
        "sparse": dataset.schema.sparse,
        "nnz": dataset.manifest.nnz,
        "dtypes": {name: dataset.layouts[name].dtype for name in arrays},
        "nan": {name: dataset.manifest.n_nan(name) for name in arrays},
        "nbytes": dataset.nbytes,
        "nbytes_stored": dataset.nbytes_stored,
        "source": dataset.schema.source,
        "rows": _selection(dataset),
        "splits": {
            name: {
                "n_samples": each.n_samples,
                "rows": each.rows.to_json(),
                "learned_from": each.learned,
            }
            for name, each in dataset.splits.items()
        },
        "n_in_no_split": dataset.n_in_no_split,
        "units": dict(dataset.units),
        "written": dataset.schema.created,
        "version": dataset.version,
        "versions": [asdict(version) for version in dataset.versions],
    }


def _selection(dataset: Dataset) -> dict[str, Any] | None:
    """Return by which column, and in which range, the rows were selected; None for all rows."""
    from storage.ingestion.record import IngestRecord  # imports pyarrow

    try:
        rows = IngestRecord.of(dataset).rows
    except NotADataset:  # made of arrays or svmlight files, of which no rows are selected
        return None
    return None if rows is None else rows.to_json()
