"""Perceptrons that predict numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import column_or_1d

from dlbd_estimators.base.callbacks import with_callbacks
from dlbd_estimators.base.number_predictions import NumberPredictions
from dlbd_estimators.base.parameters import check_choice
from dlbd_estimators.base.prediction import Finish
from dlbd_estimators.base.validation import Data, training_data
from dlbd_estimators.blocks.sources import is_lazy
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.scores import SquaredErrors
from dlbd_estimators.neural_network.namesakes import REGRESSOR
from dlbd_estimators.neural_network.parameters import has_batches
from dlbd_estimators.neural_network.perceptron import BaseMLP
from dlbd_estimators.neural_network.targets import NUMBERS, Targets


class MLPRegressor(NumberPredictions, BaseMLP):
    """Multi-layer perceptron that predicts one number a row, or several.

    Minimises ``sum_i s_i loss_i / S + alpha ||W||^2 / (2 S)`` over mini-batches, where ``s_i`` is
    the weight of row i and ``S`` the total weight of the batch. The loss is half the squared
    error, averaged over the targets, or half the Poisson deviance, summed over them. With one
    target, rows in memory are trained on as in scikit-learn's MLPRegressor, step by step. With
    several targets, scikit-learn multiplies the gradient of the squared error by their number
    (scikit-learn issue 8349); this class does not. Lazy data are read block by block.

    Parameters
    ----------
    loss : {"squared_error", "poisson"}, default="squared_error"
        ``"poisson"`` predicts the exponential of the network's output, and needs ``y >= 0``.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of the hidden layers; ``()`` is no hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation function of the hidden layers.
    solver : {"adam", "sgd", "lbfgs"}, default="adam"
        ``"adam"`` and ``"sgd"`` train on mini-batches; ``"lbfgs"`` makes full passes, which is
        good for small problems.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights, at least 0.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; ``"auto"`` is 200, or all rows if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        With ``"sgd"``, how the learning rate changes: after each epoch ``"invscaling"`` divides
        the first one by ``(t_ + 1) ** power_t``; ``"adaptive"`` divides the rate by 5 when the
        loss stops to fall.
    learning_rate_init : float, default=0.001
        The first learning rate, greater than 0.
    power_t : float, default=0.5
        Exponent of ``"invscaling"``.
    max_iter : int, default=200
        Largest number of epochs, or of steps of ``"lbfgs"``.
    shuffle : bool, default=True
        Whether to take the rows in a new random order in each epoch.
    random_state : int, RandomState or None, default=None
        Seed of the initial parameters, the orders of the rows, and the choice of held-out rows.
    tol : float, default=0.0001
        By how much the loss (or the validation score) of an epoch must be better to count as
        better. With ``"lbfgs"``, the largest acceptable entry of the gradient.
    verbose : bool, default=False
        Whether to print one line for each epoch or step.
    warm_start : bool, default=False
        Whether to start from the parameters of the last fit.
    momentum : float, default=0.9
        Momentum of ``"sgd"``, from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether the momentum of ``"sgd"`` is Nesterov's.
    early_stopping : bool, default=False
        Hold out some rows, stop when their score gets no better, and keep the best parameters.
    validation_fraction : float, default=0.1
        Share of the rows held out with ``early_stopping``; of lazy data, the share of every block.
    beta_1 : float, default=0.9
        With ``"adam"``, decay of the running mean of the gradient, in [0, 1).
    beta_2 : float, default=0.999
        With ``"adam"``, decay of the running mean of the squared gradient, in [0, 1).
    epsilon : float, default=1e-8
        With ``"adam"``, added to a divisor that may be zero.
    n_iter_no_change : int, default=10
        Training stops after so many epochs in a row that are not better; ``np.inf`` is no limit.
    max_fun : int, default=15000
        With ``"lbfgs"``, largest number of passes over the data.
    n_replicas : int or "auto", default="auto"
        Number of copies of the network, at most one for each block. They train at the same time
        on different blocks, and meet after each round. Any number of workers gives the same bits.
        ``"auto"`` is 1: more replicas take more epochs to reach the same loss.
    buffer_size : int, str or "auto", default="auto"
        Memory in which a replica shuffles the rows of several blocks, in bytes or as
        ``"256 MiB"``; at least two blocks. ``"auto"`` is 256 MiB, or two blocks if they are
        larger. Rows in memory need no buffer, unless there are several replicas.
    outer_learning_rate : float, default=1.0
        Learning rate of the step that all replicas take when they meet, along their mean move.
    outer_momentum : float, default=0.5
        Nesterov momentum of that step.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (units, units of the next layer)
        Weights of each layer.
    intercepts_ : list of ndarray of shape (units of the next layer,)
        Intercepts of each layer.
    loss_ : float
        Mean of the objective over the mini-batches of the last epoch.
    best_loss_ : float or None
        Least loss of an epoch; None with ``early_stopping``.
    loss_curve_ : list of float
        Loss of each epoch.
    validation_scores_ : list of float or None
        Score of the held-out rows after each epoch, with ``early_stopping``.
    best_validation_score_ : float or None
        The best of them.
    t_ : int
        Number of rows trained on; a row counts once in each epoch.
    n_iter_ : int
        Number of epochs, or of steps of ``"lbfgs"``.
    n_layers_ : int
        Number of layers, with the input and the output layer.
    n_outputs_ : int
        Number of outputs of the network for each row.
    out_activation_ : str
        Function that turns outputs of the network into predictions.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    n_replicas_ : int
        Number of replicas used.
    n_passes_ : float
        Passes over the features, those for validation included.
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
            The loss or a parameter is no longer finite; the message names epoch and round. It is
            a ValueError and a FloatingPointError, and leaves the attributes as they were.
        ValueError
            X, y or sample_weight holds NaN or infinity (the message names block, row and column),
            lengths differ, y is below 0 for ``"poisson"``, or a parameter is out of range.
        MemoryError
            The buffer, or a sparse X once it is dense, does not fit in memory; before training.

        Warns
        -----
        ConvergenceWarning
            ``max_iter`` was reached, or training diverged and ``early_stopping`` kept the
            parameters of the best score.
        """
        return self._fit(X, y, sample_weight)

    @available_if(has_batches)
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one more epoch on the given rows. Callbacks are not called.

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
            The estimator itself.

        Raises
        ------
        ValueError
            As in :meth:`fit`.
        """
        return self._fit(X, y, sample_weight, incremental=True)

    def _finish(self) -> Finish:
        return _Numbers(self.out_activation_ == "exp")

    def _errors(self) -> SquaredErrors:
        return SquaredErrors(np.exp if self.out_activation_ == "exp" else None)

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
