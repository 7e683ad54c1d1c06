"""``dlbd report``: one page about a saved model."""

from __future__ import annotations

import click

from dlbd_estimators.base.saving import load
from dlbd_estimators.cli.options import as_json, json_of, where_it_runs
from dlbd_estimators.cli.passes import passes_shown
from dlbd_estimators.cli.rows import open_for, split_option, targets


@click.command()
@click.argument("model")
@click.argument("data")
@split_option
@click.option(
    "-o", "--out", default="report.html", show_default=True, metavar="FILE",
    help="Where to write the page; an older page is replaced.",
)  # fmt: skip
@click.option("--title", help="Title of the page; the class of the model by default.")
@as_json
@where_it_runs
def report(
    model: str, data: str, split: str | None, out: str, title: str | None, as_json: bool
) -> None:
    """Write an HTML page about the saved MODEL, scored on the rows of the data set DATA.

    The page shows parameters, steps of the fit, scores and plots (with matplotlib). It is one file
    that needs no network.

    \b
    Example:
      dlbd report late.model flights-2014.zarr -o late.html --title "Late flights"
    """
    from dlbd_estimators import reports

    fitted = load(model)
    rows = open_for(fitted, data, split)
    with passes_shown(hidden=as_json):
        path = reports.report(
            fitted,
            rows.X,
            targets(fitted, rows, data),
            path=out,
            sample_weight=rows.sample_weight,
            feature_names=rows.feature_names,
            title=title,
        )
    click.echo(json_of({"report": str(path)}) if as_json else f"written to {path}")
