"""Compute the table of a fitted model's coefficients, by one or two passes over the rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from dlbd_estimators.base.grouped_targets import Groups, groups_of
from dlbd_estimators.base.validation import training_data
from dlbd_estimators.blocks.block import Blocks, Encoding
from dlbd_estimators.engine.blas import single_threaded_blas
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.engine.select import executor_for
from dlbd_estimators.kernels.sandwich import Estimate, SandwichKernel, SandwichSums
from dlbd_estimators.linear_model.incremental import kept_moments
from dlbd_estimators.linear_model.inference.covariance import (
    InverseBread,
    check_counts,
    check_minimum,
    clustered,
    invert,
)
from dlbd_estimators.linear_model.inference.fitted_model import FittedModel, fitted_model
from dlbd_estimators.linear_model.inference.table import (
    CoefficientTable,
    check_confidence,
    tabulate,
)
from dlbd_estimators.linear_model.stored_covariance import check_room, sums_of_moments

#: Power of ``1 - leverage`` by which each covariance divides the squared scores.
_DISCOUNTS = {"classical": 0, "HC0": 0, "HC1": 0, "HC2": 1, "HC3": 2, "clustered": 0}
#: Largest number of entries in the groups' sums of scores: 64 MiB in each task of a pass.
_MOST_SCORES = 2**23


def coefficient_table(
    model: Any,
    X: Any = None,
    y: Any = None,
    sample_weight: Any = None,
    *,
    covariance: str = "classical",
    groups: Any = None,
    weights: str = "frequency",
    confidence: float = 0.95,
    allow_penalty: bool = False,
    feature_names: Any = None,
) -> CoefficientTable:
    """Return standard errors, tests and confidence intervals of a fitted linear model.

    It takes one pass over the rows that the model was fitted to. ``"HC2"`` and ``"HC3"`` take two
    passes, because leverages are computed from the sums of the first. ``"classical"`` needs no pass
    for a model that was fitted with ``store_covariance=True``, or a regression that was fitted by
    ``partial_fit``: leave X and y out.

    Parameters
    ----------
    model : LinearRegression, LogisticRegression or Ridge
        A model fitted without a penalty (``C=np.inf`` for ``LogisticRegression``), to one target or
        to classes. For three classes or more, the table has the log-odds of each class against
        ``classes_[0]``.
    X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array, \
            optional
        Features of shape (n_samples, n_features) that the model was fitted to. None means that the
        sums are used which the model keeps.
    y : array-like or lazy array of shape (n_samples,), optional
        Targets or labels; None if X is None.
    sample_weight : float, array-like or lazy array of shape (n_samples,), optional
        Weights, at least 0, that the model was fitted with. ``weights`` sets their meaning.
    covariance : {"classical", "HC0", "HC1", "HC2", "HC3", "clustered"}, default="classical"
        ``"classical"`` assumes that the model is correct: all errors have the same variance, or
        classes have the probabilities that the model predicts. ``"HC0"`` to ``"HC3"`` are valid for
        independent rows, whatever the variance of each; ``"HC3"`` is the safest for few rows.
        ``"clustered"`` is valid if rows of the same group depend on one another.
    groups : array-like or lazy array of shape (n_samples,), optional
        The group of each row, for ``"clustered"``: strings or numbers. A lazy column takes one more
        pass, over this column. The number of groups times the number of coefficients is at most
        8,388,608.
    weights : {"frequency", "variance"}, default="frequency"
        ``"frequency"``: a row of weight k means k equal rows, and the number of rows is the sum of
        the weights. ``"variance"``: the variance of a row is inverse to its weight, and the number
        of rows counts the rows of weight above 0 (statsmodels' ``WLS`` and ``var_weights``).
    confidence : float, default=0.95
        Probability with which an interval covers the true coefficient.
    allow_penalty : bool, default=False
        Whether a model with an L2 penalty is allowed. Its intervals cover the mean of the penalised
        estimate, which is not the true coefficient.
    feature_names : sequence of str, optional
        Names of the features, such as ``pipeline[:-1].get_feature_names_out()`` for the last step
        of a pipeline. None means the names that the model was fitted with, or ``x0``, ``x1``, ...

    Returns
    -------
    CoefficientTable
        Estimates, standard errors, statistics, p-values and intervals; tests of linear hypotheses
        and prediction intervals.

    Raises
    ------
    TypeError
        The model is of another class.
    ValueError
        The model has a penalty or bounds, does not minimise its objective on these rows, has
        several targets, or keeps no sums although X is None. Columns are linearly dependent.
        There are too few rows or groups, or too many groups. A row has a leverage of 1.
        ``"HC2"`` or ``"HC3"`` was requested for three classes or more. A parameter is unknown. The
        data are invalid in the same ways as for ``fit``.
    MemoryError
        The sums do not fit in the memory of a worker.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LinearRegression
    >>> from dlbd_estimators.inference import coefficient_table
    >>> X = np.arange(8.0)[:, None]
    >>> y = np.array([0.1, 0.9, 2.2, 2.8, 4.1, 5.0, 5.8, 7.2])
    >>> table = coefficient_table(LinearRegression().fit(X, y), X, y)
    >>> table.standard_error.round(4)
    array([0.1145, 0.0274])
    """
    _check_choice("covariance", covariance, tuple(_DISCOUNTS))
    _check_choice("weights", weights, ("frequency", "variance"))
    check_confidence(confidence)
    if (groups is not None) != (covariance == "clustered"):
        raise ValueError(
            "groups and covariance='clustered' belong together, but one was passed without the "
            "other. Pass both or neither."
        )
    fitted = fitted_model(model, allow_penalty=allow_penalty, feature_names=feature_names)
    packing = fitted.packing
    if fitted.loss.coupled and _DISCOUNTS[covariance]:
        raise ValueError(
            f"covariance={covariance!r} needs one leverage for each row, but with "
            f"{packing.n_outputs + 1} classes a row has a matrix of them. Use 'HC0' or 'HC1'."
        )
    grouped: Groups | None = None
    if groups is not None:
        grouped = groups_of(groups, fitted.classes, _MOST_SCORES // packing.size)
    frequency = weights == "frequency"
    if X is None:
        sums = _kept_sums(fitted, covariance, frequency, y, sample_weight)
        inverted, n = _inverted(fitted, sums, frequency)
        n_passes = 0.0
    else:
        blocks = _blocks(fitted, X, y, sample_weight, grouped)
        n_groups = 0 if grouped is None else len(grouped.names)
        kernel = SandwichKernel(
            fitted.loss,
            packing,
            meat=covariance in ("HC0", "HC1"),
            grouped=grouped is not None,
            frequency=frequency,
        )
        with executor_for(blocks) as executor:
            check_room(executor, blocks, packing.size, n_groups)
            sums = _run(executor, blocks, kernel, Estimate(fitted.parameters))
            inverted, n = _inverted(fitted, sums, frequency)
            n_passes = 1.0
            discount = _DISCOUNTS[covariance]
            if discount:
                leverages = replace(kernel, bread=False, meat=True, discount=discount)
                estimate = Estimate(fitted.parameters, sums.centre, inverted.root)
                rows = _run(executor, blocks, leverages, estimate)
                _check_leverages(rows, covariance)
                sums.meat = rows.meat
                n_passes = 2.0
    with single_threaded_blas:
        return tabulate(
            fitted,
            inverted,
            _parameters_covariance(fitted, sums, inverted, covariance, n),
            kind=covariance,
            scale=_scale(fitted, sums, n - inverted.n_effective),
            df=len(sums.groups) - 1.0 if grouped is not None else n - inverted.n_effective,
            confidence=confidence,
            n_passes=n_passes,
        )


def _kept_sums(
    fitted: FittedModel, covariance: str, frequency: bool, y: Any, sample_weight: Any
) -> SandwichSums:
    """Return the sums that a model keeps, or those of the moments that it keeps."""
    moments = kept_moments(fitted.estimator)
    stored: SandwichSums | None = getattr(fitted.estimator, "_stored", None)
    keeps = moments is not None or stored is not None
    if not keeps or covariance != "classical" or not frequency:
        raise ValueError(
            f"X=None is allowed only with covariance='classical' and weights='frequency', for a "
            f"model fitted with store_covariance=True, or a regression fitted by partial_fit: "
            f"other choices need the rows. The model is a {type(fitted.estimator).__name__} that "
            f"keeps {'sums' if keeps else 'no sums'} of its rows; covariance={covariance!r} and "
            f"weights={'frequency' if frequency else 'variance'!r}. Pass X and y."
        )
    if y is not None or sample_weight is not None:
        raise ValueError("y or sample_weight was passed without X. Pass X too, or none of them.")
    if stored is not None:
        return stored
    assert moments is not None
    return sums_of_moments(fitted.packing, fitted.parameters, moments)


def _inverted(
    fitted: FittedModel, sums: SandwichSums, frequency: bool
) -> tuple[InverseBread, float]:
    """Return the inverse of the bread and the number of rows, after all checks."""
    n = sums.weight if frequency else float(sums.n_present)
    with single_threaded_blas:
        check_counts(sums, n, 0.0)
        assert sums.bread is not None
        inverted = invert(fitted, sums.bread, sums.centre)
        check_counts(sums, n, inverted.n_effective)
        check_minimum(fitted, sums, inverted)
    return inverted, n


def _blocks(
    fitted: FittedModel, X: Any, y: Any, sample_weight: Any, grouped: Groups | None
) -> Blocks:
    """Return checked blocks whose targets are numbers."""
    data = training_data(
        fitted.estimator,
        X,
        y,
        sample_weight,
        classify=fitted.classes is not None,
        reset=False,
        groups=grouped,
    )
    if grouped is not None:
        return data.blocks  # their targets are encoded already
    if data.y_shape not in ((), (1,)):
        raise ValueError(f"y should have one target, but has shape {data.y_shape} for each row.")
    return data.blocks.encoded(Encoding(fitted.classes))


def _run(
    executor: Executor, blocks: Blocks, kernel: SandwichKernel, estimate: Estimate
) -> SandwichSums:
    return executor.map_reduce(kernel, estimate, blocks, name="coefficient-table").partial


def _check_leverages(sums: SandwichSums, covariance: str) -> None:
    if sums.n_saturated:
        raise ValueError(
            f"{sums.n_saturated} row(s) have a leverage of 1: the model fits such a row exactly, "
            f"so the error of that row is not known, and covariance={covariance!r} divides by "
            f"1 minus the leverage. Drop these rows, or use 'HC1'."
        )


def _parameters_covariance(
    fitted: FittedModel, sums: SandwichSums, inverted: InverseBread, covariance: str, n: float
) -> Any:
    df = n - inverted.n_effective
    if covariance == "classical":
        scale = _scale(fitted, sums, df)
        if fitted.strength == 0.0:
            return scale * inverted.inverse
        return scale * inverted.covariance(inverted.bread)
    if covariance == "clustered":
        return inverted.covariance(clustered(sums, n, inverted.n_effective))
    assert sums.meat is not None
    factor = n / df if covariance == "HC1" else 1.0
    return factor * inverted.covariance(np.asarray(sums.meat))


def _scale(fitted: FittedModel, sums: SandwichSums, df: float) -> float:
    """Return the variance of the error of a row of weight 1; it is 1 for a classifier."""
    return sums.squares / df if fitted.is_homoscedastic else 1.0


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    """Check that a value is one of the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}, but is {value!r}.")
