"""``dlbd score``: how good a saved model is on rows that it has not seen."""

from __future__ import annotations

import click

from dlbd_estimators.base.saving import load
from dlbd_estimators.cli.options import as_json, json_of, where_it_runs
from dlbd_estimators.cli.rows import open_for, targets


@click.command()
@click.argument("model")
@click.argument("data")
@as_json
@where_it_runs
def score(model: str, data: str, as_json: bool) -> None:
    """Score the saved MODEL on the rows of the data set DATA.

    Of a classifier: accuracy, balanced accuracy, log loss, and for two classes the area under the
    ROC curve. Of a regression: R2 and the errors. Weights of DATA are used where it has some.

    \b
    Examples:
      dlbd score late.model flights-2014.zarr
      dlbd score late.model flights-2014.zarr --json
    """
    from dlbd_estimators.reports.scores import named_scores

    fitted = load(model)
    rows = open_for(fitted, data)
    found = named_scores(fitted, rows.X, targets(fitted, rows, data), rows.sample_weight)
    if as_json:
        click.echo(json_of({"model": model, "data": data, "scores": found}))
        return
    width = max(map(len, found))
    for name, value in found.items():
        click.echo(f"{name:<{width}}  {value:.6g}")
