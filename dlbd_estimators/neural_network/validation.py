"""The validation of a network after each epoch, on held-out rows or on the rows of the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.base.class_weights import plain
from dlbd_estimators.base.prediction import determination
from dlbd_estimators.base.validation import Data
from dlbd_estimators.blocks.block import Blocks, Encoding
from dlbd_estimators.blocks.validation_rows import ValidationRows
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.passes import Pass, PassGenerator
from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.finite_rows import FiniteRowsKernel
from dlbd_estimators.kernels.labels import LabelCounts, LabelKernel
from dlbd_estimators.kernels.network import Network
from dlbd_estimators.kernels.network_predictor import NetworkPredictor
from dlbd_estimators.kernels.scores import Errors, ScoreKernel, ScoreSums, SquaredErrors
from dlbd_estimators.neural_network.targets import TargetSpec
from dlbd_estimators.solvers.overflow import is_overflow
from dlbd_estimators.solvers.stochastic.epochs import Score, Validation


def check_validation_arguments(
    estimator: Any, X_val: Any, y_val: Any, sample_weight_val: Any
) -> None:
    """Check that the validation arguments of ``fit`` belong together, before any data are read.

    Raises
    ------
    ValueError
        An argument is missing, ``solver="lbfgs"`` has no epochs to validate after, or the training
        is private.
    """
    if X_val is None and y_val is None:
        if sample_weight_val is not None:
            raise ValueError(
                "sample_weight_val is provided, but X_val and y_val were not provided."
            )
        return
    if y_val is None:
        raise ValueError("X_val is provided, but y_val was not provided.")
    if X_val is None:
        raise ValueError("y_val is provided, but X_val was not provided.")
    if estimator.privacy is not None:
        raise ValueError(
            "X_val and y_val cannot be combined with privacy: their scores, which the model keeps, "
            "have no noise. Call score(X_val, y_val) after the fit, if these rows are public."
        )
    if estimator.solver == "lbfgs":
        raise ValueError(
            "X_val and y_val are used after each epoch, but solver='lbfgs' makes full passes. "
            "Choose solver='adam' or 'sgd', or leave X_val and y_val out."
        )


@contextmanager
def naming_validation_data() -> Iterator[None]:
    """Add to the text of errors that they concern the validation data."""
    try:
        yield
    except (ValueError, TypeError, MemoryError) as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (
                f"In the validation data (X_val, y_val): {error.args[0]}",
                *error.args[1:],
            )
        raise


def validation_rows(
    executor: Executor, given: Data, y_shape: tuple[int, ...], targets: TargetSpec, name: str
) -> Blocks:
    """Return the blocks of the validation data, after a pass that checks all of their values.

    Without this pass, training would go on for a whole epoch before a NaN in these rows is found.

    Parameters
    ----------
    executor : Executor
        Runs the pass, and keeps the blocks that fit in its cache for the first validation.
    given : Data
        The validation data.
    y_shape : tuple of int
        Shape of one row of the targets of the training data.
    targets : TargetSpec
        What the network predicts.
    name : str
        Name of the pass on the dashboard.

    Raises
    ------
    ValueError
        ``y_val`` has another number of columns than y, or a class that y does not have, or the
        weights of all rows are zero.
    NonFiniteValues
        ``X_val`` or ``y_val`` hold NaN or infinity.
    """
    if given.y_shape != y_shape:
        raise ValueError(
            f"A row of y_val has the shape {given.y_shape}, but a row of y has {y_shape}. Pass "
            f"the same targets in both."
        )
    if targets.encoding.classes is not None:
        _check_classes(executor, given.blocks, targets.encoding.classes, name)
    blocks = ValidationRows.of(given.blocks.encoded(targets.encoding))
    weight = executor.map_reduce(
        FiniteRowsKernel(), None, blocks, name=f"{name}-validation-rows"
    ).partial
    if weight == 0:
        raise ValueError("The weights of all rows are zero: there is nothing to score.")
    return blocks


def _check_classes(executor: Executor, blocks: Blocks, classes: NDArray[Any], name: str) -> None:
    """Refuse rows of classes that the training data do not have."""
    counts: LabelCounts = executor.map_reduce(
        LabelKernel(),
        None,
        blocks.encoded(Encoding(raw=True)),
        name=f"{name}-validation-classes",
        features=False,
    ).partial
    unknown = [plain(label) for label in np.setdiff1d(counts.labels, classes)]
    if unknown:
        raise ValueError(
            f"y_val has rows of the classes {unknown}, but the training data have only "
            f"{[plain(label) for label in classes]}. Drop the rows of other classes from X_val "
            f"and y_val, or train on them, too."
        )


def given_rows_score(blocks: Blocks, errors: Errors, network: Network, name: str) -> Score:
    """Return a generator function that requests the validation on rows that the user passed."""

    def score(parameters: FloatArray) -> PassGenerator[Validation]:
        with naming_validation_data():
            # Passes over the training data are counted; this one reads other rows.
            sums = yield _request(blocks, errors, network, parameters, name, 0.0)
        return _validation(errors, network, sums)

    return score


def held_out_score(
    blocks: Blocks, errors: Errors, network: Network, name: str, n_passes: float
) -> Score:
    """Return a generator function that requests the validation on rows held out.

    Parameters
    ----------
    blocks : Blocks
        The rows held out.
    errors : Errors
        The errors that a score counts.
    network : Network
        The network in training.
    name : str
        Name of the pass on the dashboard.
    n_passes : float
        Number of passes over the training data that it counts as.
    """

    def score(parameters: FloatArray) -> PassGenerator[Validation]:
        try:
            sums = yield _request(blocks, errors, network, parameters, name, n_passes)
        except ValueError as error:
            if not is_overflow(error):
                raise
            # The training will diverge, with a more detailed error.
            return Validation(float("nan"), float("nan"))
        return _validation(errors, network, sums)

    return score


def _request(
    blocks: Blocks,
    errors: Errors,
    network: Network,
    parameters: FloatArray,
    name: str,
    n_passes: float,
) -> Pass[ScoreSums]:
    return Pass(
        ScoreKernel(errors, network.loss),
        NetworkPredictor(network, parameters),
        f"{name}-validation",
        blocks=blocks,
        n_passes=n_passes,
    )


def _validation(errors: Errors, network: Network, sums: ScoreSums) -> Validation:
    """Return R^2 for numbers or the accuracy for classes and labels, and the mean loss."""
    score = (
        determination(sums)
        if isinstance(errors, SquaredErrors)
        else 1.0 - float(sums.squared_errors[0]) / sums.weight
    )
    return Validation(score, network.scale * sums.loss / sums.weight)
