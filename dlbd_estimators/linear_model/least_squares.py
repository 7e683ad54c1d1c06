"""Base classes of the linear regressions, with fit, predict and score."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import MultiOutputMixin

from dlbd_estimators.base.callbacks import fit_task, with_callbacks
from dlbd_estimators.base.loaded_values import check_coefficients
from dlbd_estimators.base.number_predictions import NumberPredictions
from dlbd_estimators.base.prediction import Finish
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.losses import HalfSquaredError, Loss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.kernels.predictors import LinearPredictor
from dlbd_estimators.linear_model.fit import seed_of
from dlbd_estimators.linear_model.stored_covariance import solve_and_store
from dlbd_estimators.solvers import Problem, Solution, room_for


class LinearRegressorBase(MultiOutputMixin, NumberPredictions):
    """Base that predicts and scores with coefficients and intercepts.

    Parameters
    ----------
    fit_intercept : bool, default=True
        Whether to estimate the intercept ``b``; if not, it is 0.
    checkpoint : str or path, optional
        Folder, or URL of an object store, to which the fit is written after each step. A later
        ``fit`` with the same parameters and data continues from there, with a bit-identical
        result. ``{}`` in the path is replaced by a hash of the parameters and data, so that each
        fit of a search has its own folder. See ``docs/reliability.md``.

    Attributes
    ----------
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, if X has names.
    solver_ : str
        The solver used.
    n_passes_ : float
        Number of passes over the data.
    history_ : list of dict
        One entry for each step; see :class:`dlbd_estimators.solvers.history.Record`.
    """

    fit_intercept: bool
    #: Whether ``coef_`` has one dimension for y of shape (n, 1), as it has for y of shape (n,).
    _flat_column = True
    coef_: Any
    intercept_: Any

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        """Return the fitted attributes for a solution, by name."""
        coef, intercept = packing.unpack(solution.parameters)
        flat = single or (self._flat_column and packing.n_outputs == 1)
        return {
            "coef_": coef[0] if flat else coef,
            "intercept_": (intercept[0] if single else intercept) if self.fit_intercept else 0.0,
            "n_iter_": solution.n_iter,
        }

    def _check_loaded(self) -> None:
        super()._check_loaded()
        check_coefficients(self)

    def _model(self) -> LinearPredictor:
        coef = np.atleast_2d(self.coef_)
        intercept = np.asarray(self.intercept_, dtype=np.float64)
        return LinearPredictor(coef, np.broadcast_to(intercept, (len(coef),)))

    def _finish(self) -> Finish:
        return _first_column if np.ndim(self.coef_) == 1 else _all_columns


class LeastSquares(LinearRegressorBase):
    """Base that fits a linear regression, by least squares unless a subclass sets ``_loss``.

    Parameters
    ----------
    copy_X : bool, default=True
        Accepted for compatibility with scikit-learn; it has no effect, since X is never changed.
    positive : bool, default=False
        Whether to allow only coefficients of at least 0. The intercept may have any sign. It takes
        one more pass, which proves that the solution is the minimum.
    random_state : int, RandomState or None, default=None
        Seed of the random choice of a sample of blocks, if the solver uses a sample. None is a
        fixed seed, so that the same data give the same result.
    verbose : int or bool, default=0
        1 or True prints one line for each step: loss, gradient, error, seconds and reading speed.
    """

    _loss: ClassVar[Loss] = HalfSquaredError()

    @abstractmethod
    def _check_parameters(self) -> tuple[str, str]:
        """Check the parameters; return the names of the problem and of this package's solver."""

    @abstractmethod
    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        """Check the parameters of the penalties, and return the penalties."""

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            X, y or sample_weight holds NaN or infinity (the message names block, row and column),
            lengths differ, the solver is unknown, or a parameter is out of range.
        TypeError
            X or y is not numeric.
        MemoryError
            A block does not fit in the memory of a worker, or a block of a sparse X does not fit
            after its conversion to a dense array. It is raised before anything is read.

        Warns
        -----
        ConvergenceWarning
            ``tol`` was not reached, in ``max_iter`` steps or because of rounding.
        """
        return self._fit(X, y, sample_weight, *self._check_parameters())

    def _start(self, packing: Packing) -> FloatArray | None:
        """Return the parameters to start from; None lets the solver choose."""
        return None

    def _fit(self, X: Any, y: Any, sample_weight: Any, name: str, solver: str) -> Self:
        with fit_task(self, X, y, sample_weight) as task:
            data = training_data(self, X, y, sample_weight, classify=False)
            n_outputs = data.y_shape[0] if data.y_shape else 1
            packing = Packing(n_outputs, data.blocks.n_features, bool(self.fit_intercept))
            penalty, l1 = self._penalties(n_outputs)
            single = not data.y_shape
            with executor_for(data.blocks) as executor:
                task.checkpoint.open(executor, data.blocks)
                problem = Problem(
                    data.blocks,
                    self._loss,
                    penalty,
                    packing,
                    name=name,
                    l1=l1,
                    seed=seed_of(getattr(self, "random_state", None), task),
                    room=room_for(executor, data.blocks, packing),
                )
                model = partial(self._attributes, packing, single)
                start = self._start(packing)
                options = {"solver_name": solver, "task": task, "model": model}
                solve_and_store(self, executor, problem, start, **options)
        return self


def _first_column(raw: FloatArray) -> FloatArray:
    return raw[:, 0]


def _all_columns(raw: FloatArray) -> FloatArray:
    return raw
