"""Create estimators from names and parameters that are typed on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

import click

from dlbd_estimators.cli.options import setting, value_of

#: Estimators that ``dlbd fit`` accepts.
NAMES = (
    "ElasticNet", "ElasticNetCV", "Lasso", "LassoCV", "LinearRegression", "LogisticRegression",
    "LogisticRegressionCV", "MLPClassifier", "MLPRegressor", "Ridge", "RidgeCV",
    "RidgeClassifierCV",
)  # fmt: skip


def estimator(
    name: str,
    parameters: Iterable[str],
    *,
    impute: bool = False,
    standardize: bool = False,
    checkpoint: str | None = None,
) -> Any:
    """Return an estimator, or a pipeline of transformers and an estimator.

    Parameters
    ----------
    name : str
        One of `NAMES`.
    parameters : iterable of str
        Texts ``name=value``.
    impute, standardize : bool
        Whether to put a SimpleImputer and a StandardScaler before the estimator.
    checkpoint : str, optional
        Folder of the fit's checkpoint.
    """
    from dlbd_estimators import linear_model, neural_network

    model = getattr(linear_model if hasattr(linear_model, name) else neural_network, name)()
    given = dict(setting(assignment, "--param") for assignment in parameters)
    for key in given:
        check_parameter(model, key, "--param")
    model.set_params(**{key: value_of(text) for key, text in given.items()})
    if checkpoint is not None:
        model.set_params(checkpoint=checkpoint)
    from sklearn.pipeline import make_pipeline

    from dlbd_estimators.preprocessing import SimpleImputer, StandardScaler

    steps = [SimpleImputer()] * impute + [StandardScaler()] * standardize
    return make_pipeline(*steps, model) if steps else model


def grid(model: Any, settings: Iterable[str]) -> dict[str, list[Any]]:
    """Return the candidates that a search tries.

    Parameters
    ----------
    model : estimator or Pipeline
        The model to search for; the parameters are those of its last step.
    settings : iterable of str
        Texts ``name=value,value,...``.
    """
    last, prefix = last_step(model)
    tried = {}
    for assignment in settings:
        key, text = setting(assignment, "--grid")
        check_parameter(last, key, "--grid")
        value = value_of(text)
        values = list(value) if isinstance(value, tuple | list) else None
        tried[prefix + key] = values or [value_of(part) for part in text.split(",")]
    return tried


def last_step(model: Any) -> tuple[Any, str]:
    """Return the last step of a model, and the prefix of its parameters in the model."""
    steps = getattr(model, "steps", None)
    return (model, "") if steps is None else (steps[-1][1], f"{steps[-1][0]}__")


def check_parameter(model: Any, key: str, option: str) -> None:
    """Check that an estimator has a parameter.

    Raises
    ------
    click.BadParameter
        The estimator has no such parameter.
    """
    known = sorted(model.get_params(deep=False))
    if key not in known:
        folded = {name.casefold(): name for name in known}
        near = get_close_matches(key.casefold(), folded, 1)
        guess = f"Did you mean {folded[near[0]]}? " if near else ""
        raise click.BadParameter(
            f"{type(model).__name__} has no parameter {key!r}. {guess}It has {', '.join(known)}.",
            param_hint=option,
        )
