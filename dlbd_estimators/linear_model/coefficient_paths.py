"""Coefficients of lasso and elastic net along a path of strengths, from one pass."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from dlbd_estimators.base.documentation import documented_like
from dlbd_estimators.base.parameters import check_flag, check_integer, check_number
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.moments import Moments, MomentsKernel
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.linear_model.elastic_net import ElasticNet
from dlbd_estimators.linear_model.search import check_alphas, least_squares_problem
from dlbd_estimators.solvers import check_weight
from dlbd_estimators.solvers.moment_scores import about_zero
from dlbd_estimators.solvers.proximal.coefficient_path import CoefficientPath, strengths

Path = tuple[FloatArray, FloatArray, FloatArray]


def enet_path(
    X: Any,
    y: Any,
    *,
    l1_ratio: float = 0.5,
    eps: float = 1e-3,
    alphas: Any = 100,
    fit_intercept: bool = False,
    positive: bool = False,
    sample_weight: Any = None,
) -> Path:
    """Compute the coefficients of the elastic net along a path of strengths.

    For each alpha they minimise ``sum_i s_i (y_i - x_i w)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1
    + alpha (1 - l1_ratio) ||w||^2 / 2``. One pass over the data serves all of them.

    Parameters
    ----------
    X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
        Features of shape (n_samples, n_features).
    y : array-like or lazy array of shape (n_samples,)
        Targets.
    l1_ratio : float, default=0.5
        Share of the l1 part, from 0 to 1; 1 is the lasso.
    eps : float, default=1e-3
        Smallest of the alphas that are chosen for you, relative to the largest.
    alphas : int or array-like of shape (n_alphas,), default=100
        Alphas, at least 0, or how many, evenly spaced in their logarithm; the largest is the least
        that leaves no coefficient.
    fit_intercept : bool, default=False
        Whether models have an intercept, which is not penalised and not returned. scikit-learn's
        function has none: its users centre X and y.
    positive : bool, default=False
        Allow no negative coefficient.
    sample_weight : float, array-like or lazy array of shape (n_samples,), optional
        Weights, at least 0.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        Strengths, descending.
    coefs : ndarray of shape (n_features, n_alphas)
        Coefficients, float64.
    dual_gaps : ndarray of shape (n_alphas,)
        How far each objective can be above its minimum, by the second moments.

    Raises
    ------
    ValueError
        Several targets, a parameter out of range, NaN or infinity in X or y, more than 4,000
        features, or ``l1_ratio=0`` without alphas.
    MemoryError
        A worker has no room for the second moments, or sparse X does not fit once it is dense.

    See Also
    --------
    dlbd_estimators.plots.CoefficientPathDisplay : Draws the path.

    Notes
    -----
    Coordinate descent goes along the path on second moments (Friedman, Hastie and Tibshirani 2010),
    which take ``8 (n_features + 1)^2`` bytes in each task. Other parameters of scikit-learn's
    function say how it computes, and are not taken.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators.linear_model import enet_path
    >>> X = np.array([[1.0, 2.3], [2.0, 5.4], [3.1, 4.3]])
    >>> alphas, coefs, dual_gaps = enet_path(X, [1.0, 2.0, 3.1], alphas=3)
    >>> coefs.shape
    (2, 3)
    """
    given = {"l1_ratio": l1_ratio, "eps": eps, "alphas": alphas, "positive": positive}
    return _path("enet_path", X, y, sample_weight, fit_intercept=fit_intercept, **given)


@documented_like(enet_path)
def lasso_path(
    X: Any,
    y: Any,
    *,
    eps: float = 1e-3,
    alphas: Any = 100,
    fit_intercept: bool = False,
    positive: bool = False,
    sample_weight: Any = None,
) -> Path:
    """Compute the coefficients of the lasso along a path of strengths.

    For each alpha they minimise ``sum_i s_i (y_i - x_i w)^2 / (2 sum_i s_i) + alpha |w|_1``. One
    pass over the data serves all of them.

    Raises
    ------
    ValueError
        Several targets, a parameter out of range, NaN or infinity in X or y, or more than 4,000
        features.
    MemoryError
        A worker has no room for the second moments, or sparse X does not fit once it is dense.

    See Also
    --------
    enet_path : The same with an L2 part.
    dlbd_estimators.plots.CoefficientPathDisplay : Draws the path.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators.linear_model import lasso_path
    >>> X = np.array([[1.0, 2.3], [2.0, 5.4], [3.1, 4.3]])
    >>> alphas, coefs, _ = lasso_path(X, [1.0, 2.0, 3.1], alphas=[5.0, 1.0, 0.5])
    >>> coefs.round(3)
    array([[0.   , 0.   , 0.469],
           [0.216, 0.443, 0.237]])
    """
    given = {"l1_ratio": 1.0, "eps": eps, "alphas": alphas, "positive": positive}
    return _path("lasso_path", X, y, sample_weight, fit_intercept=fit_intercept, **given)


def _path(
    name: str, X: Any, y: Any, sample_weight: Any, *, fit_intercept: bool, **given: Any
) -> Path:
    # Checks and their messages are those of an estimator's parameters.
    asked: Any = type(name, (), {"fit_intercept": fit_intercept, **given})()
    alphas = _check(asked)
    ratio, positive = float(asked.l1_ratio), bool(asked.positive)
    moments = _moments(X, y, sample_weight, name, fit_intercept=bool(fit_intercept))
    if isinstance(alphas, int):
        alphas = strengths(moments, ratio, alphas, eps=float(asked.eps), positive=positive)
    with single_threaded_blas:
        path = CoefficientPath(moments, positive=positive)
        coef = path.coefficients(ratio, alphas)
        gaps = path.dual_gaps(ratio, alphas, coef)
    return alphas, coef.T.copy(), gaps


def _check(asked: Any) -> FloatArray | int:
    """Check the parameters; return the alphas, descending, or how many there are to be."""
    check_number(asked, "l1_ratio", low=0.0, high=1.0)
    check_number(asked, "eps", low=0.0, open_low=True)
    for flag in ("fit_intercept", "positive"):
        check_flag(asked, flag)
    if not isinstance(asked.alphas, Integral) or isinstance(asked.alphas, bool):
        return np.sort(check_alphas(asked, open_low=False))[::-1]
    check_integer(asked, "alphas", low=1)
    if not asked.l1_ratio:
        raise ValueError(
            "Automatic alpha grid generation is not supported for l1_ratio=0. Give the alphas."
        )
    return int(asked.alphas)


def _moments(X: Any, y: Any, sample_weight: Any, name: str, *, fit_intercept: bool) -> Moments:
    """Find the second moments of all rows, in a pass."""
    data = training_data(ElasticNet(), X, y, sample_weight, classify=False)
    if data.y_shape and data.y_shape[0] > 1:
        raise ValueError(f"y has {data.y_shape[0]} columns. Compute one {name} for each target.")
    packing = Packing(1, data.blocks.n_features, fit_intercept)
    with executor_for(data.blocks) as executor:
        problem = least_squares_problem(
            executor, data.blocks, packing, L2(), None, name=name, otherwise="fit ElasticNet"
        )
        kernel = MomentsKernel(centre=True, precise=True)
        moments: Moments = executor.map_reduce(kernel, None, problem.blocks, name=name).partial
    check_weight(moments.weight, moments.n_rows)
    return moments if fit_intercept else about_zero(moments)
