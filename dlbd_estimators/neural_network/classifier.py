"""Perceptrons that predict classes or labels."""

from __future__ import annotations

from typing import Any

from sklearn.utils.metaestimators import available_if

from dlbd_estimators.base.class_predictions import ClassPredictions
from dlbd_estimators.base.validation import Data, training_data
from dlbd_estimators.base.xarray_input import accepts_xarray
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.neural_network.parameters import has_batches
from dlbd_estimators.neural_network.perceptron import BaseMLP
from dlbd_estimators.neural_network.private_parameters import declared_class_targets
from dlbd_estimators.neural_network.shared_parameters import with_shared_parameters
from dlbd_estimators.neural_network.sklearn_counterparts import CLASSIFIER
from dlbd_estimators.neural_network.targets import (
    TargetSpec,
    class_targets,
    classes_of,
    label_targets,
)


@with_shared_parameters
class MLPClassifier(ClassPredictions, BaseMLP):
    """Multi-layer perceptron that predicts classes, or several labels per row.

    Minimises ``sum_i s_i loss_i / S + alpha ||W||^2 / (2 S)`` over mini-batches, where ``s_i`` is
    the weight of row i and ``S`` the total weight of the batch. The loss is the binomial log loss
    for two classes or for labels, and the softmax cross-entropy for more classes. Rows in memory
    are trained on as in scikit-learn's MLPClassifier, step by step. Lazy data are read block by
    block.

    Parameters
    ----------
    class_weight : dict, "balanced" or None, default=None
        Factor for the weights of the rows of each class; ``"balanced"`` gives all classes the
        same total weight, and None is a factor of 1. Not for several labels.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels; with several labels, their numbers. There may be a single class.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import MLPClassifier
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> xor = MLPClassifier((8,), solver="lbfgs", random_state=0).fit(X, [0, 1, 1, 0])
    >>> xor.predict(X)
    array([0, 1, 1, 0])
    """

    _sklearn_counterpart = CLASSIFIER
    _multi_label = True

    def __init__(self, *network: Any, class_weight: Any = None, **more: Any) -> None:
        super().__init__(*network, **more)
        self.class_weight = class_weight

    @available_if(has_batches)
    @accepts_xarray
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Train for one more epoch on the given rows. Callbacks are not called.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,) or (n_samples, n_labels)
            Classes or labels, as in :meth:`fit`; not all classes have to occur.
        sample_weight : float, array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.
        classes : array-like of shape (n_classes,), optional
            All classes; needed in the first call.

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            ``early_stopping`` is True, ``classes`` is missing in the first call, a label is not
            among the classes, X, y or sample_weight holds NaN or infinity, lengths differ, or a
            parameter is out of range.
        Diverged
            The loss or a parameter is no longer finite. The attributes are left as they were.
        MemoryError
            The buffer, or a sparse X once it is dense, does not fit in memory; raised before
            training.
        """
        classes = classes_of(self, classes)
        return self._fit(X, y, sample_weight, incremental=True, classes=classes)

    @property
    def _has_labels(self) -> bool:
        return bool(self.out_activation_ == "logistic" and self.n_outputs_ > 1)

    def _data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Data:
        return training_data(
            self, X, y, sample_weight, classify=True, multi_label=True, reset=reset
        )

    def _targets(
        self, executor: Executor, data: Data, *, fresh: bool, incremental: bool, classes: Any
    ) -> TargetSpec:
        known = None if fresh and not incremental else getattr(self, "classes_", classes)
        if data.y_shape:
            return label_targets(self, data.y_shape[0], known)
        if self.privacy is not None:
            return declared_class_targets(self, known)
        return class_targets(self, executor, data, known, incremental=incremental)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
