"""The parameters, the choice and the fitted attributes of LogisticRegressionCV."""

from __future__ import annotations

from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import get_scorer_names

from dlbd_estimators.base.parameters import (
    check_choice,
    check_flag,
    check_integer,
    check_n_jobs,
    check_number,
    invalid_parameter,
)
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.linear_model.fit import check_stopping
from dlbd_estimators.linear_model.ignored_parameters import warn_once
from dlbd_estimators.linear_model.logistic_parameters import UNSET
from dlbd_estimators.linear_model.solver_names import logistic_solver
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN

#: Default of parameters whose default scikit-learn 1.10 changes; it means the default of 1.9.
_OLD_DEFAULT = "warn"
_GRID = (-4, 4)


class Settings(NamedTuple):
    """The checked parameters of a search.

    Attributes
    ----------
    Cs, l1_ratios : ndarray
        Inverse strengths, and shares of the l1 part, to choose from.
    solver : str
        Name of this package's solver.
    scoring : str or callable
        How predictions of held-out rows are scored.
    has_l1_ratios : bool
        Whether legacy attributes have an axis for l1_ratios.
    legacy : bool
        Whether attributes have the shapes of scikit-learn 1.9.
    """

    Cs: FloatArray
    l1_ratios: FloatArray
    solver: str
    scoring: Any
    has_l1_ratios: bool
    legacy: bool


class Choice(NamedTuple):
    """The result of a search.

    Attributes
    ----------
    C, l1_ratio : float
        The chosen values; without a refit, the means of the best values of all folds.
    parameters : ndarray of shape (packing.size,)
        The mean of all folds' models for the chosen values; without a refit, the mean of the best
        models of all folds.
    """

    C: float
    l1_ratio: float
    parameters: FloatArray


class TooManyParameters(ValueError):
    """The Hessian of a model is too large for a search."""


def check_size(packing: Packing) -> None:
    """Check that the Hessian of a model is not too large.

    Raises
    ------
    TooManyParameters
        It is too large. The message gives advice.
    """
    if packing.size > LARGEST_HESSIAN:
        raise TooManyParameters(
            f"A model has {packing.size} parameters, but a search keeps Hessians of at most "
            f"{LARGEST_HESSIAN}. Select columns first, or use scikit-learn's GridSearchCV over "
            f"LogisticRegression."
        )


def settings_of(estimator: Any) -> Settings:
    """Check the parameters of a search, and return them.

    Raises
    ------
    ValueError
        A parameter is out of range, or contradicts another.

    Warns
    -----
    ParameterWithoutEffect
        A parameter has no effect here.
    FutureWarning
        A parameter is deprecated in scikit-learn.
    """
    check_stopping(estimator)
    for flag in ("dual", "refit"):
        check_flag(estimator, flag)
    if estimator.use_legacy_attributes != _OLD_DEFAULT:
        check_flag(estimator, "use_legacy_attributes")
    check_number(estimator, "intercept_scaling", low=0.0, open_low=True)
    check_n_jobs(estimator)
    scoring = estimator.scoring
    if scoring is not None and not callable(scoring):
        check_choice(estimator, "scoring", [*get_scorer_names(), _OLD_DEFAULT])
    old = scoring is None or (isinstance(scoring, str) and scoring == _OLD_DEFAULT)
    Cs, l1_ratios, name, has_l1_ratios = _penalties(estimator)
    solver = logistic_solver(estimator, name)
    if estimator.intercept_scaling != 1:
        warn_once(estimator, "intercept_scaling", "the intercept is never penalised.")
    if estimator.n_jobs is not None:
        warn_once(estimator, "n_jobs", "Dask sets the number of threads.")
    legacy = bool(estimator.use_legacy_attributes)
    return Settings(Cs, l1_ratios, solver, "accuracy" if old else scoring, has_l1_ratios, legacy)


def _penalties(estimator: Any) -> tuple[FloatArray, FloatArray, str | None, bool]:
    Cs = inverse_strengths(estimator)
    value = estimator.l1_ratios
    unset = value is None or (isinstance(value, str) and value == _OLD_DEFAULT)
    check_choice(estimator, "penalty", ("l1", "l2", "elasticnet", UNSET), none=True)
    penalty = estimator.penalty
    ratios = np.zeros(1) if unset else _checked_l1_ratios(estimator)
    if penalty == UNSET:
        names = {0.0: "l2", 1.0: "l1"}
        name = names.get(float(ratios[0]), "elasticnet") if len(set(ratios)) == 1 else "elasticnet"
        return Cs, ratios, name, not unset
    warn_user(
        "'penalty' was deprecated in scikit-learn 1.8 and works here as long as it does there. "
        "Pass l1_ratios=(0,) for penalty='l2', (1,) for 'l1', numbers between for 'elasticnet', "
        "and Cs=(np.inf,) for None.",
        FutureWarning,
    )
    if penalty == "elasticnet":
        if unset:
            raise ValueError("l1_ratios must be specified when penalty is elasticnet.")
        return Cs, ratios, penalty, True
    if penalty is None:
        return np.full(len(Cs), np.inf), np.zeros(1), None, False
    return Cs, np.array([1.0 if penalty == "l1" else 0.0]), penalty, False


def inverse_strengths(estimator: Any) -> FloatArray:
    """Check the estimator's ``Cs``, and return them as floats in the same order.

    Raises
    ------
    InvalidParameter
        A value is out of range, or there are none.
    """
    value = estimator.Cs
    if isinstance(value, Integral) and not isinstance(value, bool):
        check_integer(estimator, "Cs", low=1)
        return np.logspace(*_GRID, int(value))
    Cs = _numbers(value)
    if not len(Cs) or not np.all(Cs > 0):
        positive = "a non-empty array-like of floats in the range (0.0, inf]"
        raise invalid_parameter(estimator, "Cs", "an int in the range [1, inf)", positive)
    return Cs


def _checked_l1_ratios(estimator: Any) -> FloatArray:
    ratios = _numbers(estimator.l1_ratios)
    if not len(ratios) or not np.all((ratios >= 0) & (ratios <= 1)):
        raise ValueError(
            f"l1_ratios must be an array-like of numbers between 0 and 1; got "
            f"(l1_ratios={estimator.l1_ratios!r})"
        )
    return ratios


def _numbers(value: Any) -> FloatArray:
    try:
        values = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return np.zeros(0)
    return values if values.ndim == 1 else np.zeros(0)


def choose_best(
    settings: Settings, scores: FloatArray, parameters: FloatArray, *, refit: bool
) -> Choice:
    """Choose the values of C and l1_ratio with the best score.

    If several scores are equal, the first one counts, as in scikit-learn: in the order of C, and
    for the same C in the order of l1_ratio.

    Parameters
    ----------
    settings : Settings
        The parameters of the search.
    scores : ndarray of shape (n_splits, n_l1_ratios, n_Cs)
        Scores; larger is better.
    parameters : ndarray of shape (n_splits, n_l1_ratios, n_Cs, packing.size)
        Coefficients and intercepts of the models.
    refit : bool
        Whether to choose one pair of values for all splits. If not, a pair is chosen for each
        split, and the results are averaged.
    """
    by_C = np.swapaxes(scores, 1, 2)
    if refit:
        sums = by_C.sum(axis=0)
        best, ratio = np.unravel_index(int(np.argmax(sums)), sums.shape)
        return Choice(
            float(settings.Cs[best]),
            float(settings.l1_ratios[ratio]),
            np.asarray(parameters[:, ratio, best].mean(axis=0)),
        )
    flat = by_C.reshape(len(by_C), -1).argmax(axis=1)
    best_each, ratio_each = np.unravel_index(flat, by_C.shape[1:])
    rows = np.arange(len(by_C))
    return Choice(
        float(settings.Cs[best_each].mean()),
        float(settings.l1_ratios[ratio_each].mean()),
        np.asarray(parameters[rows, ratio_each, best_each].mean(axis=0)),
    )


def results(
    settings: Settings,
    choice: Choice,
    scores: FloatArray,
    paths: FloatArray,
    n_iter: NDArray[np.int32],
    classes: NDArray[Any],
) -> dict[str, Any]:
    """Return the fitted attributes of a search, in the shapes of scikit-learn.

    Parameters
    ----------
    settings, choice : Settings, Choice
        The parameters of the search, and the chosen values.
    scores, n_iter : ndarray of shape (n_splits, n_l1_ratios, n_Cs)
        Score, and number of solver steps, of each model.
    paths : ndarray of shape (n_splits, n_l1_ratios, n_Cs, n_outputs, n_dof)
        Coefficients and, last, the intercept of each model.
    classes : ndarray of shape (n_classes,)
        Class labels.
    """
    attributes: dict[str, Any] = {"Cs_": settings.Cs, "classes_": classes}
    attributes["l1_ratios_"] = settings.l1_ratios if settings.has_l1_ratios else np.array([None])
    if not settings.legacy:
        return {
            **attributes,
            "C_": choice.C,
            "l1_ratio_": choice.l1_ratio,
            "scores_": scores,
            "coefs_paths_": paths,
            "n_iter_": n_iter,
        }
    names = classes[1:] if len(classes) == 2 else classes
    by_C = (np.swapaxes(scores, 1, 2), np.swapaxes(paths, 1, 2), np.swapaxes(n_iter, 1, 2)[None])
    if not settings.has_l1_ratios:
        by_C = by_C[0][:, :, 0], by_C[1][:, :, 0], by_C[2][..., 0]
    ratio = choice.l1_ratio if settings.has_l1_ratios else None
    return {
        **attributes,
        "C_": np.full(len(names), choice.C),
        "l1_ratio_": np.array([ratio] * len(names)),
        "scores_": {name: by_C[0].copy() for name in names},
        "coefs_paths_": {name: by_C[1][..., k, :] for k, name in enumerate(names)},
        "n_iter_": by_C[2],
    }
