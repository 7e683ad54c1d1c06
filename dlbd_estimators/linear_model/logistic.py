"""Logistic regression of two or more classes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from dlbd_estimators.base.callbacks import FitTask, fit_task, with_callbacks
from dlbd_estimators.base.class_predictions import ClassPredictions
from dlbd_estimators.base.class_weights import class_factors, count_labels
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.kernels.predictors import LinearPredictor
from dlbd_estimators.linear_model.decision_function import DecisionFunction
from dlbd_estimators.linear_model.fit import seed_of
from dlbd_estimators.linear_model.logistic_parameters import (
    SKLEARN_COUNTERPART,
    UNSET,
    Penalty,
    check_parameters,
    last_solution,
)
from dlbd_estimators.linear_model.logistic_splits import fit_logistic_on_splits, may_share
from dlbd_estimators.linear_model.online_logistic import OnlineLogistic
from dlbd_estimators.linear_model.private_logistic import check_privacy, fit_privately
from dlbd_estimators.linear_model.solver_names import check_liblinear
from dlbd_estimators.linear_model.sparse_coefficients import SparseCoefficients, dense
from dlbd_estimators.linear_model.split_fits import FitOnSplits
from dlbd_estimators.linear_model.stored_covariance import check_storable, solve_and_store
from dlbd_estimators.solvers import Known, Problem, Solution, room_for


class LogisticRegression(OnlineLogistic, SparseCoefficients, DecisionFunction, ClassPredictions):
    """Logistic regression with an L2 or l1 penalty, both, or none.

    Minimises ``C sum_i s_i loss(y_i, x_i W + b) + (1 - l1_ratio) ||W||^2 / 2 + l1_ratio |W|_1``,
    where ``s_i`` is the weight of row i. The loss is the binomial log loss for two classes, and
    the softmax cross-entropy for more. The intercept ``b`` is not penalised.

    Parameters
    ----------
    penalty : {"l1", "l2", "elasticnet"} or None, optional
        Deprecated in scikit-learn, and accepted as long as it is accepted there. Pass ``l1_ratio``
        instead, and ``C=np.inf`` instead of None.
    C : float, default=1.0
        Inverse of the strength of the penalty, greater than 0; ``np.inf`` means no penalty.
    l1_ratio : float, default=0.0
        Share of the l1 part in the penalty, from 0 to 1. Above 0, some coefficients become zero.
    dual : bool, default=False
        Accepted for compatibility with scikit-learn. It has no effect: the primal problem is
        solved, which has the same minimum. True is allowed only with ``solver="liblinear"``, and
        gives one warning.
    tol : float, default=1e-7
        Largest acceptable error of a coefficient: the largest ``sd_j |dw_j|`` divided by the
        largest ``sd_j |w_j|``, where ``sd_j`` is the standard deviation of column j and ``dw_j``
        the error of its coefficient. It does not depend on the units of X. ``history_`` gives this
        ``"error"`` for each step; ``"error_is"`` is ``"bound"`` or ``"estimate"``.
    fit_intercept : bool, default=True
        Whether to estimate the intercept ``b``; if not, it is 0.
    intercept_scaling : float, default=1
        Accepted for compatibility with scikit-learn; it has no effect, since the intercept is
        never penalised. A value other than 1 gives one warning.
    class_weight : dict, "balanced" or None, default=None
        Factor by which the weights of the rows of each class are multiplied. ``"balanced"`` gives
        all classes the same total weight, and None is a factor of 1.
    random_state : int, RandomState or None, default=None
        Seed of the random choice of a sample of blocks; the fit starts from the solution of this
        sample. None is a fixed seed. The seed changes the solution by less than ``tol``.
    solver : {"auto", "newton", "newton_cg", "lbfgs", "gradient_descent", "nesterov", \
            "proximal_newton", "working_set", "liblinear", "newton-cg", "newton-cholesky", "sag", \
            "saga"}, default="auto"
        ``"auto"`` chooses the solver that is expected to be the fastest: ``"newton"`` if a Hessian
        is cheap compared with reading the rows, ``"lbfgs"`` for many rows in memory, and
        ``"newton_cg"`` (Newton's method by conjugate gradients) for many classes or features. If
        ``l1_ratio`` is above 0, it chooses ``"proximal_newton"``, or ``"working_set"`` for many
        features; the other solvers cannot minimise an l1 penalty. ``"gradient_descent"`` takes
        gradient steps with momentum in the metric of a sample's Hessian; ``"nesterov"`` takes
        Nesterov's accelerated steps along the plain gradient of standardised columns, which shows
        how many more passes they need. The last five are names of
        scikit-learn's solvers: ``"newton-cholesky"`` means ``"newton"``, and the others mean
        ``"auto"``. Each of them refuses the same parameters as in scikit-learn.
    max_iter : int, default=100
        Largest number of steps of the solver; 0 leaves the coefficients at zero. As in
        scikit-learn, a pass that only shortens a step is not counted as a step of its own.
    verbose : int or bool, default=0
        1 or True prints one line for each step: loss, gradient, error, seconds and reading speed.
    warm_start : bool, default=False
        Whether to start from the solution of the last fit, not from the solution of a sample.
    n_jobs : int, optional
        Accepted for compatibility with scikit-learn, where it has no effect either. A value other
        than None gives one warning.
    checkpoint : str or path, optional
        Folder, or URL of an object store, to which the fit is written after each step. A later
        ``fit`` with the same parameters and data continues from there, with a bit-identical
        result. ``{}`` in the path is replaced by a hash of the parameters and data, so that each
        fit of a search has its own folder. See ``docs/reliability.md``.
    store_covariance : bool, default=False
        Whether to keep the sums from which ``inference.coefficient_table(model)`` computes standard
        errors without X, ``8 n_coefficients^2`` bytes. It takes one more pass, at the solution. Not
        with an l1 penalty or ``class_weight``.
    privacy : DifferentialPrivacy, optional
        Fits by exactly ``max_iter`` noisy gradient steps, each of which reads all rows; ``tol`` has
        no effect. A row ``[x, 1]`` longer than ``max_gradient_norm`` (divided by ``sqrt(2)`` for
        three classes or more) is shortened to it, so divide the columns by public scales first.
        Parameters that would reveal rows are refused. See ``docs/privacy.md``.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Coefficients, float64. For two classes, they give the log-odds of ``classes_[1]``.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Intercepts. For three classes or more, they sum to zero.
    n_iter_ : ndarray of shape (1,)
        Number of steps of the solver.
    n_samples_seen_ : int
        Number of rows of all batches. Only after ``partial_fit``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has names.
    solver_ : str
        The solver used.
    n_passes_ : float
        Number of passes over the features. A pass over a sample counts as the sample's share of
        the rows. The pass that finds the classes reads only the labels, and is not counted.
    history_ : list of dict
        One entry for each step; see :class:`dlbd_estimators.solvers.history.Record`. With
        ``privacy``, there is no loss, time or number of bytes.
    privacy_spent_ : PrivacySpent
        The budget that the fit has spent: ``epsilon``, ``delta`` and ``releases``. Only with
        ``privacy``.

    Notes
    -----
    ``"newton"`` starts from the solution of a sample of blocks. Each pass computes the gradient
    and the Hessian together. Generalised self-concordance (Bach 2010) bounds the error after the
    last step, so that no further pass is needed to check it. Two full passes are usually enough.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LogisticRegression
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> LogisticRegression().fit(X, ["no", "no", "yes", "yes"]).predict([[0.5]])
    array(['yes'], dtype='<U3')
    """

    _sklearn_counterpart = SKLEARN_COUNTERPART
    #: Parameters in which models that a search fits together may differ. Not inherited.
    _shared_parameters = ("C",)
    _may_share = may_share
    _fit_on_splits: ClassVar[FitOnSplits] = staticmethod(fit_logistic_on_splits)

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
        checkpoint: Any = None,
        store_covariance: bool = False,
        privacy: Any = None,
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
        self.checkpoint = checkpoint
        self.store_covariance = store_covariance
        self.privacy = privacy

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> LogisticRegression:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
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
            X or sample_weight holds NaN or infinity (the message names block, row and column),
            lengths differ, y has a single class, the solver is unknown, or a parameter is out of
            range or does not fit ``privacy``.
        TypeError
            X is not numeric.
        MemoryError
            A block does not fit in the memory of a worker, or a block of a sparse X does not fit
            after its conversion to a dense array. It is raised before anything is read.

        Warns
        -----
        SeparableWarning
            The classes, or some of their rows, are perfectly separable and there is no penalty.
        ConvergenceWarning
            ``tol`` was not reached, in ``max_iter`` steps or because of rounding.
        """
        penalty, solver = check_parameters(self)
        no_errors = "class_weight depends on them" if self.class_weight is not None else None
        no_errors = "an l1 penalty chooses them" if penalty.l1_ratio > 0 else no_errors
        check_storable(self, reason=no_errors)
        if self.privacy is not None:
            check_privacy(self, penalty)
        with fit_task(self, X, y, sample_weight) as task:
            if self.privacy is not None:
                fit_privately(self, X, y, sample_weight, penalty, task)
            else:
                self._fit(X, y, sample_weight, penalty, solver, task)
                self.__dict__.pop("privacy_spent_", None)
        # The model describes only these rows: partial_fit must not continue from older batches.
        for attribute in ("_running", "n_samples_seen_"):
            self.__dict__.pop(attribute, None)
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
            task.checkpoint.open(executor, data.blocks)
            counts = count_labels(self, executor, data.blocks, "logistic")
            task.checkpoint.add_to_fingerprint("classes", counts.labels)
            task.checkpoint.add_to_fingerprint("weights of classes", counts.weights)
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
                seed=seed_of(self.random_state, task),
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

            start = last_solution(self, packing, classes, shifted=l1 > 0)
            options = {"solver_name": solver, "task": task, "model": model}
            solve_and_store(self, executor, problem, start, **options)

    def _model(self) -> LinearPredictor:
        return LinearPredictor(dense(self.coef_), self.intercept_)
