"""Logistic regression that learns from batches, each of which is read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.metaestimators import available_if

from dlbd_estimators.base.callbacks import fit_task
from dlbd_estimators.base.class_weights import class_factors
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.labels import LabelCounts
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfMultinomialLoss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.kernels.penalties import L2
from dlbd_estimators.linear_model.logistic_parameters import asked_for, has_l1_part
from dlbd_estimators.linear_model.search import search
from dlbd_estimators.linear_model.sparse_coefficients import dense
from dlbd_estimators.solvers import Problem, Solution, room_for
from dlbd_estimators.solvers.factor import LARGEST_HESSIAN
from dlbd_estimators.solvers.matrix_memory import check_room
from dlbd_estimators.solvers.smooth.online_newton import OnlineNewton, RunningCurvature

#: What to take for more parameters than a Hessian is held for.
_OTHERWISE = "take MLPClassifier(hidden_layer_sizes=()), which keeps no Hessian"


def _has_smooth_penalty(estimator: Any) -> bool:
    """Tell whether an estimator has a penalty that Newton steps know; if not, say what to do."""
    if "C" not in estimator.get_params(deep=False):
        raise AttributeError(
            "A search over strengths of the penalty has no partial_fit: it needs all rows."
        )
    if has_l1_part(estimator):
        raise AttributeError(
            "partial_fit knows no l1 penalty. Take l1_ratio=0, or pass all rows to fit."
        )
    return True


class OnlineLogistic:
    """Mixin: ``partial_fit`` by online Newton steps."""

    C: float
    fit_intercept: bool
    class_weight: Any
    classes_: Any
    coef_: Any
    intercept_: Any
    _running: RunningCurvature
    _saved_as: ClassVar[Mapping[str, Any]] = {"_running": RunningCurvature}

    @available_if(_has_smooth_penalty)
    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """Learn from a batch by one Newton step, with the curvature of all batches until now.

        A batch is read once, at the model of that time, and stands from then on for the quadratic
        that its loss was there. So this is not ``fit`` on all rows: it gets near it as batches
        follow, and depends on their order. Rows should come mixed: batches of one class after the
        other teach little. It has no learning rate, and forgets nothing. ``solver``, ``tol``,
        ``max_iter`` and ``warm_start`` have no effect on it.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).
        y : array-like or lazy array of shape (n_samples,)
            Labels out of ``classes``.
        classes : array-like of shape (n_classes,), optional
            All labels that there will be; needed by the first call alone.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.

        Returns
        -------
        self
            The fitted estimator. ``n_samples_seen_`` is the number of rows until now; the loss in
            ``history_`` is that of the batch before it was learned.

        Raises
        ------
        ValueError
            ``classes`` is missing in the first call, or another than there, as is
            ``fit_intercept``; ``class_weight`` is ``"balanced"``; there are more than 4,000
            parameters; the data are refused as by ``fit``.
        TypeError
            X is not numeric.
        MemoryError
            The Hessian, or a block, does not fit in the memory of a worker.
        AttributeError
            There is an l1 penalty, or the estimator searches for ``C``.

        Warns
        -----
        UserWarning
            The model was fitted by ``fit``, which keeps no curvature: it begins anew.
        """
        penalty, _ = asked_for(self)
        earlier = self._running_curvature()
        labels = self._labels(classes, earlier)
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all rows, but partial_fit sees only a batch. Give "
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
                    f"fit_intercept={self.fit_intercept!r}, but the batches before were learned "
                    f"with the other value, so their curvature has another number of parameters. "
                    f"Set it back, or begin with a new model."
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
                begin = None if earlier is None else self._packed(packing)

                def model(solution: Solution) -> dict[str, Any]:
                    coef, intercept = packing.unpack(solution.parameters)
                    found: Any = solution.state
                    return {
                        "classes_": labels,
                        "coef_": coef,
                        "intercept_": intercept,
                        "n_iter_": np.array([solution.n_iter], dtype=np.int32),
                        "n_samples_seen_": found.running.n_rows,
                        "_running": found.running,
                    }

                search(
                    self,
                    executor,
                    problem,
                    OnlineNewton(earlier),
                    task=task,
                    model=model,
                    advice="",
                    start=begin,
                )
        return self

    def _packed(self, packing: Packing) -> FloatArray:
        return packing.pack(dense(self.coef_), np.asarray(self.intercept_))

    def _running_curvature(self) -> RunningCurvature | None:
        if hasattr(self, "coef_") and not hasattr(self, "_running"):
            warn_user(
                "This LogisticRegression was fitted by fit, which keeps no curvature to go on "
                "from: it begins anew, without the rows of that fit. To add rows to them, begin "
                "with partial_fit, or fit all rows again with warm_start=True."
            )
        return getattr(self, "_running", None)

    def _labels(self, classes: Any, earlier: RunningCurvature | None) -> NDArray[Any]:
        """Return the classes, of which the first call is told."""
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
