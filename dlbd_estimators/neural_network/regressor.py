"""Perceptrons that predict numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d

from dlbd_estimators.base.callbacks import with_callbacks
from dlbd_estimators.base.parameters import check_choice
from dlbd_estimators.base.prediction import score
from dlbd_estimators.base.validation import Data, training_data
from dlbd_estimators.blocks.block import Encoding
from dlbd_estimators.blocks.sources import is_lazy, refuse_lazy
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.scores import SquaredErrors
from dlbd_estimators.neural_network.namesakes import REGRESSOR
from dlbd_estimators.neural_network.parameters import has_batches
from dlbd_estimators.neural_network.perceptron import BaseMLP
from dlbd_estimators.neural_network.targets import NUMBERS, Targets


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multi-layer perceptron that predicts one number a row, or several.

    Minimises ``sum_i s_i loss_i / S + alpha ||W||^2 / (2 S)`` over mini-batches, S being the
    total weight of the batch, with half the squared error, averaged over the targets, or half the
    Poisson deviance, summed over them. On rows in memory and one target it follows
    scikit-learn's MLPRegressor step by step; data on disk are read block by block. For several
    targets scikit-learn's gradient of the squared error is too large by their number
    (scikit-learn issue 8349); here it is the loss's own.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default="squared_error"
        ``"poisson"`` predicts the exponential of the network's output, and needs ``y >= 0``.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of the hidden layers; ``()`` is no hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Of the hidden layers.
    solver : {"adam", "sgd", "lbfgs"}, default="adam"
        ``"adam"`` and ``"sgd"`` take mini-batches; ``"lbfgs"`` makes full passes, which suits
        small problems.
    alpha : float, default=0.0001
        Strength of the penalty.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; ``"auto"`` is 200, or all where there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For ``"sgd"``: ``"invscaling"`` divides by ``(t_ + 1) ** power_t`` after each epoch,
        ``"adaptive"`` by five where the epochs do not get better.
    learning_rate_init, power_t : float, default=0.001, 0.5
        The first learning rate, and the power of ``"invscaling"``.
    max_iter : int, default=200
        Largest number of epochs, or of steps of ``"lbfgs"``.
    shuffle : bool, default=True
        Take the rows in another order each epoch.
    random_state : int, RandomState or None, default=None
        Draws initial parameters, orders and rows held out.
    tol : float, default=0.0001
        By how much an epoch must be better; for ``"lbfgs"`` the largest acceptable entry of
        the gradient.
    verbose, warm_start : bool, default=False
        Print each epoch or step; start from the last fit's parameters.
    momentum, nesterovs_momentum : float, bool, default=0.9, True
        For ``"sgd"``; the momentum is in [0, 1].
    early_stopping : bool, default=False
        Hold rows out, stop when their score gets no better, and keep the best parameters.
    validation_fraction : float, default=0.1
        Share of the rows held out; of every block, where data are read block by block.
    beta_1, beta_2, epsilon : float, default=0.9, 0.999, 1e-8
        For ``"adam"``.
    n_iter_no_change : int, default=10
        Epochs in a row that may be no better; ``np.inf`` is any number.
    max_fun : int, default=15000
        For ``"lbfgs"``: largest number of passes.
    n_replicas : int or "auto", default="auto"
        Copies of the network, at most one a block, that train on shares of the blocks at the
        same time and meet after each round. Any number of workers gives the same bits.
        ``"auto"`` is 1: with more, it takes more epochs to come to the same loss.
    buffer_size : int, str or "auto", default="auto"
        Memory in which a replica shuffles rows of different blocks, in bytes or as
        ``"256 MiB"``; at least two blocks. ``"auto"`` is 256 MiB, or two blocks if they are
        larger. Rows in memory need none, unless there are several replicas.
    outer_learning_rate, outer_momentum : float, default=1.0, 0.5
        Nesterov step along what the replicas moved on average.

    Attributes
    ----------
    coefs_, intercepts_ : list of ndarray
        Weights, of shape (units, units of the next layer), and intercepts, by layer.
    loss_, best_loss_ : float
        Mean objective of the last epoch's batches, and the least; ``best_loss_`` is None with
        ``early_stopping``.
    loss_curve_ : list of float
        By epoch.
    validation_scores_, best_validation_score_ : list of float, float
        With ``early_stopping``, else None.
    t_, n_iter_ : int
        Rows trained on, counted each time; epochs.
    n_layers_, n_outputs_ : int
        Layers, input and output among them; raw predictions a row.
    out_activation_ : str
        What turns raw predictions into predictions.
    n_features_in_, feature_names_in_ : int, ndarray of str
        Features, and their names where X had names.
    n_replicas_, n_passes_ : int, float
        Replicas used; passes over the features, validation included.
    history_ : list of dict
        One entry an epoch: ``iteration``, ``pass``, ``loss``, ``learning_rate``, ``rounds``,
        ``seconds``, ``bytes_read`` (decoded, of rows trained on) and, with ``early_stopping``,
        ``validation_score``.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import MLPRegressor
    >>> X = np.linspace(-1.0, 1.0, 50)[:, None]
    >>> bent = MLPRegressor(hidden_layer_sizes=(8,), solver="lbfgs", random_state=0)
    >>> bent.fit(X, np.abs(X[:, 0])).score(X, np.abs(X[:, 0])) > 0.99
    True
    """

    _namesake = REGRESSOR

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        n_replicas: Any = "auto",
        buffer_size: Any = "auto",
        outer_learning_rate: float = 1.0,
        outer_momentum: float = 0.5,
    ) -> None:
        self.loss = loss
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.n_replicas = n_replicas
        self.buffer_size = buffer_size
        self.outer_learning_rate = outer_learning_rate
        self.outer_momentum = outer_momentum

    @with_callbacks
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Fit the network.

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
        MLPRegressor
            The fitted estimator.

        Raises
        ------
        Diverged
            The loss or a parameter is no longer finite; names epoch and round. A ValueError
            and a FloatingPointError. The estimator's attributes are left as they were.
        ValueError
            NaN or infinity (names block, row and column), lengths that differ, y below 0
            for ``"poisson"``, parameters out of range.
        MemoryError
            There is no room for the buffer, or for sparse rows made dense; raised before training.

        Warns
        -----
        ConvergenceWarning
            ``max_iter`` was not enough, or training diverged and ``early_stopping`` kept its best.
        """
        return self._fit(X, y, sample_weight)

    @available_if(has_batches)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch more on the given rows; callbacks are told of :meth:`fit` alone.

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
        MLPRegressor
            The estimator.

        Raises
        ------
        ValueError
            As for :meth:`fit`.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def predict(self, X: Any) -> Any:
        """Predict targets.

        Parameters
        ----------
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features).

        Returns
        -------
        ndarray or dask.array.Array of shape (n_samples,) or (n_samples, n_targets)
            Lazy where X is lazy.
        """
        check_is_fitted(self)
        return self._predict(X, _Numbers(self.out_activation_ == "exp"), "predict")

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination, a float also for lazy data.

        ``R^2 = 1 - sum s (y - prediction)^2 / sum s (y - mean)^2``, averaged over targets.

        Parameters
        ----------
        X, y, sample_weight
            As for :meth:`fit`.
        """
        check_is_fitted(self)
        if not is_lazy(X):
            refuse_lazy(y=y, sample_weight=sample_weight)
            return float(super().score(X, y, sample_weight))
        errors = SquaredErrors(np.exp if self.out_activation_ == "exp" else None)
        return score(self, X, y, sample_weight, self._model(), errors, Encoding(), classify=False)

    def _data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Data:
        check_choice(self, "loss", tuple(NUMBERS))
        if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1 and not is_lazy(y):
            y = column_or_1d(y, warn=True)
        return training_data(self, X, y, sample_weight, classify=False, reset=reset)

    def _targets(
        self, executor: Executor, data: Data, *, fresh: bool, incremental: bool, classes: Any
    ) -> Targets:
        return replace(NUMBERS[self.loss], n_outputs=data.y_shape[0] if data.y_shape else 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class _Numbers:
    """Turns raw predictions into numbers; a class, so that tasks can pickle it."""

    def __init__(self, exponential: bool) -> None:
        self._exponential = exponential

    def __dask_tokenize__(self) -> tuple[str, bool]:
        return type(self).__name__, self._exponential

    def __call__(self, raw: FloatArray) -> FloatArray:
        numbers = np.exp(raw) if self._exponential else raw
        return numbers[:, 0] if numbers.shape[1] == 1 else numbers
