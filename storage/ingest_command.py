"""``dlbd ingest``, ``dlbd repair`` and ``dlbd shuffle``, which write data sets."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import click

from storage.column_options import column_from_text
from storage.command_line import described
from storage.csv_options import csv_from_options, csv_options
from storage.dataset import Dataset
from storage.errors import NotADataset
from storage.ingestion.append import append as append_rows
from storage.ingestion.ingest import ingest as ingest_tables
from storage.ingestion.join_text import join_from_text
from storage.ingestion.repair import repair as repair_dataset
from storage.ingestion.selection import HashSplit, TimeSplit
from storage.ingestion.split import Split
from storage.ingestion.svmlight_source import is_svmlight_source
from storage.opening import open_dataset
from storage.option_hints import advice_as_options
from storage.progress_bar import progress_bar
from storage.shuffling import shuffle as shuffle_dataset
from storage.split_options import named_split, selection_from_text, splits_from_texts
from storage.svmlight_options import format_from_options, svmlight_options

__all__ = ["append", "ingest", "repair", "shuffle"]

_as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
_overwrite = click.option("--overwrite", is_flag=True, help="Replace a data set that is there.")


@click.command(short_help="Clean raw tables and store them.")
@click.argument("source", nargs=-1, required=True)
@click.option("-o", "--output", "url", required=True, metavar="DATA", help="Where to store them.")
@click.option("--target", metavar="COLUMN", help="The column that becomes y.")
@click.option(
    "--features", metavar="A,B,...", help="The columns that become X; default: all others."
)
@click.option(
    "-c", "--column", "columns", multiple=True, metavar="NAME:KIND,OPTION=VALUE,...",
    help="Declare a column: number, boolean, category, datetime or key, and its rules. Repeatable.",
)  # fmt: skip
@click.option(
    "--join", "joins", multiple=True, metavar="TABLE,on=COLUMN,...",
    help="Add the columns of another table by a key: on, left_on, right_on, columns, unmatched, "
    "name. Repeatable.",
)  # fmt: skip
@click.option(
    "--like", metavar="DATA", help="Use the columns, rules and categories of this data set again."
)
@click.option(
    "--by-hash",
    metavar="COLUMN,START,STOP",
    help="Ingest the rows whose hash of COLUMN, a number from 0 to 1, is in this range.",
)
@click.option(
    "--by-time",
    metavar="COLUMN,START,STOP",
    help="Ingest the rows of this time; leave START or STOP empty for no limit.",
)
@click.option(
    "--split", "splits", multiple=True, metavar="NAME:hash|time,COLUMN,START,STOP",
    help="Name a split of the rows, by hash or by time. Repeatable.",
)  # fmt: skip
@click.option(
    "--learn-from", multiple=True, metavar="NAME",
    help="The split that categories, imputed values and standardised columns are learned from; "
    "default: train. Repeatable.",
)  # fmt: skip
@csv_options
@svmlight_options
@click.option("--report", metavar="FILE", help="Write the quality report as an HTML page.")
@click.option(
    "--expected-rows",
    metavar="N",
    type=click.IntRange(1),
    help="Rows after later appends; chunks get the size for so many.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Continue an ingest of the same files that was killed, also in an object store.",
)
@_overwrite
@_as_json
def ingest(
    source: tuple[str, ...],
    url: str,
    target: str | None,
    features: str | None,
    columns: tuple[str, ...],
    joins: tuple[str, ...],
    like: str | None,
    by_hash: str | None,
    by_time: str | None,
    splits: tuple[str, ...],
    learn_from: tuple[str, ...],
    delimiter: str | None,
    encoding: str | None,
    multiline: bool,
    skip_bad_lines: bool,
    report: str | None,
    expected_rows: int | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    **written: Any,
) -> None:
    """Check, clean and encode raw tables, and store them as the data set DATA.

    SOURCE is one or several files, folders, globs or URLs of CSV, Parquet, Arrow, NumPy or
    svmlight files, or one data set. The kind of a column that is not declared is inferred from a
    sample. For each rule, -c chooses a policy. The first one is the default; "error" names the file
    and the line, and stores nothing:

    \b
      missing=keep|error|drop|impute        the cell is empty, or NA
      unparsable=error|drop|missing         the value is not of the column's kind
      out_of_range=error|drop|missing|clip  it is below minimum= or above maximum=
      unknown=error|drop|missing|ignore     it is none of categories=a|b|c
      duplicates=allow|error|drop           an earlier row has the same value

    Lists are separated by |. A column of the kind key identifies rows, and is not stored. A number
    may have unit=TEXT and scale=standard.

    A joined table fits into memory, and has each key once. A row without a match is an error unless
    unmatched=drop, or unmatched=keep, which makes the added columns missing.

    A test set is ingested with --like, so that it has the columns of the training set and nothing
    is estimated from its rows.

    Or all sets are named splits of one data set: --split, once for each. Nothing is estimated from
    the rows of splits that --learn-from does not name, and "dlbd fit DATA --split train" uses the
    rows of one.

    The rows of svmlight files (.svm, .svmlight, .libsvm) are stored as sparse rows. They need no
    --target, and have no quality report.

    \b
    Examples:
      dlbd ingest trips.csv -o trips.zarr --target late
      dlbd ingest january.csv february.csv -o trips.zarr --target late --report quality.html
      dlbd ingest trips.csv -o trips.zarr --target late \\
        -c distance:number,minimum=0,out_of_range=drop,missing=impute \\
        -c start:datetime,parts=month|weekday|hour
      dlbd ingest orders.csv -o orders.zarr --target returned -c order:key,duplicates=drop
      dlbd ingest trips.csv -o trips.zarr --target late \\
        --join vans.csv,on=van,columns=age|seats,unmatched=keep
      dlbd ingest trips.csv -o s3://bucket/trips.zarr --target late --resume
      dlbd ingest december.csv -o test.zarr --like trips.zarr
      dlbd ingest trips.csv -o train.zarr --target late --by-hash customer,0,0.8
      dlbd ingest trips.csv -o test.zarr --like train.zarr --by-hash customer,0.8,1
      dlbd ingest trips.csv -o trips.zarr --target late \\
        --split train:hash,customer,0,0.8 --split test:hash,customer,0.8,1
      dlbd ingest rcv1_train.svm.bz2 -o rcv1.zarr --n-features 47236 --classes=-1,1
    """
    svmlight = format_from_options(**written)
    without_names = svmlight is not None or is_svmlight_source(list(source))
    if sum(given is not None for given in (target, like)) != 1 and not without_names:
        raise click.UsageError("give either --target or --like")
    if without_names and report is not None:
        raise click.UsageError("svmlight files have no quality report: leave out --report")
    csv = csv_from_options(
        delimiter=delimiter,
        encoding=encoding,
        multiline=multiline,
        skip_bad_lines=skip_bad_lines,
    )
    with progress_bar(hidden=as_json), advice_as_options():
        data = ingest_tables(
            list(source),
            url,
            target=target,
            features=None if features is None else features.split(","),
            columns=dict(map(column_from_text, columns)) if columns or like is None else None,
            joins=[join_from_text(text) for text in joins],
            like=like,
            rows=_rows(by_hash, by_time),
            splits=splits_from_texts(splits, learn_from),
            learn_from=learn_from or None,
            csv=csv,
            svmlight=svmlight,
            expected_rows=expected_rows,
            overwrite=overwrite,
            resume=resume,
        )
    _show(data, {"data": url}, report, as_json=as_json)


def _show(data: Dataset, facts: dict[str, Any], report: str | None, *, as_json: bool) -> None:
    """Print the quality report of the newest version, if it has one, and the data set."""
    quality = None
    with contextlib.suppress(NotADataset):  # rows of svmlight files have no report
        quality = data.quality_of(data.version)
    if report is not None and quality is not None:
        quality.to_html(report)
    if as_json:
        plain = None if quality is None else quality.to_json()
        click.echo(json.dumps(facts | {"quality": plain}))
    else:
        text = described(data)
        click.echo(text if quality is None else f"{quality!r}\n\n{text}")


@click.command(short_help="Append raw tables to a data set.")
@click.argument("data")
@click.argument("source", nargs=-1, required=True)
@csv_options
@click.option("--report", metavar="FILE", help="Write the quality report as an HTML page.")
@_as_json
def append(
    data: str,
    source: tuple[str, ...],
    report: str | None,
    as_json: bool,
    **written: Any,
) -> None:
    """Append the rows of raw tables to the data set DATA, as its next version.

    The rows of SOURCE go through the same steps as those that "dlbd ingest" has stored: the same
    columns, rules, categories and imputed values. Nothing is stored if an error occurs. Programs
    that read DATA continue with the rows that they have opened. "dlbd info" lists the versions.

    \b
    Examples:
      dlbd append trips.zarr march.csv
      dlbd append s3://bucket/trips.zarr march.parquet april.parquet --report quality.html
    """
    if report is not None:
        open_dataset(data).quality_of(1)  # raises an error if the rows will have no report
    with progress_bar(hidden=as_json), advice_as_options():
        newer = append_rows(data, list(source), csv=csv_from_options(**written))
    facts = {"data": data, "version": newer.version, "n_samples": newer.n_samples}
    _show(newer, facts, report, as_json=as_json)


@click.command(short_help="Write damaged chunks again from the raw tables.")
@click.argument("data")
@click.argument("source", nargs=-1, required=True)
@csv_options
@_as_json
def repair(
    data: str,
    source: tuple[str, ...],
    as_json: bool,
    **written: Any,
) -> None:
    """Write the damaged and missing chunks of the data set DATA again, from SOURCE.

    DATA was made by `dlbd ingest` from the same SOURCE. A chunk is only written if it has the
    checksum that was stored; if the source has changed, this is an error.

    \b
    Examples:
      dlbd repair trips.zarr january.csv february.csv
    """
    with progress_bar(hidden=as_json), advice_as_options():
        report = repair_dataset(data, list(source), csv=csv_from_options(**written))
    if as_json:
        click.echo(json.dumps({"data": data, "chunks": report.chunks}))
    else:
        click.echo(f"{data}: all {report.chunks:,} chunks are as they were written")


@click.command(short_help="Store the rows in random order.")
@click.argument("data")
@click.option("-o", "--output", "url", required=True, metavar="DATA", help="Where to store them.")
@click.option("--split", metavar="NAME", help="Only the rows of this split.")
@click.option(
    "--seed", metavar="N", type=click.IntRange(0), default=0, show_default=True,
    help="Each seed gives another order, and always the same one.",
)  # fmt: skip
@click.option(
    "--scratch", metavar="FOLDER", help="For temporary files; default: beside the output."
)
@_overwrite
@_as_json
def shuffle(
    data: str,
    url: str,
    split: str | None,
    seed: int,
    scratch: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Store the rows of DATA in random order, each order equally likely, as another data set.

    Data larger than memory are read and written twice. The order does not depend on the number of
    workers.

    \b
    Examples:
      dlbd shuffle flights.zarr -o mixed.zarr
      dlbd shuffle trips.zarr --split train -o mixed.zarr
      dlbd shuffle s3://bucket/flights.zarr -o mixed.zarr --seed 7
    """
    opened = open_dataset(data)
    rows: Dataset | Split = opened
    if opened.splits or split is not None:
        rows = named_split(opened, split)
    with progress_bar(hidden=as_json), advice_as_options():
        mixed = shuffle_dataset(rows, url, seed=seed, scratch=scratch, overwrite=overwrite)
    if as_json:
        click.echo(json.dumps({"data": url, "n_samples": mixed.n_samples, "seed": seed}))
    else:
        click.echo(repr(mixed))


def _rows(by_hash: str | None, by_time: str | None) -> HashSplit | TimeSplit | None:
    if by_hash is not None and by_time is not None:
        raise click.UsageError("give either --by-hash or --by-time")
    if by_hash is not None:
        return selection_from_text("hash", by_hash)
    return None if by_time is None else selection_from_text("time", by_time)
