"""Least squares that learns batch by batch, and joins with models of other rows, exactly.

A model keeps the centred second moments of [X, y] of all rows that it has seen: they are all that a
least-squares fit needs of these rows. Moments of a new batch, or of another model, are joined to
them by the update of Chan, Golub and LeVeque (1983), and the model is solved anew.
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
from dlbd_estimators.blocks.block import Blocks, from_arrays
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.moments import Moments
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.linear_model.choose_solver import SOLVERS
from dlbd_estimators.linear_model.least_squares import LeastSquares
from dlbd_estimators.linear_model.search import least_squares_problem, search
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.kept_moments import Increment
from dlbd_estimators.solvers.moment_scores import join
from dlbd_estimators.solvers.proximal.incremental_descent import IncrementalDescent
from dlbd_estimators.solvers.smooth.incremental_gram import IncrementalGram

#: Parameters that set the minimum: models are merged where these are the same.
_OF_THE_MINIMUM = ("alpha", "l1_ratio", "fit_intercept", "positive")


def _works_on_moments(estimator: Any) -> bool:
    """Tell whether an estimator's solver does; if not, say what to do."""
    solver = SOLVERS.get(estimator.solver)
    if solver is not None and not solver.by_moments:
        raise AttributeError(
            f"partial_fit and merge work on moments, but solver={estimator.solver!r} reads rows "
            f"again. Take solver='auto'."
        )
    return True


@dataclass(frozen=True)
class KeptRows:
    """What a model keeps of the rows that it has seen.

    Attributes
    ----------
    moments : Moments
        Centred, of [X, y].
    y_shape : tuple of int
        Shape of one row's target.
    """

    moments: Moments
    y_shape: tuple[int, ...]


class IncrementalLeastSquares(LeastSquares):
    """Adds ``partial_fit`` and ``merge`` to a linear regression of squared errors.

    Attributes
    ----------
    n_samples_seen_ : int
        Number of rows until now; after ``partial_fit`` and ``merge`` alone.
    """

    _saved_as: ClassVar[Mapping[str, Any]] = {"_kept": KeptRows}
    solver: str
    _kept: KeptRows

    @available_if(_works_on_moments)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Add a batch of rows to those that the model was fitted to.

        The model is that of all rows until now at once: it does not depend on how they were cut
        into batches, nor, but for rounding, on their order. A batch takes one pass, and may be
        larger than memory. The model keeps ``8 (n_features + n_targets)^2`` bytes of the rows,
        and nothing else.

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
            The fitted estimator. ``n_samples_seen_`` is the number of rows until now, and
            ``n_passes_`` that of the passes over this batch.

        Raises
        ------
        ValueError
            The batch has another number of features or targets; there are more than 4,000
            features; the data are refused as by ``fit``.
        TypeError
            X or y is not numeric.
        MemoryError
            The moments, or a block, do not fit in the memory of a worker.
        AttributeError
            ``solver`` is one that reads rows again.

        Warns
        -----
        ConvergenceWarning
            Columns are so nearly dependent that the moments' rounding may change a coefficient by
            more than ``tol``. ``fit`` would read its rows again; here they are gone.
        UserWarning
            The model was fitted by ``fit``, which keeps nothing of its rows: it begins anew.
        """
        name, _ = self._asked_for()
        if _was_fitted_by_fit(self):
            warn_user(
                f"This {type(self).__name__} was fitted by fit, which keeps nothing of its rows to "
                f"go on from: it begins anew, without them. To add rows to them, begin with "
                f"partial_fit instead of fit: its first batch may be all of these rows."
            )
        kept: KeptRows | None = getattr(self, "_kept", None)
        with fit_task(self, X, y, sample_weight, callbacks=False) as task:
            data = training_data(self, X, y, sample_weight, classify=False, reset=kept is None)
            if kept is not None and kept.y_shape != data.y_shape:
                raise ValueError(
                    f"y has targets of shape {data.y_shape} a row, but the rows until now had "
                    f"{kept.y_shape}. Fit a new model, or give y the same shape."
                )
            increment = Increment(None if kept is None else kept.moments)
            self._grow(name, data.blocks, data.y_shape, increment, task)
        return self

    @available_if(_works_on_moments)
    def merge(self, *others: Any) -> Self:
        """Add the rows of other models to those of this one, without reading any rows.

        Models of rows that may not leave their site so give the model of all rows: what a model
        carries is the mean of each column and the products of each pair of columns, summed over
        rows. (Of very few rows these may tell what the rows were.)

        Parameters
        ----------
        *others : estimator
            One or more of the same class and parameters, fitted by ``partial_fit``. They are not
            changed.

        Returns
        -------
        self
            The fitted estimator; it may have had no rows before.

        Raises
        ------
        TypeError
            A model is of another class.
        ValueError
            A model keeps nothing of its rows, since it was fitted by ``fit`` or not at all; it has
            other features, targets, or parameters; it is this one; or there is none.
        AttributeError
            ``solver`` is one that reads rows again.

        Warns
        -----
        ConvergenceWarning
            Columns are so nearly dependent that rounding of the moments may change a coefficient by
            more than ``tol``.
        """
        name, _ = self._asked_for()
        if _was_fitted_by_fit(self):
            raise ValueError(
                f"This {type(self).__name__} was fitted by fit, which keeps nothing of its rows "
                f"that could be merged. Fit it by partial_fit, or merge into a new one."
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
        """Add second moments to those of earlier rows, and fit the model to all of them."""
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
                found: Any = solution.state
                return {
                    **attributes(solution),
                    "n_samples_seen_": found.total.n_rows,
                    "_kept": KeptRows(found.total, y_shape),
                }

            search(self, executor, problem, solver, task=task, model=model, advice="")

    def _fit(self, X: Any, y: Any, sample_weight: Any, name: str, solver: str) -> Self:
        fitted = super()._fit(X, y, sample_weight, name, solver)
        # The model is now fitted to these rows alone, and their moments are not kept.
        for attribute in ("_kept", "n_samples_seen_"):
            self.__dict__.pop(attribute, None)
        return fitted

    def _check_other(self, other: Any, reference: Any) -> None:
        """Refuse a model that is not of the same kind as the others."""
        if type(other) is not type(self):
            raise TypeError(
                f"merge takes models of the same class, {type(self).__name__}, but got "
                f"{type(other).__name__}."
            )
        if other is self:
            raise ValueError("A model cannot be merged with itself: its rows would count twice.")
        if not hasattr(other, "_kept"):
            raise ValueError(
                "A model to be merged keeps nothing of its rows: fit it by partial_fit, which does."
            )
        theirs, ours = other.get_params(), self.get_params()
        for parameter in _OF_THE_MINIMUM:
            if not np.array_equal(theirs.get(parameter), ours.get(parameter)):
                raise ValueError(
                    f"Models with different parameters cannot be merged: {parameter} is "
                    f"{ours[parameter]!r} here, and {theirs[parameter]!r} there. Set it to the "
                    f"same by set_params; what a model keeps of its rows does not depend on it."
                )
        shapes = [(each.n_features_in_, each._kept.y_shape) for each in (reference, other)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Models of {shapes[0][0]} features and {shapes[1][0]}, with targets of shape "
                f"{shapes[0][1]} and {shapes[1][1]} a row, cannot be merged."
            )
        names: list[Any] = [getattr(each, "feature_names_in_", None) for each in (reference, other)]
        if not np.array_equal(*names):
            raise ValueError(
                f"Models of other features cannot be merged: {names[0]} here, {names[1]} there."
            )


def _was_fitted_by_fit(model: Any) -> bool:
    return hasattr(model, "coef_") and not hasattr(model, "_kept")


def kept_moments(model: Any) -> Moments | None:
    """Return the centred moments of the rows that a model was fitted to, where it keeps them."""
    kept: KeptRows | None = getattr(model, "_kept", None)
    return None if kept is None else kept.moments
