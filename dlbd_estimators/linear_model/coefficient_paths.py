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
    + alpha (1 - l1_ratio) ||w||^2 / 2``. All alphas together need one pass over the data.

    Parameters
    ----------
    X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
        Features of shape (n_samples, n_features).
    y : array-like or lazy array of shape (n_samples,)
        Targets.
    l1_ratio : float, default=0.5
        Share of the l1 part, from 0 to 1; 1 is the lasso.
    eps : float, default=1e-3
        The smallest alpha, relative to the largest, if ``alphas`` is a number.
    alphas : int or array-like of shape (n_alphas,), default=100
        Alphas of at least 0, or the number of alphas to generate. Generated alphas are evenly
        spaced in their logarithm. The largest is the smallest alpha for which all coefficients
        are 0.
    fit_intercept : bool, default=False
        Whether models have an intercept, which is not penalised and not returned. scikit-learn's
        function fits no intercept: its users centre X and y.
    positive : bool, default=False
        Whether to allow only coefficients of at least 0.
    sample_weight : float, array-like or lazy array of shape (n_samples,), optional
        Weights, at least 0.

    Returns
    -------
    alphas : ndarray of shape (n_alphas,)
        Strengths, descending.
    coefs : ndarray of shape (n_features, n_alphas)
        Coefficients, float64.
    dual_gaps : ndarray of shape (n_alphas,)
        Upper bound on how far each objective is above its minimum, from the second moments.

    Raises
    ------
    ValueError
        y has several targets, a parameter is out of range, X or y holds NaN or infinity, there are
        more than 4,000 features, or ``l1_ratio=0`` comes without alphas.
    MemoryError
        The second moments do not fit in the memory of a worker, or a block of a sparse X does not
        fit after its conversion to a dense array.

    See Also
    --------
    dlbd_estimators.plots.CoefficientPathDisplay : Draws the path.

    Notes
    -----
    Coordinate descent follows the path on second moments (Friedman, Hastie and Tibshirani 2010),
    which take ``8 (n_features + 1)^2`` bytes in each task. The other parameters of scikit-learn's
    function control its algorithm, and are not supported.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators.linear_model import enet_path
    >>> X = np.array([[1.0, 2.3], [2.0, 5.4], [3.1, 4.3]])
    >>> alphas, coefs, dual_gaps = enet_path(X, [1.0, 2.0, 3.1], alphas=3)
    >>> coefs.shape
    (2, 3)
    """
    options = {"l1_ratio": l1_ratio, "eps": eps, "alphas": alphas, "positive": positive}
    return _path("enet_path", X, y, sample_weight, fit_intercept=fit_intercept, **options)


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

    For each alpha they minimise ``sum_i s_i (y_i - x_i w)^2 / (2 sum_i s_i) + alpha |w|_1``. All
    alphas together need one pass over the data.

    Raises
    ------
    ValueError
        y has several targets, a parameter is out of range, X or y holds NaN or infinity, or there
        are more than 4,000 features.
    MemoryError
        The second moments do not fit in the memory of a worker, or a block of a sparse X does not
        fit after its conversion to a dense array.

    See Also
    --------
    enet_path : Computes the path for a penalty that also has an L2 part.
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
    options = {"l1_ratio": 1.0, "eps": eps, "alphas": alphas, "positive": positive}
    return _path("lasso_path", X, y, sample_weight, fit_intercept=fit_intercept, **options)


def _path(
    name: str, X: Any, y: Any, sample_weight: Any, *, fit_intercept: bool, **options: Any
) -> Path:
    # An object with these attributes can be checked by the functions for estimators' parameters.
    holder: Any = type(name, (), {"fit_intercept": fit_intercept, **options})()
    alphas = _check(holder)
    ratio, positive = float(holder.l1_ratio), bool(holder.positive)
    moments = _moments(X, y, sample_weight, name, fit_intercept=bool(fit_intercept))
    if isinstance(alphas, int):
        alphas = strengths(moments, ratio, alphas, eps=float(holder.eps), positive=positive)
    with single_threaded_blas:
        path = CoefficientPath(moments, positive=positive)
        coef = path.coefficients(ratio, alphas)
        gaps = path.dual_gaps(ratio, alphas, coef)
    return alphas, coef.T.copy(), gaps


def _check(holder: Any) -> FloatArray | int:
    """Check the parameters; return the alphas, descending, or the number of alphas to generate."""
    check_number(holder, "l1_ratio", low=0.0, high=1.0)
    check_number(holder, "eps", low=0.0, open_low=True)
    for flag in ("fit_intercept", "positive"):
        check_flag(holder, flag)
    if not isinstance(holder.alphas, Integral) or isinstance(holder.alphas, bool):
        return np.sort(check_alphas(holder, open_low=False))[::-1]
    check_integer(holder, "alphas", low=1)
    if not holder.l1_ratio:
        raise ValueError(
            "Automatic alpha grid generation is not supported for l1_ratio=0. Give the alphas."
        )
    return int(holder.alphas)


def _moments(X: Any, y: Any, sample_weight: Any, name: str, *, fit_intercept: bool) -> Moments:
    """Compute the second moments of all rows, in one pass."""
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
