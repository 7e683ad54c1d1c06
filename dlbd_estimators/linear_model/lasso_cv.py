"""Lasso and elastic net whose penalty is chosen by cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.base.documentation import documented_by_bases
from dlbd_estimators.base.parameters import invalid_parameter
from dlbd_estimators.base.to_sklearn import SklearnCounterpart
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.linear_model.l1_search_cv import L1SearchCV

_ATTRIBUTES = (
    "alpha_",
    "alphas_",
    "coef_",
    "dual_gap_",
    "intercept_",
    "mse_path_",
    "n_iter_",
)


@documented_by_bases
class ElasticNetCV(L1SearchCV):
    """Elastic net with built-in cross-validation.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha l1_ratio |w|_1
    + alpha (1 - l1_ratio) ||w||^2 / 2`` as :class:`ElasticNet` does, for the alpha and l1_ratio
    that predict held-out rows best. All alphas, l1_ratios and folds together need one pass over the
    data. One more pass proves that the chosen model is the minimum.

    Parameters
    ----------
    l1_ratio : float or array-like of shape (n_l1_ratios,), default=0.5
        Shares of the l1 part to choose from, from 0 to 1.

    Attributes
    ----------
    alpha_ : float
        The alpha that was chosen.
    l1_ratio_ : float
        The share of the l1 part that was chosen.
    mse_path_ : ndarray of shape (n_alphas, n_folds) or (n_l1_ratios, n_alphas, n_folds)
        Mean squared error on each fold's held-out rows.
    alphas_ : ndarray of shape (n_alphas,) or (n_l1_ratios, n_alphas)
        The alphas, from the largest to the smallest.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import ElasticNetCV
    >>> X = np.arange(20.0).reshape(10, 2) ** 0.5
    >>> ElasticNetCV(alphas=[1e-3, 1.0], cv=5).fit(X, X[:, 0]).alpha_
    0.001
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.ElasticNetCV", attributes=(*_ATTRIBUTES, "l1_ratio_")
    )

    def __init__(
        self,
        *,
        l1_ratio: Any = 0.5,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        precompute: Any = "auto",
        max_iter: int = 1000,
        tol: float = 1e-7,
        cv: Any = None,
        copy_X: bool = True,
        verbose: int = 0,
        n_jobs: int | None = None,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
        checkpoint: Any = None,
    ) -> None:
        self.l1_ratio = l1_ratio
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.cv = cv
        self.copy_X = copy_X
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.positive = positive
        self.random_state = random_state
        self.selection = selection
        self.checkpoint = checkpoint

    def _l1_ratios(self) -> FloatArray:
        try:
            ratios = np.atleast_1d(np.asarray(self.l1_ratio, dtype=np.float64))
        except (TypeError, ValueError):
            ratios = np.zeros(0)
        if ratios.ndim != 1 or not len(ratios) or not np.all((ratios >= 0) & (ratios <= 1)):
            raise invalid_parameter(
                self,
                "l1_ratio",
                "a float in the range [0.0, 1.0]",
                "a non-empty array-like of such floats",
            )
        return ratios


@documented_by_bases
class LassoCV(L1SearchCV):
    """Lasso with built-in cross-validation.

    Minimises ``sum_i s_i (y_i - x_i w - b)^2 / (2 sum_i s_i) + alpha |w|_1`` as :class:`Lasso`
    does, for the alpha that predicts held-out rows best. All alphas and folds together need one
    pass over the data. One more pass proves that the chosen model is the minimum.

    Attributes
    ----------
    alpha_ : float
        The alpha that was chosen.
    mse_path_ : ndarray of shape (n_alphas, n_folds)
        Mean squared error on each fold's held-out rows.
    alphas_ : ndarray of shape (n_alphas,)
        The alphas, from the largest to the smallest.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LassoCV
    >>> X = np.arange(20.0).reshape(10, 2) ** 0.5
    >>> LassoCV(alphas=[1e-3, 1.0], cv=5).fit(X, X[:, 0]).alpha_
    0.001
    """

    _sklearn_counterpart = SklearnCounterpart(
        "sklearn.linear_model.LassoCV", attributes=_ATTRIBUTES
    )

    def __init__(
        self,
        *,
        eps: float = 1e-3,
        alphas: Any = 100,
        fit_intercept: bool = True,
        precompute: Any = "auto",
        max_iter: int = 1000,
        tol: float = 1e-7,
        copy_X: bool = True,
        cv: Any = None,
        verbose: int = 0,
        n_jobs: int | None = None,
        positive: bool = False,
        random_state: Any = None,
        selection: str = "cyclic",
        checkpoint: Any = None,
    ) -> None:
        self.eps = eps
        self.alphas = alphas
        self.fit_intercept = fit_intercept
        self.precompute = precompute
        self.max_iter = max_iter
        self.tol = tol
        self.copy_X = copy_X
        self.cv = cv
        self.verbose = verbose
        self.n_jobs = n_jobs
        self.positive = positive
        self.random_state = random_state
        self.selection = selection
        self.checkpoint = checkpoint

    def _l1_ratios(self) -> FloatArray:
        return np.ones(1)
