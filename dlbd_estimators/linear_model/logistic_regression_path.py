"""Coefficients of logistic regressions along a path of strengths, in shared sweeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.base.callbacks import FitTask, fit_task
from dlbd_estimators.base.parameters import check_flag, check_number
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.row_selection import Selection, consecutive_division
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.linear_model.logistic import LogisticRegression
from dlbd_estimators.linear_model.logistic_choice import inverse_strengths
from dlbd_estimators.linear_model.logistic_paths import SearchData, fit_paths
from dlbd_estimators.linear_model.search import search
from dlbd_estimators.linear_model.unconverged_models import warn_of_unconverged
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.smooth.logistic_search import LogisticSearch

Path = tuple[FloatArray, FloatArray, FloatArray]

#: Largest number of steps of a model with an l1 part.
_MOST_STEPS = 1_000


class _AllRows:
    """A splitter with one split, which trains and tests on all rows."""

    tests_each_row_once = False

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        return 1

    def split(
        self, X: Any, y: Any = None, groups: Any = None
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        rows = np.arange(X.shape[0])
        yield rows, rows

    def selections(self, sizes: tuple[int, ...]) -> list[tuple[Selection, Selection]]:
        every = consecutive_division(sizes, [sum(sizes)]).part(0)
        return [(every, every)]


def logistic_regression_path(
    X: Any,
    y: Any,
    *,
    Cs: Any = 10,
    l1_ratio: float = 0.0,
    tol: float = 1e-6,
    fit_intercept: bool = True,
    class_weight: Any = None,
    sample_weight: Any = None,
) -> Path:
    """Compute the coefficients of logistic regressions along a path of strengths.

    For each C they minimise ``C sum_i s_i loss(y_i, x_i W + b) + (1 - l1_ratio) ||W||^2 / 2 +
    l1_ratio |W|_1``, as :class:`LogisticRegression` does. All strengths share the passes over the
    data: about four, and one for up to about 30,000 rows.

    Parameters
    ----------
    X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
        Features of shape (n_samples, n_features).
    y : array-like or lazy array of shape (n_samples,)
        Labels of two classes or more.
    Cs : int or array-like of shape (n_Cs,), default=10
        Inverse strengths of the penalty, greater than 0, or the number of inverse strengths to
        generate, from 1e-4 to 1e4, evenly spaced in their logarithm.
    l1_ratio : float, default=0.0
        Share of the l1 part in the penalty, from 0 to 1. Above 0, some coefficients become zero,
        and the slowest model determines the number of passes.
    tol : float, default=1e-6
        Largest acceptable error of a coefficient, relative to the largest coefficient of its model,
        both times the standard deviations of their columns; an estimate.
    fit_intercept : bool, default=True
        Whether models have an intercept, which is not penalised.
    class_weight : dict, "balanced" or None, default=None
        Factor by which the weights of the rows of each class are multiplied. ``"balanced"`` gives
        all classes the same total weight, and None is a factor of 1.
    sample_weight : float, array-like or lazy array of shape (n_samples,), optional
        Weights, at least 0.

    Returns
    -------
    Cs : ndarray of shape (n_Cs,)
        Inverse strengths, in the given order.
    coefs : ndarray of shape (n_features, n_Cs) or (n_classes, n_features, n_Cs)
        Coefficients, float64; of each class, if there are three or more.
    intercepts : ndarray of shape (n_Cs,) or (n_classes, n_Cs)
        Intercepts; 0 without an intercept.

    Raises
    ------
    ValueError
        y has a single class, a parameter is out of range, X or y holds NaN or infinity, or a model
        has more than 4,000 parameters.
    TypeError
        X is not numeric.
    MemoryError
        A block does not fit in the memory of a worker.

    Warns
    -----
    ConvergenceWarning
        A model did not reach ``tol``.

    See Also
    --------
    LogisticRegressionCV : Chooses one of the models by cross-validation.
    dlbd_estimators.plots.CoefficientPathDisplay : Draws the path.

    Notes
    -----
    The models for an L2 penalty start from the solution of a sample, in the order of their
    strengths, each from the one before. Then a sweep computes the gradients of all of them by two
    matrix products, and a step with each of them uses the curvature of about 30,000 rows, which
    stay in this process. scikit-learn's function of this kind is private.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators.linear_model import logistic_regression_path
    >>> X = np.array([[-2.0, 1.0], [-1.0, 0.0], [1.0, 0.5], [2.0, 0.0]])
    >>> Cs, coefs, intercepts = logistic_regression_path(X, [0, 1, 0, 1], Cs=[0.1, 10.0])
    >>> coefs.round(3)
    array([[ 0.078,  0.068],
           [-0.071, -3.055]])
    """
    given = {"Cs": Cs, "l1_ratio": l1_ratio, "tol": tol, "fit_intercept": fit_intercept}
    # An object with these attributes can be checked by the functions for estimators' parameters.
    holder: Any = type("logistic_regression_path", (), given)()
    check_number(holder, "l1_ratio", low=0.0, high=1.0)
    check_number(holder, "tol", low=0.0, open_low=True)
    check_flag(holder, "fit_intercept")
    strengths = inverse_strengths(holder)
    reader = LogisticRegression(fit_intercept=fit_intercept, class_weight=class_weight, tol=tol)
    with fit_task(reader, X, y, sample_weight) as task:
        rows = training_data(reader, X, y, sample_weight, classify=True)
        with executor_for(rows.blocks) as executor:
            data = SearchData.of(reader, executor, rows.blocks, task, _AllRows())
            if l1_ratio == 0:
                models = _smooth_models(reader, executor, data, task, strengths)
            else:
                models = _sparse_models(executor, data, task, strengths, float(l1_ratio), tol)
    packing = data.packing
    stacked = models.reshape(len(strengths), *packing.shape)
    coefs = np.moveaxis(stacked[..., : packing.n_features], 0, -1)
    intercepts: FloatArray = np.zeros((packing.n_outputs, len(strengths)))
    if packing.fit_intercept:
        intercepts = stacked[..., -1].T
    if packing.n_outputs == 1:
        coefs, intercepts = coefs[0], intercepts[0]
    return strengths, coefs.copy(), intercepts.copy()


def _smooth_models(
    reader: Any, executor: Executor, data: SearchData, task: FitTask, Cs: FloatArray
) -> FloatArray:
    """Return the models (n_Cs, size) for an L2 penalty, to the accuracy ``reader.tol``."""
    solver = LogisticSearch(
        Cs,
        data.splits,
        data.factors,
        data.totals,
        score="neg_log_loss",
        refit=False,
        accuracy=float(reader.tol),
    )
    problem = data.problem(1.0, 0.0)
    options: dict[str, Any] = {"task": task, "model": _no_attributes}
    solution = search(reader, executor, problem, solver, **options, advice="leave out large Cs")
    warn_of_unconverged(task, solver, solution)
    state: Any = solution.state
    models: FloatArray = solver.paths(problem, state)[0]
    return models


def _no_attributes(_solution: Solution) -> dict[str, Any]:
    return {}


def _sparse_models(
    executor: Executor,
    data: SearchData,
    task: FitTask,
    Cs: FloatArray,
    l1_ratio: float,
    tol: float,
) -> FloatArray:
    """Return the models (n_Cs, size) for a penalty with an l1 part."""
    task.start(executor, data.blocks, print_lines=False)
    paths = fit_paths(
        executor,
        data,
        Cs,
        np.array([l1_ratio]),
        solver_name="auto",
        tol=float(tol),
        max_iter=_MOST_STEPS,
        checkpoint=task.checkpoint,
    )
    models: FloatArray = paths.parameters[0, 0]
    return models
