"""The parameters of both perceptrons, declared, stored and documented in one place."""

from __future__ import annotations

import inspect
from typing import Any

from dlbd_estimators.base.documentation import Class, documented_by_bases


class SharedParameters:
    """Stores the parameters, as scikit-learn requires of a constructor.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of the hidden layers; ``()`` means no hidden layer.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Activation function of the hidden layers.
    solver : {"adam", "sgd", "lbfgs"}, default="adam"
        ``"adam"`` and ``"sgd"`` train on mini-batches; ``"lbfgs"`` makes full passes, which is
        good for small problems.
    alpha : float, default=0.0001
        Strength of the L2 penalty on the weights, at least 0.
    batch_size : int or "auto", default="auto"
        Rows of a mini-batch; ``"auto"`` is 200, or all rows if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive", "cosine"}, default="constant"
        How the learning rate changes. ``"invscaling"`` and ``"adaptive"`` are for ``"sgd"`` only.
        ``"invscaling"`` sets it after each epoch to ``learning_rate_init / (t_ + 1) ** power_t``.
        ``"adaptive"`` divides it by 5 when the loss no longer decreases. ``"cosine"`` lets it fall
        to nearly 0 in ``max_iter`` epochs, along half a cosine; also with ``"adam"``.
    learning_rate_init : float, default=0.001
        The first learning rate, greater than 0.
    power_t : float, default=0.5
        Exponent of ``"invscaling"``.
    max_iter : int, default=200
        Largest number of epochs, or of steps of ``"lbfgs"``.
    shuffle : bool, default=True
        Whether to take the rows in a new random order in each epoch.
    random_state : int, RandomState or None, default=None
        Seed of the initial parameters, the orders of the rows, the choice of held-out rows, and
        the dropout.
    tol : float, default=0.0001
        By how much the loss (or the validation score) must improve for an epoch to count as an
        improvement. With ``"lbfgs"``, the largest acceptable entry of the gradient.
    verbose : bool, default=False
        Whether to print one line for each epoch or step.
    warm_start : bool, default=False
        Whether to start from the parameters of the last fit.
    momentum : float, default=0.9
        Momentum of ``"sgd"``, from 0 to 1.
    nesterovs_momentum : bool, default=True
        Whether the momentum of ``"sgd"`` is Nesterov's.
    early_stopping : bool, default=False
        Whether to validate the network after each epoch, stop when the score no longer improves,
        and keep the parameters with the best score. The rows to validate on are ``X_val`` and
        ``y_val`` of :meth:`fit`; without these, some of the training rows are held out.
    validation_fraction : float, default=0.1
        Share of the rows held out with ``early_stopping``, unless ``X_val`` is passed. If data are
        read block by block, it is the share of every block.
    beta_1 : float, default=0.9
        With ``"adam"``, decay of the running mean of the gradient, in [0, 1).
    beta_2 : float, default=0.999
        With ``"adam"``, decay of the running mean of the squared gradient, in [0, 1).
    epsilon : float, default=1e-8
        With ``"adam"``, added to a divisor that may be zero.
    n_iter_no_change : int, default=10
        Training stops after this number of consecutive epochs without improvement; ``np.inf`` means
        no limit.
    max_fun : int, default=15000
        With ``"lbfgs"``, largest number of passes over the data.
    n_replicas : int or "auto", default="auto"
        Number of copies of the network, at most one for each block. They train at the same time
        on different blocks, and are merged after each round. The number of workers changes no bit.
        ``"auto"`` is 1: more replicas take more epochs to reach the same loss.
    buffer_size : int, str or "auto", default="auto"
        Memory in which a replica shuffles the rows of several blocks, in bytes or as
        ``"256 MiB"``; at least two blocks. ``"auto"`` is 256 MiB, or two blocks if they are
        larger. Rows in memory need no buffer, unless there are several replicas.
    warmup_epochs : int, default=0
        Number of epochs in which the learning rate grows linearly to ``learning_rate_init``, with
        ``learning_rate="constant"`` or ``"cosine"``.
    dropout : float or sequence of float, default=0.0
        Probability, in [0, 1), that an output of a hidden layer is zero in a batch: the same for
        all hidden layers, or one for each. The other outputs are divided by ``1 - dropout``, as in
        PyTorch's ``Dropout``. Predictions use all outputs.
    clip_norm : float or None, default=None
        Largest Euclidean norm of the gradient of a mini-batch. A longer gradient is shortened to
        it, as by PyTorch's ``clip_grad_norm_``. None means no limit.
    decoupled_weight_decay : float, default=0.0
        With ``"adam"``, each update first multiplies the weights (not the intercepts) by
        ``1 - rate * decoupled_weight_decay``, as PyTorch's ``AdamW`` does with its
        ``weight_decay``. Set ``alpha=0`` to have no other penalty.
    outer_learning_rate : float, default=1.0
        Learning rate of the step that merges the replicas, along the mean of their changes.
    outer_momentum : float, default=0.5
        Nesterov momentum of the step that merges the replicas.
    checkpoint : str or path, optional
        Folder, or URL of an object store, to which the fit is written after each round or step. A
        later ``fit`` with the same parameters and data continues from there, with the same bits.
        ``{}`` in it is replaced by what distinguishes one fit from another, as a search needs. See
        ``docs/reliability.md``. ``partial_fit`` writes nothing.
    privacy : DifferentialPrivacy, optional
        Trains by noisy steps on random samples of the rows (DP-SGD), for exactly ``max_iter``
        epochs; ``tol`` and ``n_iter_no_change`` have no effect, because no exact loss is known.
        ``batch_size`` is the expected number of rows of a step. In this process, a step takes all
        columns of its rows in float64. A pass over the data fills the buffer of ``buffer_size``
        with the rows of the next steps. Calls of ``partial_fit`` share the budget: the noise is
        that of ``max_iter`` calls. Parameters that would reveal rows are refused. See
        ``docs/privacy.md``.

    Attributes
    ----------
    coefs_ : list of ndarray of shape (units, units of the next layer)
        Weights of each layer.
    intercepts_ : list of ndarray of shape (units of the next layer,)
        Intercepts of each layer.
    loss_ : float or None
        Mean of the objective over the mini-batches of the last epoch; None with ``privacy``.
    best_loss_ : float or None
        Smallest loss of an epoch; None with ``early_stopping`` or ``privacy``.
    loss_curve_ : list of float
        Loss of each epoch; empty with ``privacy``.
    validation_scores_ : list of float or None
        Score of the validation rows after each epoch, with ``early_stopping`` or ``X_val``.
    best_validation_score_ : float or None
        The best of ``validation_scores_``.
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
        Names of the features, if X had names.
    n_replicas_ : int
        Number of replicas used.
    n_passes_ : float
        Number of passes over the features, including those for validation on held-out rows.
    history_ : list of dict
        One entry per epoch: ``iteration``, ``pass``, ``loss``, ``learning_rate``, ``rounds``,
        ``seconds``, ``bytes_read`` (decoded, of rows trained on) and, with ``early_stopping`` or
        ``X_val``, ``validation_score`` and ``validation_loss`` (the mean loss of the validation
        rows, without the penalty). With ``privacy``, there is no loss, time or number of bytes.
    privacy_spent_ : PrivacySpent
        The budget that the training has spent: ``epsilon``, ``delta`` and ``releases``. Only with
        ``privacy``.
    """

    def __init__(
        self,
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
        warmup_epochs: int = 0,
        dropout: Any = 0.0,
        clip_norm: float | None = None,
        decoupled_weight_decay: float = 0.0,
        outer_learning_rate: float = 1.0,
        outer_momentum: float = 0.5,
        checkpoint: Any = None,
        privacy: Any = None,
    ) -> None:
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
        self.warmup_epochs = warmup_epochs
        self.dropout = dropout
        self.clip_norm = clip_norm
        self.decoupled_weight_decay = decoupled_weight_decay
        self.outer_learning_rate = outer_learning_rate
        self.outer_momentum = outer_momentum
        self.checkpoint = checkpoint
        self.privacy = privacy


def with_shared_parameters(cls: Class) -> Class:
    """Complete the signature of a constructor, and the docstring of its class.

    scikit-learn reads the names of parameters from the signature. It is therefore extended by the
    parameters that the constructor passes on. The positional parameters of the class come first,
    and its keyword-only parameters last.
    """
    constructor: Any = cls.__dict__["__init__"]
    shared = inspect.signature(SharedParameters.__init__)
    this, *passed_on = shared.parameters.values()
    _, *own = inspect.signature(constructor).parameters.values()
    positional = [p for p in own if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    keywords = [p for p in own if p.kind is inspect.Parameter.KEYWORD_ONLY]
    constructor.__signature__ = shared.replace(
        parameters=[this, *positional, *passed_on, *keywords]
    )
    return documented_by_bases(cls)
