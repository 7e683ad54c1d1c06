"""The parameters of an estimator, checked and converted for training."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np
from dask.utils import parse_bytes

from dlbd_estimators.base.parameters import (
    check_choice,
    check_flag,
    check_integer,
    check_number,
    check_verbose,
    invalid_parameter,
)
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.kernels.activations import ACTIVATIONS, Activation
from dlbd_estimators.kernels.updates import SGD, Adam, Update
from dlbd_estimators.neural_network.private_parameters import check_privacy
from dlbd_estimators.solvers.stochastic.outer_optimizer import OuterStep
from dlbd_estimators.solvers.stochastic.schedules import EpochSchedule

_SOLVERS = ("lbfgs", "sgd", "adam")
_SCHEDULES = ("constant", "invscaling", "adaptive", "cosine")
_AUTO_BATCH = 200


@dataclass(frozen=True)
class Settings:
    """The checked parameters of an estimator.

    Attributes
    ----------
    hidden : tuple of int
        Units of the hidden layers.
    activation : Activation
        Activation of the hidden layers.
    update : Update or None
        Update rule of mini-batches; None for L-BFGS.
    outer : OuterStep
        Step by which replicas are merged.
    buffer_nbytes : int or None
        Size of the buffer of a replica; None means that it follows from the data.
    dropout : tuple of float
        Probability of dropout of each hidden layer; empty without dropout.
    """

    hidden: tuple[int, ...]
    activation: Activation
    update: Update | None
    outer: OuterStep
    buffer_nbytes: int | None
    dropout: tuple[float, ...]

    @classmethod
    def of(cls, estimator: Any) -> Settings:
        """Check an estimator's parameters and return them, before any data are read.

        Raises
        ------
        ValueError
            A parameter is out of range, or does not fit the others.
        """
        hidden = _hidden(estimator)
        check_choice(estimator, "activation", tuple(ACTIVATIONS))
        check_choice(estimator, "solver", _SOLVERS)
        check_choice(estimator, "learning_rate", _SCHEDULES)
        for name in ("alpha", "power_t", "tol"):
            check_number(estimator, name, low=0.0)
        for name in ("learning_rate_init", "epsilon"):
            check_number(estimator, name, low=0.0, open_low=True)
        for name in ("beta_1", "beta_2"):
            check_number(estimator, name, low=0.0, high=1.0, open_high=True)
        check_number(estimator, "momentum", low=0.0, high=1.0)
        check_number(
            estimator,
            "validation_fraction",
            low=0.0,
            high=1.0,
            open_low=bool(estimator.early_stopping),
            open_high=True,
        )
        check_integer(estimator, "batch_size", low=1, other="auto")
        check_integer(estimator, "n_replicas", low=1, other="auto")
        check_integer(estimator, "n_iter_no_change", low=1, other=np.inf)
        for name in ("max_iter", "max_fun"):
            check_integer(estimator, name, low=1)
        for name in ("shuffle", "warm_start", "nesterovs_momentum", "early_stopping"):
            check_flag(estimator, name)
        check_verbose(estimator)
        _check_training(estimator)
        check_privacy(estimator)
        check_number(estimator, "outer_learning_rate", low=0.0, open_low=True)
        check_number(estimator, "outer_momentum", low=0.0, high=1.0, open_high=True)
        if estimator.solver == "lbfgs" and estimator.n_replicas not in ("auto", 1):
            raise ValueError(
                f"n_replicas={estimator.n_replicas} needs mini-batches, but solver='lbfgs' makes "
                f"full passes. Take solver='adam' or 'sgd'."
            )
        return cls(
            hidden,
            ACTIVATIONS[estimator.activation],
            _update(estimator),
            OuterStep(estimator.outer_learning_rate, estimator.outer_momentum),
            _buffer_nbytes(estimator),
            dropout_rates(estimator, len(hidden)),
        )


def _check_training(estimator: Any) -> None:
    """Check the parameters that scikit-learn's perceptrons do not have, with those they need."""
    check_integer(estimator, "warmup_epochs", low=0)
    check_number(estimator, "decoupled_weight_decay", low=0.0)
    if estimator.clip_norm is not None:
        check_number(estimator, "clip_norm", low=0.0, open_low=True)
    solver, schedule = estimator.solver, estimator.learning_rate
    if solver == "lbfgs":
        given = {
            "clip_norm": estimator.clip_norm is not None,
            "warmup_epochs": estimator.warmup_epochs > 0,
            "dropout": np.any(np.asarray(estimator.dropout) != 0),
            "learning_rate": schedule == "cosine",
        }
        for name in (name for name, is_given in given.items() if is_given):
            raise ValueError(
                f"{name}={getattr(estimator, name)!r} needs mini-batches, but solver='lbfgs' makes "
                f"full passes. Choose solver='adam' or 'sgd'."
            )
    if solver != "adam" and estimator.decoupled_weight_decay > 0:
        raise ValueError(
            f"decoupled_weight_decay={estimator.decoupled_weight_decay} needs solver='adam' (it is "
            f"then AdamW), but solver={solver!r}. The penalty of other solvers is alpha."
        )
    if estimator.warmup_epochs and schedule not in ("constant", "cosine"):
        raise ValueError(
            f"warmup_epochs={estimator.warmup_epochs} needs learning_rate='constant' or 'cosine', "
            f"but learning_rate={schedule!r}."
        )
    if schedule == "cosine" and estimator.warmup_epochs >= estimator.max_iter:
        raise ValueError(
            f"warmup_epochs={estimator.warmup_epochs} leaves none of max_iter={estimator.max_iter} "
            f"epochs for learning_rate='cosine'. Increase max_iter."
        )


def dropout_rates(estimator: Any, n_hidden: int) -> tuple[float, ...]:
    """Return the rate of dropout of each hidden layer; nothing if all are 0.

    Raises
    ------
    ValueError
        ``dropout`` is out of range, or has not one rate for each hidden layer.
    """
    rates = estimator.dropout
    listed = [rates] * n_hidden if isinstance(rates, numbers.Real) else rates
    try:
        values = np.array([float(rate) for rate in listed])
    except (TypeError, ValueError):
        values = np.array([np.nan])
    in_range = bool(((values >= 0) & (values < 1)).all())
    if isinstance(rates, bool | str) or not in_range or len(values) != n_hidden:
        per_layer = f"one such number for each of the {n_hidden} hidden layers"
        raise invalid_parameter(estimator, "dropout", "a float in the range [0, 1)", per_layer)
    return tuple(float(rate) for rate in values) if values.any() else ()


def epoch_schedule(estimator: Any) -> EpochSchedule | None:
    """Return the schedule that depends on the number of the epoch only, if there is one."""
    cosine = estimator.learning_rate == "cosine"
    if not (cosine or estimator.warmup_epochs):
        return None
    n_epochs = int(estimator.max_iter) if cosine else None
    rate = float(estimator.learning_rate_init)
    return EpochSchedule(rate, int(estimator.warmup_epochs), n_epochs)


def has_batches(estimator: Any) -> bool:
    """Return True if the solver takes mini-batches, as ``partial_fit`` requires.

    Raises
    ------
    AttributeError
        The solver does not take mini-batches.
    """
    if estimator.solver not in _SOLVERS[1:]:
        raise AttributeError(
            f"partial_fit is only available for stochastic optimizers. {estimator.solver} is not "
            f"stochastic."
        )
    return True


def batch_size(estimator: Any, n_rows: int) -> int:
    """Return the number of rows of a mini-batch.

    Warns
    -----
    UserWarning
        There are fewer rows than ``batch_size``.
    """
    if isinstance(estimator.batch_size, str):
        return min(_AUTO_BATCH, n_rows)
    if estimator.batch_size > n_rows:
        warn_user(
            "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped."
        )
    return min(int(estimator.batch_size), n_rows)


def _hidden(estimator: Any) -> tuple[int, ...]:
    sizes = estimator.hidden_layer_sizes
    listed = [sizes] if isinstance(sizes, numbers.Integral) else sizes
    try:
        hidden = tuple(listed)
    except TypeError:
        hidden = (None,)
    if not all(isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in hidden):
        units = "an int in the range [1, inf)"
        raise invalid_parameter(
            estimator, "hidden_layer_sizes", "an array-like of ints, one per layer", units
        )
    if not all(n > 0 for n in hidden):
        raise ValueError(f"hidden_layer_sizes must be > 0, got {list(hidden)}.")
    return tuple(int(n) for n in hidden)


def _update(estimator: Any) -> Update | None:
    if estimator.solver == "sgd":
        return SGD(float(estimator.momentum), bool(estimator.nesterovs_momentum))
    if estimator.solver == "adam":
        return Adam(float(estimator.beta_1), float(estimator.beta_2), float(estimator.epsilon))
    return None


def _buffer_nbytes(estimator: Any) -> int | None:
    size = estimator.buffer_size
    if isinstance(size, str) and size == "auto":
        return None
    try:
        nbytes = 0 if isinstance(size, bool) else int(parse_bytes(size))
    except (ValueError, TypeError, AttributeError):
        nbytes = 0
    if nbytes <= 0:
        allowed = ("a number of bytes", "a str such as '256 MiB'", "'auto'")
        raise invalid_parameter(estimator, "buffer_size", *allowed)
    return nbytes
