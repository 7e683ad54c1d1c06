"""Logistic regression with ``partial_fit``, which reads each batch once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if

from dlbd_estimators.base.callbacks import fit_task
from dlbd_estimators.base.class_weights import class_factors
from dlbd_estimators.base.privacy import DifferentialPrivacy, PrivacySpent
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.base.xarray_input import accepts_xarray
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.labels import LabelCounts
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.kernels.sandwich import SandwichSums
from dlbd_estimators.linear_model.logistic_parameters import check_parameters, has_l1_part
from dlbd_estimators.linear_model.search import search
from dlbd_estimators.linear_model.sparse_coefficients import dense
from dlbd_estimators.solvers import Problem, Solution, room_for
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.matrix_memory import check_room
from dlbd_estimators.solvers.smooth.online_newton import OnlineNewton, RunningCurvature

#: Advice for models with more parameters than a Hessian may have.
_OTHERWISE = "take MLPClassifier(hidden_layer_sizes=()), which keeps no Hessian"


def _has_smooth_penalty(estimator: Any) -> bool:
    """Return True if Newton steps can minimise the estimator's penalty.

    Raises
    ------
    AttributeError
        The estimator has an l1 penalty, searches for ``C``, or is private. The message gives
        advice.
    """
    if "C" not in estimator.get_params(deep=False):
        raise AttributeError(
            "A search for the strength of the penalty has no partial_fit: it needs all rows."
        )
    if estimator.privacy is not None:
        raise AttributeError(
            "partial_fit cannot be combined with privacy: its Hessians have no noise. Pass all "
            "rows to fit, or take MLPClassifier(hidden_layer_sizes=(), privacy=...)."
        )
    if has_l1_part(estimator):
        raise AttributeError(
            "partial_fit supports no l1 penalty. Set l1_ratio=0, or pass all rows to fit."
        )
    return True


class OnlineLogistic:
    """Mixin that adds ``partial_fit`` by online Newton steps."""

    C: float
    fit_intercept: bool
    class_weight: Any
    classes_: Any
    coef_: Any
    intercept_: Any
    _running: RunningCurvature
    _saved_as: ClassVar[Mapping[str, Any]] = {
        "_running": RunningCurvature,
        "_stored": SandwichSums,
        "privacy": DifferentialPrivacy | None,
        "privacy_spent_": PrivacySpent,
    }

    @available_if(_has_smooth_penalty)
    @accepts_xarray
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Update the model with a batch by one Newton step, which uses the Hessians of all batches.

        Each batch is read once. Its loss is replaced by the quadratic approximation at the current
        model, and the new model minimises the sum of the quadratics of all batches and the penalty.
        So the result differs from ``fit`` on all rows, and depends on the order of the batches. It
        approaches the result of ``fit`` as more batches follow. Each batch should contain rows of
        all classes. There is no learning rate, and all batches keep the same influence. ``solver``,
        ``tol``, ``max_iter`` and ``warm_start`` have no effect here.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,)
            Labels, all of which are in ``classes``.
        classes : array-like of shape (n_classes,), optional
            All labels of all batches. Required in the first call, and optional in later calls.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        self
            The fitted estimator. ``n_samples_seen_`` is the number of rows of all batches. The loss
            in ``history_`` is the loss of the batch before the update.

        Raises
        ------
        ValueError
            ``classes`` is missing in the first call; ``classes`` or ``fit_intercept`` differs from
            the first call; ``class_weight`` is ``"balanced"``; there are more than 4,000
            parameters; or the data are invalid in the same ways as for ``fit``.
        TypeError
            X is not numeric.
        MemoryError
            The Hessian, or a block, does not fit in the memory of a worker.
        AttributeError
            There is an l1 penalty, or the estimator searches for ``C`` or is private.

        Warns
        -----
        UserWarning
            The model was fitted by ``fit``, which keeps no Hessian. The model starts again with
            this batch alone.
        """
        penalty, _ = check_parameters(self)
        self.__dict__.pop("_stored", None)  # the sums of an earlier fit
        earlier = self._running_curvature()
        labels = self._labels(classes, earlier)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all rows, but partial_fit sees only a batch. Pass "
                "the factors: class_weight={label: factor, ...}."
            )
        factors = class_factors(self, _each_once(labels))
        with fit_task(self, X, y, sample_weight, callbacks=False) as task:
            data = training_data(self, X, y, sample_weight, classify=True, reset=earlier is None)
            blocks = data.blocks.encoded(Encoding(labels, factors))
            binary = len(labels) == 2
            packing = Packing(
                1 if binary else len(labels), blocks.n_features, bool(self.fit_intercept)
            )
            if earlier is not None and len(earlier.linear) != packing.size:
                raise ValueError(
                    f"fit_intercept={self.fit_intercept!r}, but earlier batches were fitted with "
                    f"the other value, so their Hessian has another number of parameters. Set it "
                    f"back, or fit a new model."
                )
            if packing.size > LARGEST_HESSIAN:
                raise ValueError(
                    f"The model has {packing.size} parameters, but partial_fit keeps a Hessian of "
                    f"at most {LARGEST_HESSIAN}. Select columns first, or {_OTHERWISE}."
                )
            with executor_for(blocks) as executor:
                problem = Problem(
                    blocks,
                    HalfBinomialLoss() if binary else HalfMultinomialLoss(),
                    L2(1.0 / penalty.C),
                    packing,
                    name="logistic",
                    room=room_for(executor, blocks, packing),
                )
                check_room(problem, "online_newton", packing.size, f"Or {_OTHERWISE}")
                start_parameters = None if earlier is None else self._packed(packing)

                def model(solution: Solution) -> dict[str, Any]:
                    coef, intercept = packing.unpack(solution.parameters)
                    online_state: Any = solution.state
                    return {
                        "classes_": labels,
                        "coef_": coef,
                        "intercept_": intercept,
                        "n_iter_": np.array([solution.n_iter], dtype=np.int32),
                        "n_samples_seen_": online_state.running.n_rows,
                        "_running": online_state.running,
                    }

                search(
                    self,
                    executor,
                    problem,
                    OnlineNewton(earlier),
                    task=task,
                    model=model,
                    advice="",
                    start=start_parameters,
                )
        return self

    def _packed(self, packing: Packing) -> FloatArray:
        return packing.pack(dense(self.coef_), np.asarray(self.intercept_))

    def _running_curvature(self) -> RunningCurvature | None:
        if hasattr(self, "coef_") and not hasattr(self, "_running"):
            warn_user(
                "This LogisticRegression was fitted by fit, which keeps no Hessian of its rows: "
                "partial_fit starts again without them. To add rows to them, call partial_fit "
                "instead of fit for the first rows, or fit all rows with warm_start=True."
            )
        return getattr(self, "_running", None)

    def _labels(self, classes: Any, earlier: RunningCurvature | None) -> NDArray[Any]:
        """Return the sorted classes: those of this call, or else those of the first call."""
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if classes is None:
            return np.asarray(self.classes_)
        labels = np.unique(np.asarray(classes))
        if earlier is not None and not np.array_equal(labels, self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        if len(labels) < 2:
            raise ValueError(f"classes must name two labels or more, but is {classes!r}.")
        return labels


def _each_once(labels: NDArray[Any]) -> LabelCounts:
    counts = np.ones(len(labels), dtype=np.int64)
    return LabelCounts(labels, counts, np.ones(len(labels)), len(labels))
