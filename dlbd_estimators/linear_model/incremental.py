"""Least squares with exact ``partial_fit`` and ``merge``.

A model keeps the centred second moments of [X, y] of all rows that it has seen. A least-squares fit
needs nothing else from these rows. The moments of a new batch, or of another model, are added by
the update of Chan, Golub and LeVeque (1983), and the model is computed again from the sum.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.metaestimators import available_if

from dlbd_estimators.base.callbacks import FitTask, fit_task
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.base.xarray_input import accepts_xarray
from dlbd_estimators.blocks.block import Blocks, from_arrays
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.sandwich import SandwichSums
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.linear_model.least_squares import LeastSquares
from dlbd_estimators.linear_model.search import least_squares_problem, search
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.kept_moments import Increment
from dlbd_estimators.solvers.moment_scores import join
from dlbd_estimators.solvers.proximal.incremental_descent import IncrementalDescent
from dlbd_estimators.solvers.smooth.incremental_gram import IncrementalGram

#: Parameters on which the minimum depends: models can be merged if these are equal.
_OF_THE_MINIMUM = ("alpha", "l1_ratio", "fit_intercept", "positive")


def _works_on_moments(estimator: Any) -> bool:
    """Return True if the estimator's solver works on moments.

    Raises
    ------
    AttributeError
        The solver reads the rows again. The message gives advice.
    """
    solver = SOLVERS.get(estimator.solver)
    if solver is not None and not solver.by_moments:
        raise AttributeError(
            f"partial_fit and merge work on moments, but solver={estimator.solver!r} reads rows "
            f"again. Take solver='auto'."
        )
    return True


@dataclass(frozen=True)
class KeptRows:
    """The data that a model keeps about the rows that it has seen.

    Attributes
    ----------
    moments : Moments
        Centred second moments of [X, y].
    y_shape : tuple of int
        Shape of the target of one row.
    """

    moments: Moments
    y_shape: tuple[int, ...]


class IncrementalLeastSquares(LeastSquares):
    """Base that adds ``partial_fit`` and ``merge`` to a least-squares regression.

    Attributes
    ----------
    n_samples_seen_ : int
        Number of rows of all batches. Only after ``partial_fit`` and ``merge``.
    """

    _saved_as: ClassVar[Mapping[str, Any]] = {"_kept": KeptRows, "_stored": SandwichSums}
    solver: str
    _kept: KeptRows

    @available_if(_works_on_moments)
    @accepts_xarray
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Add a batch of rows to the rows that the model was fitted to.

        The result is the same as that of one fit to all rows of all batches. Apart from rounding,
        it does not depend on the size or the order of the batches. A batch takes one pass, and may
        be larger than memory. The model keeps ``8 (n_features + n_targets)^2`` bytes of second
        moments, and no rows.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of the batch, of shape (n_samples, n_features).
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_targets)
            Targets.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        self
            The fitted estimator. ``n_samples_seen_`` is the number of rows of all batches, and
            ``n_passes_`` the number of passes over this batch.

        Raises
        ------
        ValueError
            The batch has another number of features or targets, there are more than 4,000
            features, or the data are invalid in the same ways as for ``fit``.
        TypeError
            X or y is not numeric.
        MemoryError
            The moments, or a block, do not fit in the memory of a worker.
        AttributeError
            ``solver`` is a solver that reads rows more than once.

        Warns
        -----
        ConvergenceWarning
            Columns are so nearly dependent that rounding of the moments may change a coefficient by
            more than ``tol``. ``fit`` would read its rows again, but ``partial_fit`` cannot read
            earlier batches again.
        UserWarning
            The model was fitted by ``fit``, which keeps no moments. The model starts again with
            this batch alone.
        """
        name, _ = self._check_parameters()
        if _was_fitted_by_fit(self):
            warn_user(
                f"This {type(self).__name__} was fitted by fit, which keeps no moments of its "
                f"rows: partial_fit starts again without them. To add rows to them, call "
                f"partial_fit instead of fit for the first rows; a batch may have any size."
            )
        kept: KeptRows | None = getattr(self, "_kept", None)
        with fit_task(self, X, y, sample_weight, callbacks=False) as task:
            data = training_data(self, X, y, sample_weight, classify=False, reset=kept is None)
            if kept is not None and kept.y_shape != data.y_shape:
                raise ValueError(
                    f"y has targets of shape {data.y_shape} for each row, but earlier batches had "
                    f"{kept.y_shape}. Fit a new model, or give y the same shape."
                )
            increment = Increment(None if kept is None else kept.moments)
            self._grow(name, data.blocks, data.y_shape, increment, task)
        return self

    @available_if(_works_on_moments)
    def merge(self, *others: Any) -> Self:
        """Add the rows of other models to the rows of this model, without reading any rows.

        This gives a model of all rows even if the rows may not leave the sites where they are
        stored. A model contains only the mean of each column and the products of each pair of
        columns, summed over rows. (Rows may be reconstructed from these sums if they are very few.)

        Parameters
        ----------
        *others : estimator
            One or more models of the same class and parameters, fitted by ``partial_fit``. They are
            not changed.

        Returns
        -------
        self
            The fitted estimator. It need not have been fitted before.

        Raises
        ------
        TypeError
            A model is of another class.
        ValueError
            A model keeps no moments, because it was fitted by ``fit`` or is not fitted. A model has
            other features, targets or parameters, or is this model. No model was passed.
        AttributeError
            ``solver`` is a solver that reads rows more than once.

        Warns
        -----
        ConvergenceWarning
            Columns are so nearly dependent that rounding of the moments may change a coefficient by
            more than ``tol``.
        """
        name, _ = self._check_parameters()
        if _was_fitted_by_fit(self):
            raise ValueError(
                f"This {type(self).__name__} was fitted by fit, which keeps no moments of its rows "
                f"that could be merged. Fit it by partial_fit, or merge into a new estimator."
            )
        kept: KeptRows | None = getattr(self, "_kept", None)
        if not others:
            raise ValueError("merge takes one model or more, but got none.")
        first = others[0]
        for other in others:
            self._check_other(other, first if kept is None else self)
        if kept is None:
            self.n_features_in_ = first.n_features_in_
            if hasattr(first, "feature_names_in_"):
                self.feature_names_in_ = first.feature_names_in_
        added = join([other._kept.moments for other in others], range(len(others)))
        y_shape = first._kept.y_shape
        n_targets = y_shape[0] if y_shape else 1
        names = getattr(self, "feature_names_in_", None)
        no_rows = np.empty((0, self.n_features_in_)), np.empty((0, n_targets))
        increment = Increment(None if kept is None else kept.moments, added)
        with fit_task(self, None, None, None, callbacks=False) as task:
            self._grow(name, from_arrays(*no_rows, None, names), y_shape, increment, task)
        return self

    def _grow(
        self,
        name: str,
        blocks: Blocks,
        y_shape: tuple[int, ...],
        increment: Increment,
        task: FitTask,
    ) -> None:
        """Add the second moments of new rows to those of earlier rows, and fit the model."""
        self.__dict__.pop("_stored", None)  # the sums of an earlier fit
        n_outputs = y_shape[0] if y_shape else 1
        packing = Packing(n_outputs, blocks.n_features, bool(self.fit_intercept))
        penalty, l1 = self._penalties(n_outputs)
        with executor_for(blocks) as executor:
            problem = least_squares_problem(
                executor, blocks, packing, penalty, l1, name=name, otherwise="fit all rows by fit"
            )
            solver = IncrementalGram(increment) if l1 is None else IncrementalDescent(increment)
            attributes = partial(self._attributes, packing, not y_shape)

            def model(solution: Solution) -> dict[str, Any]:
                increment_state: Any = solution.state
                return {
                    **attributes(solution),
                    "n_samples_seen_": increment_state.total.n_rows,
                    "_kept": KeptRows(increment_state.total, y_shape),
                }

            search(self, executor, problem, solver, task=task, model=model, advice="")

    def _fit(self, X: Any, y: Any, sample_weight: Any, name: str, solver: str) -> Self:
        fitted = super()._fit(X, y, sample_weight, name, solver)
        # fit keeps no moments, so merge and partial_fit must not use those of earlier batches.
        for attribute in ("_kept", "n_samples_seen_"):
            self.__dict__.pop(attribute, None)
        return fitted

    def _check_other(self, other: Any, reference: Any) -> None:
        """Check that a model can be merged: same class, parameters, features and targets."""
        if type(other) is not type(self):
            raise TypeError(
                f"merge takes models of the same class, {type(self).__name__}, but got "
                f"{type(other).__name__}."
            )
        if other is self:
            raise ValueError("A model cannot be merged with itself: its rows would count twice.")
        if not hasattr(other, "_kept"):
            raise ValueError(
                "A model to be merged keeps no moments of its rows: fit it by partial_fit, not fit."
            )
        other_values, own_values = other.get_params(), self.get_params()
        for parameter in _OF_THE_MINIMUM:
            if not np.array_equal(other_values.get(parameter), own_values.get(parameter)):
                raise ValueError(
                    f"Models with different parameters cannot be merged: {parameter} is "
                    f"{own_values[parameter]!r} in this model, and {other_values[parameter]!r} in "
                    f"the other. Set both to the same value by set_params; the moments do not "
                    f"depend on it."
                )
        shapes = [
            (compared.n_features_in_, compared._kept.y_shape) for compared in (reference, other)
        ]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Models of {shapes[0][0]} and {shapes[1][0]} features, with targets of shape "
                f"{shapes[0][1]} and {shapes[1][1]} for each row, cannot be merged."
            )
        names: list[Any] = [
            getattr(compared, "feature_names_in_", None) for compared in (reference, other)
        ]
        if not np.array_equal(*names):
            raise ValueError(
                f"Models of different features cannot be merged: {names[0]} and {names[1]}."
            )


def _was_fitted_by_fit(model: Any) -> bool:
    return hasattr(model, "coef_") and not hasattr(model, "_kept")


def kept_moments(model: Any) -> Moments | None:
    """Return the centred moments of a model's rows; None if it keeps none."""
    kept: KeptRows | None = getattr(model, "_kept", None)
    return None if kept is None else kept.moments
