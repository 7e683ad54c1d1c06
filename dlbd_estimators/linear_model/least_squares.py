"""What all least-squares estimators share: fit, predict and score."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, Self

import numpy as np
from sklearn.base import MultiOutputMixin

from dlbd_estimators.base.callbacks import fit_task, with_callbacks
from dlbd_estimators.base.number_predictions import NumberPredictions
from dlbd_estimators.base.parameters import check_flag
from dlbd_estimators.base.prediction import Finish
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.losses import HalfSquaredError
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L1, L2
from dlbd_estimators.kernels.predictors import LinearPredictor
from dlbd_estimators.linear_model.fit import seed_of, solve
from dlbd_estimators.solvers import Problem, Solution, room_for


class LeastSquares(MultiOutputMixin, NumberPredictions):
    """What the least-squares estimators share: how they are fitted, and what they predict."""

    fit_intercept: bool
    positive: bool
    #: Whether ``coef_`` of y of shape (n, 1) has one dimension, as of y of shape (n,).
    _flat_column = True
    coef_: Any
    intercept_: Any

    @abstractmethod
    def _asked_for(self) -> tuple[str, str]:
        """Check the parameters; return the names of the problem and of our solver."""

    @abstractmethod
    def _penalties(self, n_outputs: int) -> tuple[L2, L1 | None]:
        """Check the parameters that set the penalties, and return these."""

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).
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
            NaN or infinity (names block, row and column), lengths that differ, unknown
            solver, parameters out of range.
        TypeError
            X or y is not numeric.
        MemoryError
            A block does not fit in a worker, or sparse rows do not fit in memory once they are
            dense; raised before reading.
        """
        return self._fit(X, y, sample_weight, *self._asked_for())

    def _start(self, packing: Packing) -> FloatArray | None:
        """Return where to begin; None lets the solver choose."""
        return None

    def _fit(self, X: Any, y: Any, sample_weight: Any, name: str, solver: str) -> Self:
        for flag in ("copy_X", "positive"):
            check_flag(self, flag)
        with fit_task(self, X, y, sample_weight) as task:
            data = training_data(self, X, y, sample_weight, classify=False)
            n_outputs = data.y_shape[0] if data.y_shape else 1
            packing = Packing(n_outputs, data.blocks.n_features, bool(self.fit_intercept))
            penalty, l1 = self._penalties(n_outputs)
            single = not data.y_shape
            with executor_for(data.blocks) as executor:
                problem = Problem(
                    data.blocks,
                    HalfSquaredError(),
                    penalty,
                    packing,
                    name=name,
                    l1=l1,
                    seed=seed_of(getattr(self, "random_state", None)),
                    room=room_for(executor, data.blocks, packing),
                )
                model = partial(self._attributes, packing, single)
                start = self._start(packing)
                solve(self, executor, problem, start, solver_name=solver, task=task, model=model)
        return self

    def _attributes(self, packing: Packing, single: bool, solution: Solution) -> dict[str, Any]:
        """Return what a solution makes of the estimator."""
        coef, intercept = packing.unpack(solution.parameters)
        flat = single or (self._flat_column and packing.n_outputs == 1)
        return {
            "coef_": coef[0] if flat else coef,
            "intercept_": (intercept[0] if single else intercept) if self.fit_intercept else 0.0,
        }

    def _model(self) -> LinearPredictor:
        coef = np.atleast_2d(self.coef_)
        intercept = np.asarray(self.intercept_, dtype=np.float64)
        return LinearPredictor(coef, np.broadcast_to(intercept, (len(coef),)))

    def _finish(self) -> Finish:
        return _first_column if np.ndim(self.coef_) == 1 else _all_columns


def _first_column(raw: FloatArray) -> FloatArray:
    return raw[:, 0]


def _all_columns(raw: FloatArray) -> FloatArray:
    return raw
