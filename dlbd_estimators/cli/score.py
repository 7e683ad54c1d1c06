"""``dlbd score``: score a saved model on a data set."""

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
@as_json
@where_it_runs
def score(model: str, data: str, split: str | None, as_json: bool) -> None:
    """Score the saved MODEL on the rows of the data set DATA.

    For a classifier: accuracy, balanced accuracy, log loss, and for two classes the area under the
    ROC curve. For a regressor: R2 and the errors. Sample weights of DATA are used if it has any.

    \b
    Examples:
      dlbd score late.model flights-2014.zarr
      dlbd score late.model flights-2014.zarr --json
      dlbd score late.model trips.zarr --split test
    """
    from dlbd_estimators.reports.scores import named_scores

    fitted = load(model)
    rows = open_for(fitted, data, split)
    with passes_shown(hidden=as_json):
        scores = named_scores(fitted, rows.X, targets(fitted, rows, data), rows.sample_weight)
    if as_json:
        click.echo(json_of({"model": model, "data": data, "split": split, "scores": scores}))
        return
    width = max(map(len, scores))
    for name, value in scores.items():
        click.echo(f"{name:<{width}}  {value:.6g}")
