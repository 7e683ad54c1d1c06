"""Logistic regression of two or more classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.callbacks import FitTask, fit_task, with_callbacks
from dlbd_estimators.base.class_weights import class_factors, count_labels
from dlbd_estimators.base.model import Model
from dlbd_estimators.base.prediction import (
    Labels,
    decision,
    log_probabilities,
    predict,
    probabilities,
    score,
)
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.blocks.sources import is_lazy, refuse_lazy
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.kernels.predictors import LinearPredictor
from dlbd_estimators.kernels.scores import WrongClass
from dlbd_estimators.linear_model.fit import seed_of, solve
from dlbd_estimators.linear_model.logistic_parameters import NAMESAKE, UNSET, Penalty, asked_for
from dlbd_estimators.linear_model.solver_names import check_liblinear
from dlbd_estimators.linear_model.sparse_coefficients import SparseCoefficients
from dlbd_estimators.solvers import Known, Problem, Solution, room_for


class LogisticRegression(SparseCoefficients, ClassifierMixin, Model):
    """Logistic regression with an L2 or l1 penalty, both, or none.

    Minimises ``C sum_i s_i loss(y_i, x_i W + b) + (1 - l1_ratio) ||W||^2 / 2 + l1_ratio |W|_1``,
    with the binomial log-loss for two classes and softmax cross-entropy for more; the intercept
    is not penalised.

    Parameters
    ----------
    penalty : {"l1", "l2", "elasticnet"} or None, optional
        As in scikit-learn, which gives it up: pass ``l1_ratio``, or ``C=np.inf`` for None.
    C : float, default=1.0
        Inverse strength of the penalty, greater than 0; ``np.inf`` is no penalty.
    l1_ratio : float, default=0.0
        Share of the l1 part, from 0 to 1; it makes coefficients zero.
    dual : bool, default=False
        Taken for scikit-learn's sake, for ``"liblinear"`` alone: the primal problem is solved,
        which has the same minimiser. True is told of once.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient, in standard units of its column and relative to
        the largest coefficient in these units: no change of units changes it. ``history_`` tells
        the ``"error"`` of each step, and in ``"error_is"`` whether that is a bound or an estimate.
    fit_intercept : bool, default=True
        Estimate ``b``; otherwise it is 0.
    intercept_scaling : float, default=1
        Taken for scikit-learn's sake: the intercept is never penalised. Another value is told of
        once.
    class_weight : dict, "balanced" or None, default=None
        Factors on the weights of the classes' rows; ``"balanced"`` gives all classes the
        same total weight.
    random_state : int, RandomState or None, default=None
        Chooses the sample of blocks that the fit starts from; None is a fixed seed. The
        solution depends on it by less than ``tol``.
    solver : {"auto", "newton", "newton_cg", "lbfgs", "gradient_descent", "proximal_newton", \
            "working_set", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"}, \
            default="auto"
        ``"auto"`` takes what is expected to be done first: Newton's method where a Hessian is
        cheap beside reading the rows, L-BFGS for many rows in memory, and ``"newton_cg"``,
        Newton's method by conjugate gradients, for many classes or features. An l1 part takes
        ``"proximal_newton"``, and only that will do. The last five are scikit-learn's names for
        ``"auto"`` and (``"newton-cholesky"``) ``"newton"``, and refuse what they refuse there.
    max_iter : int, default=100
        Largest number of steps of the solver; 0 leaves the coefficients at zero. As in
        scikit-learn, what a step tries on the way is part of it.
    warm_start : bool, default=False
        Start from the last solution instead of a sample's.
    verbose : int or bool, default=0
        1 prints a line a step: loss, gradient, error, seconds and reading speed.
    n_jobs : int, optional
        Taken for scikit-learn's sake, where it does nothing either; told of once.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, float64; of ``classes_[1]`` for two classes.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts; those of three classes or more sum to zero.
    n_iter_ : ndarray of shape (1,)
        Steps of the solver.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    solver_ : str
        The solver used.
    n_passes_ : float
        Passes over the features; a sample counts by its share of the rows. Finding the
        classes reads the labels alone and is not counted.
    history_ : list of dict
        One entry a step; see :class:`dlbd_estimators.solvers.history.Record`.

    Notes
    -----
    Newton's method starts from the solution of a sample of blocks, makes fused passes for
    gradient and Hessian, and bounds its last error by generalised self-concordance (Bach
    2010), so that two full passes usually do.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LogisticRegression
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> LogisticRegression().fit(X, ["no", "no", "yes", "yes"]).predict([[0.5]])
    array(['yes'], dtype='<U3')
    """

    _namesake = NAMESAKE

    def __init__(
        self,
        penalty: str | None = UNSET,
        *,
        C: float = 1.0,
        l1_ratio: float | None = 0.0,
        dual: bool = False,
        tol: float = 1e-7,
        fit_intercept: bool = True,
        intercept_scaling: float = 1,
        class_weight: Any = None,
        random_state: Any = None,
        solver: str = "auto",
        max_iter: int = 100,
        verbose: int = 0,
        warm_start: bool = False,
        n_jobs: int | None = None,
    ) -> None:
        self.penalty = penalty
        self.C = C
        self.l1_ratio = l1_ratio
        self.dual = dual
        self.tol = tol
        self.fit_intercept = fit_intercept
        self.intercept_scaling = intercept_scaling
        self.class_weight = class_weight
        self.random_state = random_state
        self.solver = solver
        self.max_iter = max_iter
        self.verbose = verbose
        self.warm_start = warm_start
        self.n_jobs = n_jobs

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LogisticRegression:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).
        y : array-like or lazy array of shape (n_samples,)
            Labels: strings, integers or booleans.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        LogisticRegression
            The fitted estimator.

        Raises
        ------
        ValueError
            NaN or infinity (names block, row and column), lengths that differ, a single
            class, unknown solver, parameters out of range.
        TypeError
            X is not numeric.
        MemoryError
            A block does not fit in a worker, or sparse rows do not fit in memory once they are
            dense; raised before reading.

        Warns
        -----
        SeparableWarning
            The classes, or some of their rows, are perfectly separable and there is no penalty.
        ConvergenceWarning
            ``tol`` was not reached, in ``max_iter`` steps or for want of digits.
        """
        penalty, solver = asked_for(self)
        with fit_task(self, X, y, sample_weight) as task:
            self._fit(X, y, sample_weight, penalty, solver, task)
        return self

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        penalty: Penalty,
        solver: str,
        task: FitTask,
    ) -> None:
        data = training_data(self, X, y, sample_weight, classify=True)
        with executor_for(data.blocks) as executor:
            counts = count_labels(self, executor, data.blocks, "logistic")
            classes = counts.labels
            check_liblinear(self, len(classes))
            weights = class_factors(self, counts)
            binary = len(classes) == 2
            packing = Packing(
                1 if binary else len(classes), data.blocks.n_features, bool(self.fit_intercept)
            )
            l1 = penalty.l1_ratio / penalty.C
            total = float(counts.weights.sum() if weights is None else counts.weights @ weights)
            blocks = data.blocks.encoded(Encoding(classes, weights))
            problem = Problem(
                blocks,
                HalfBinomialLoss() if binary else HalfMultinomialLoss(),
                L2((1.0 - penalty.l1_ratio) / penalty.C),
                packing,
                name="logistic",
                l1=L1(l1) if l1 > 0 else None,
                seed=seed_of(self.random_state),
                known=Known(total),
                n_rows=counts.n_rows,
                room=room_for(executor, blocks, packing),
            )

            def model(solution: Solution) -> dict[str, Any]:
                coef, intercept = packing.unpack(solution.parameters)
                n_iter = np.array([solution.n_iter], dtype=np.int32)
                return {
                    "classes_": classes, "coef_": coef, "intercept_": intercept, "n_iter_": n_iter,
                }  # fmt: skip

            start = self._start(packing, classes, shifted=l1 > 0)
            solve(self, executor, problem, start, solver_name=solver, task=task, model=model)

    def _start(
        self, packing: Packing, classes: NDArray[Any], *, shifted: bool
    ) -> FloatArray | None:
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        shape = packing.n_outputs, packing.n_features
        if self.coef_.shape != shape or not np.array_equal(self.classes_, classes):
            raise ValueError(
                f"warm_start=True, but the last fit had classes {self.classes_} and coefficients "
                f"of shape {self.coef_.shape}; these data have classes {classes} and need "
                f"{shape}. Fit a new estimator."
            )
        coef, intercept = self._dense_coef(), self.intercept_
        if packing.n_outputs > 1 and not shifted:
            # A shift common to all classes changes no probability; solvers expect none.
            coef, intercept = coef - coef.mean(axis=0), intercept - intercept.mean()
        return packing.pack(coef, intercept)

    def decision_function(self, X: Any) -> Any:
        """Return the log-odds of ``classes_[1]``, or raw scores of all classes.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples,) or (n_samples, n_classes)
            Lazy where X is lazy.
        """
        return self._predict(X, decision, "decision-function")

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_classes)
            Columns in the order of ``classes_``; lazy where X is lazy.
        """
        return self._predict(X, probabilities, "predict-proba")

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of :meth:`predict_proba`.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples, n_classes)
            Lazy where X is lazy.
        """
        return self._predict(X, log_probabilities, "predict-log-proba")

    def predict(self, X: Any) -> Any:
        """Predict labels.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples,)
            Labels out of ``classes_``; lazy where X is lazy.
        """
        check_is_fitted(self)
        return self._predict(X, Labels(self.classes_), "predict")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, a float also for lazy data.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        """
        check_is_fitted(self)
        if not is_lazy(X):
            refuse_lazy(y=y, sample_weight=sample_weight)
            return float(super().score(X, y, sample_weight))
        encoding, errors = Encoding(self.classes_, unknown=True), WrongClass()
        return score(self, X, y, sample_weight, self._model(), errors, encoding, classify=True)

    def _predict(self, X: Any, finish: Any, method: str) -> Any:
        check_is_fitted(self)
        return predict(self, X, self._model(), finish, method)

    def _model(self) -> LinearPredictor:
        return LinearPredictor(self._dense_coef(), self.intercept_)
