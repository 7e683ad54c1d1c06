"""Check that a fitted model has standard errors, and extract its objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfSquaredError,
    Loss,
)
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
)
from dlbd_estimators.linear_model.logistic_parameters import has_l1_part
from dlbd_estimators.linear_model.sparse_coefficients import dense
from dlbd_estimators.linear_model.stored_covariance import against_first


@dataclass(frozen=True)
class FittedModel:
    """A fitted model of one target, and the objective that it minimises.

    A model of three classes or more is described by the differences of the other classes from the
    first one, the reference: the log-odds of a class against the reference. These are the same for
    all coefficients that give the same probabilities.

    Attributes
    ----------
    estimator : estimator
        The fitted estimator.
    loss : Loss
        The loss of one row.
    packing : Packing
        Order of the parameters; its outputs are the classes except the reference.
    parameters : ndarray of shape (n_parameters,)
        Coefficients and intercept.
    strength : float
        Strength of the penalty ``strength ||w||^2 / 2``, which is added to the sum of the losses.
    classes : ndarray or None
        Class labels; None for a regression.
    names : tuple of str
        Names of the features.
    """

    estimator: Any
    loss: Loss
    packing: Packing
    parameters: FloatArray
    strength: float
    classes: NDArray[Any] | None
    names: tuple[str, ...]

    @property
    def penalty(self) -> FloatArray:
        """The penalty's second derivatives, a matrix of shape (n_parameters, n_parameters).

        With K classes, the coefficients of the classes sum to zero where the penalised objective is
        minimal. So the squared norm of all coefficients is ``sum_k |d_k|^2 - |sum_k d_k|^2 / K``
        for the differences ``d_k`` from the reference.
        """
        outputs, width = self.packing.shape
        of_outputs = np.eye(outputs)
        if self.loss.coupled:
            of_outputs -= 1.0 / (outputs + 1)
        diagonal = np.full(width, self.strength)
        diagonal[self.packing.n_features :] = 0.0
        return np.kron(of_outputs, np.diag(diagonal))

    @property
    def coefficient_names(self) -> tuple[str, ...]:
        """Names of the parameters, in the packed order."""
        constant = ("intercept",) if self.packing.fit_intercept else ()
        names = (*self.names, *constant)
        if not self.loss.coupled:
            return names
        assert self.classes is not None
        return tuple(f"{label}: {name}" for label in self.classes[1:] for name in names)

    @property
    def is_homoscedastic(self) -> bool:
        """Whether all errors have the same variance, which is estimated: true for a regression."""
        return self.loss.quadratic


def fitted_model(
    model: Any, *, allow_penalty: bool, feature_names: Sequence[str] | None = None
) -> FittedModel:
    """Check that a fitted model has standard errors, and return its objective.

    Parameters
    ----------
    model : estimator
        The estimator that the user passed.
    allow_penalty : bool
        Whether a model with an L2 penalty is allowed.
    feature_names : sequence of str, optional
        Names of the columns; None means the names that the model has.

    Raises
    ------
    NotFittedError
        The model is not fitted.
    TypeError
        The model is of a class without standard errors.
    ValueError
        The model has no standard errors, or they would be misleading. The message gives the reason.
    """
    supported = isinstance(model, LinearRegression | Ridge | LogisticRegression)
    if not supported or isinstance(model, LogisticRegressionCV):
        raise TypeError(
            f"Standard errors are available for a fitted LinearRegression, Ridge or "
            f"LogisticRegression of dlbd_estimators, but not for {type(model).__name__} of "
            f"{type(model).__module__.partition('.')[0]}. If it is a pipeline, pass its last step, "
            f"and the X that the steps before it return. If it has an l1 penalty, fit a model "
            f"without a penalty, to rows that were not used to choose its features."
        )
    check_is_fitted(model)
    coef = np.atleast_2d(dense(model.coef_)).astype(np.float64)
    classify = isinstance(model, LogisticRegression)
    if len(coef) > 1 and not classify:
        raise ValueError(
            f"The model has {len(coef)} targets, but a table of coefficients is for one target. "
            f"Fit a model for each target."
        )
    strength = _strength(model)
    if strength > 0 and not allow_penalty:
        how = "C=np.inf" if isinstance(model, LogisticRegression) else "LinearRegression"
        raise ValueError(
            f"{type(model).__name__} was fitted with a penalty, which pulls coefficients towards "
            f"zero: they are biased. Confidence intervals cover the true values too rarely, and "
            f"p-values are too small or too large. Fit without a penalty ({how}), or pass "
            f"allow_penalty=True for standard errors that ignore the bias."
        )
    intercept = np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64))
    loss: Loss = HalfBinomialLoss() if classify else HalfSquaredError()
    if len(coef) > 1:
        loss = HalfMultinomialLoss()
    whole = Packing(len(coef), coef.shape[1], bool(model.fit_intercept))
    packing, parameters = against_first(whole, whole.pack(coef, intercept))
    names = feature_names
    if names is None:
        names = getattr(model, "feature_names_in_", [f"x{i}" for i in range(coef.shape[1])])
    if len(names) != coef.shape[1]:
        raise ValueError(
            f"feature_names has {len(names)} names, but the model has {coef.shape[1]} features."
        )
    return FittedModel(
        model,
        loss,
        packing,
        parameters,
        strength,
        model.classes_ if classify else None,
        tuple(map(str, names)),
    )


def _strength(model: Any) -> float:
    """Return the strength of a model's L2 penalty, and refuse other penalties."""
    if isinstance(model, LogisticRegression):
        if model.class_weight is not None:
            raise ValueError(
                "There are no standard errors for a model with class_weight, because it weights "
                "rows by their random class. Fit without it, or pass the weights as sample_weight, "
                "to fit and to this function."
            )
        if model.penalty is None:
            return 0.0
        if has_l1_part(model):
            raise ValueError(
                "An l1 penalty chooses features, so standard errors from the same rows are not "
                "valid. Fit the chosen columns without a penalty (C=np.inf), to other rows."
            )
        return 1.0 / float(model.C)
    if model.positive:
        raise ValueError(
            "positive=True bounds coefficients, and at a bound they have no normal distribution. "
            "Fit without it."
        )
    return float(np.asarray(model.alpha).reshape(-1)[0]) if isinstance(model, Ridge) else 0.0
