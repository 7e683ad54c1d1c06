"""``dlbd predict``: the predictions of a saved model, written block by block."""

from __future__ import annotations

import click

from dlbd_estimators.base.saving import load
from dlbd_estimators.cli.options import as_json, json_of, where_it_runs
from dlbd_estimators.cli.registered import data_function
from dlbd_estimators.cli.rows import open_for, split_option


@click.command()
@click.argument("model")
@click.argument("data")
@click.option(
    "-o", "--out", required=True, metavar="FOLDER",
    help="A folder or URL: Parquet files if it ends in .parquet, else a Zarr group.",
)  # fmt: skip
@split_option
@click.option("--probabilities", is_flag=True, help="Also write the probabilities of the classes.")
@as_json
@where_it_runs
def predict(
    model: str, data: str, out: str, split: str | None, probabilities: bool, as_json: bool
) -> None:
    """Write what the saved MODEL predicts for the rows of the data set DATA to FOLDER.

    Blocks are read, predicted and written one after the other, so neither DATA nor the predictions
    need to fit in memory. Rows keep their order. On a disk, FOLDER appears when it is complete. It
    may also be the URL of an object store, where a complete one has a file _SUCCESS.

    \b
    Examples:
      dlbd predict late.model flights-2014.zarr -o late.parquet
      dlbd predict late.model flights-2014.zarr --probabilities -o late.zarr
      dlbd predict late.model flights-2014.zarr -o s3://bucket/late.parquet
    """
    fitted = load(model)
    if probabilities and not hasattr(fitted, "predict_proba"):
        raise click.UsageError(f"{model} has no probabilities: leave out --probabilities.")
    rows = open_for(fitted, data, split, all_rows=True)
    columns = {"prediction": fitted.predict(rows.X)}
    if probabilities:
        columns["probability"] = fitted.predict_proba(rows.X)
    classes = getattr(fitted, "classes_", None)
    labels = None if classes is None else classes.tolist()
    with data_function("progress")(hidden=as_json):
        data_function("write")(columns, out, classes=labels)
    n_rows = int(rows.X.shape[0])
    if as_json:
        click.echo(json_of({"out": out, "n_rows": n_rows, "columns": list(columns)}))
    else:
        click.echo(f"{n_rows:,} predictions written to {out}")
