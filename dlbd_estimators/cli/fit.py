"""``dlbd fit``: train a model on a stored data set and save it."""

from __future__ import annotations

import time
from typing import Any

import click

from dlbd_estimators.base.saving import check_place, save
from dlbd_estimators.cli import estimators
from dlbd_estimators.cli.options import as_json, json_of, where_it_runs
from dlbd_estimators.cli.rows import check_dense, open_rows, split_option, targets
from dlbd_estimators.exceptions import NonFiniteValues


@click.command()
@click.argument("data")
@click.argument("name", metavar="ESTIMATOR", type=click.Choice(estimators.NAMES))
@click.option("-o", "--out", required=True, metavar="FILE", help="Where to save the model.")
@click.option(
    "-p", "--param", "parameters", multiple=True, metavar="NAME=VALUE",
    help="A parameter of the estimator; may be given several times.",
)  # fmt: skip
@click.option("--impute", is_flag=True, help="Replace missing values by the mean of their column.")
@click.option("--standardize", is_flag=True, help="Scale each column to mean 0 and variance 1.")
@click.option(
    "--columns", metavar="A,B,...",
    help="Columns to train on, as `dlbd info DATA --head 1` names them; all by default.",
)  # fmt: skip
@split_option
@click.option(
    "--cv", metavar="K", type=click.IntRange(2),
    help="Score by K folds, then train on all rows.",
)  # fmt: skip
@click.option(
    "--grid", "tried", multiple=True, metavar="NAME=V1,V2,...",
    help="With --cv: values to choose from by their scores; may be given several times.",
)  # fmt: skip
@click.option(
    "--checkpoint", metavar="FOLDER",
    help="Save each step there; after an interruption, the same command resumes from it.",
)  # fmt: skip
@as_json
@where_it_runs
def fit(
    data: str,
    name: str,
    out: str,
    parameters: tuple[str, ...],
    impute: bool,
    standardize: bool,
    columns: str | None,
    split: str | None,
    cv: int | None,
    tried: tuple[str, ...],
    checkpoint: str | None,
    as_json: bool,
) -> None:
    """Train ESTIMATOR on the data set DATA, and save it to FILE.

    Rows are read block by block, so DATA may be larger than memory. Its sample weights are used if
    it has any. FILE holds no code: `dlbd_estimators.load(FILE)` opens it in Python.

    \b
    ESTIMATOR is a class of dlbd_estimators; -p sets the parameters in its docstring:
      to predict classes  LogisticRegression, LogisticRegressionCV, RidgeClassifierCV,
                          MLPClassifier
      to predict numbers  LinearRegression, Ridge, RidgeCV, Lasso, LassoCV, ElasticNet,
                          ElasticNetCV, MLPRegressor

    \b
    Examples:
      dlbd fit flights.zarr LogisticRegression --impute --standardize -o late.model
      dlbd fit flights.zarr Ridge -p alpha=0.1 -o delay.model
      dlbd fit trips.zarr LogisticRegression --split train -o late.model
      dlbd fit flights.zarr Ridge --cv 3 --grid alpha=0.1,1,10 -o delay.model
      dlbd fit flights.zarr MLPClassifier -p "hidden_layer_sizes=(64, 32)" \\
          --workers 2 --memory 1GB --checkpoint late.fit -o late.model
      dlbd fit s3://bucket/flights.zarr Lasso --cluster tcp://10.0.0.1:8786 -o delay.model
    """
    if tried and cv is None:
        raise click.UsageError("--grid chooses values by the scores of --cv: give --cv, too.")
    if checkpoint is not None and cv is not None:
        # The fits of a search must not share a folder.
        checkpoint = f"{checkpoint}/{{}}"
    check_place(out)  # before hours of training
    model = estimators.estimator(
        name, parameters, impute=impute, standardize=standardize, checkpoint=checkpoint
    )
    candidates = estimators.grid(model, tried)
    rows = open_rows(data, None if columns is None else columns.split(","), split)
    last = estimators.last_step(model)[0]
    y = targets(last, rows, data)
    need = {"--impute": impute, "--standardize": standardize, name: not last._sparse_blocks}
    check_dense(rows, data, [words for words, needs in need.items() if needs])
    began = time.perf_counter()
    facts: dict[str, Any] = {"model": out, "estimator": name}
    passes: float | None
    try:
        if cv is None:
            model.fit(rows.X, y, **_weights(model, rows))
            passes = float(estimators.last_step(model)[0].n_passes_)
        else:
            search = _search(model, candidates, cv, rows, y)
            model, facts["cv"] = search.best_estimator_, _scores(search)
            # The passes of all fits; None if the fits did not share them.
            passes = getattr(search, "n_passes_", None)
    except NonFiniteValues as error:
        if impute or "NaN" not in str(error):
            raise
        raise NonFiniteValues(f"{error} --impute replaces missing values by means.") from error
    save(model, out)
    facts |= {
        "n_rows": int(rows.X.shape[0]),
        "n_features": int(rows.X.shape[1]),
        "n_passes": passes,
        "seconds": time.perf_counter() - began,
    }
    click.echo(json_of(facts) if as_json else _summary(facts))


def _weights(model: Any, rows: Any) -> dict[str, Any]:
    """Return the weights as arguments of ``fit``: a pipeline passes them to its last step."""
    if rows.sample_weight is None:
        return {}
    return {f"{estimators.last_step(model)[1]}sample_weight": rows.sample_weight}


def _search(model: Any, candidates: dict[str, list[Any]], cv: int, rows: Any, y: Any) -> Any:
    """Score candidates by folds, and fit the best one to all rows."""
    from dlbd_estimators.model_selection import GridSearchCV

    search = GridSearchCV(model, candidates, cv=cv, error_score="raise")
    return search.fit(rows.X, y, **_weights(model, rows))


def _scores(search: Any) -> list[dict[str, Any]]:
    """Return the mean score of each candidate, and which was chosen."""
    found = search.cv_results_
    return [
        {
            "parameters": {key.rpartition("__")[2]: value for key, value in given.items()},
            "score": float(found["mean_test_score"][number]),
            "std": float(found["std_test_score"][number]),
            "chosen": number == int(search.best_index_),
        }
        for number, given in enumerate(found["params"])
    ]


def _summary(facts: dict[str, Any]) -> str:
    lines = [
        f"{'*' if result['chosen'] else ' '} {result['score']:.4f} +- {result['std']:.4f}  "
        + ", ".join(f"{key}={value}" for key, value in result["parameters"].items())
        for result in facts.get("cv", ())
    ]
    passes = "" if facts["n_passes"] is None else f"{facts['n_passes']:.4g} passes, "
    lines.append(
        f"{facts['estimator']}: {facts['n_rows']:,} rows x {facts['n_features']:,}, "
        f"{passes}{facts['seconds']:.1f} s; saved as {facts['model']}"
    )
    return "\n".join(line.rstrip() for line in lines)
