"""Which fitted models have standard errors, and what these need of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.losses import HalfBinomialLoss, HalfSquaredError, Loss
from dlbd_estimators.kernels.packing import Packing
from dlbd_estimators.linear_model import (
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    Ridge,
)
from dlbd_estimators.linear_model.logistic_parameters import has_l1_part
from dlbd_estimators.linear_model.sparse_coefficients import dense


@dataclass(frozen=True)
class FittedModel:
    """A fitted model of one output, as the objective that it minimises.

    Attributes
    ----------
    estimator : estimator
        As it was passed.
    loss : Loss
        Pointwise.
    packing : Packing
        Order of the parameters.
    parameters : ndarray of shape (n_parameters,)
        Of the model.
    strength : float
        Of the penalty ``strength ||w||^2 / 2`` beside the sum of the losses.
    classes : ndarray or None
        Where targets are labels.
    names : tuple of str
        Of the features.
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
        """The penalty's second derivatives, in the packed order."""
        diagonal = np.full(self.packing.size, self.strength)
        diagonal[self.packing.n_features :] = 0.0
        return diagonal

    @property
    def has_errors_of_one_variance(self) -> bool:
        """Whether the model has a variance of its errors, which is estimated."""
        return self.loss.quadratic


def fitted_model(
    model: Any, *, allow_penalty: bool, feature_names: Sequence[str] | None = None
) -> FittedModel:
    """Check that a fitted model has standard errors.

    Parameters
    ----------
    model : estimator
        As the user passed it.
    allow_penalty : bool
        Whether the user wants them of a model with an L2 penalty.
    feature_names : sequence of str, optional
        Names of the columns; None takes the model's.

    Raises
    ------
    NotFittedError
        The model is not fitted.
    TypeError
        It is of another class.
    ValueError
        It has no standard errors, or none that mean what they seem to; says why.
    """
    known = isinstance(model, LinearRegression | Ridge | LogisticRegression)
    if not known or isinstance(model, LogisticRegressionCV):
        raise TypeError(
            f"Standard errors are there for a fitted LinearRegression, Ridge or "
            f"LogisticRegression of dlbd_estimators, but not for {type(model).__name__} of "
            f"{type(model).__module__.partition('.')[0]}. If it is a pipeline, pass its last step, "
            f"and the X that the steps before it return. If it has an l1 penalty, fit a model "
            f"without a penalty, to rows that did not choose its features."
        )
    check_is_fitted(model)
    coef = np.atleast_2d(dense(model.coef_)).astype(np.float64)
    if len(coef) > 1:
        what = "classes" if isinstance(model, LogisticRegression) else "targets"
        raise ValueError(
            f"The model has {len(coef)} {what}, but a table of coefficients is for one target, or "
            f"for two classes. Fit a model for each target, or for each class against another."
        )
    strength = _strength(model)
    if strength > 0 and not allow_penalty:
        how = "C=np.inf" if isinstance(model, LogisticRegression) else "LinearRegression"
        raise ValueError(
            f"{type(model).__name__} was fitted with a penalty, which pulls coefficients towards "
            f"zero: they are biased. Intervals around them cover the true values less often than "
            f"they promise, and p-values are too small or too large. Fit without a penalty "
            f"({how}); or pass allow_penalty=True for the spread of the penalised coefficients "
            f"alone."
        )
    packing = Packing(1, coef.shape[1], bool(model.fit_intercept))
    intercept = np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64))
    names = feature_names
    if names is None:
        names = getattr(model, "feature_names_in_", [f"x{i}" for i in range(coef.shape[1])])
    if len(names) != coef.shape[1]:
        raise ValueError(
            f"feature_names has {len(names)} names, but the model has {coef.shape[1]} features."
        )
    classify = isinstance(model, LogisticRegression)
    return FittedModel(
        model,
        HalfBinomialLoss() if classify else HalfSquaredError(),
        packing,
        packing.pack(coef, intercept[:1]),
        strength,
        model.classes_ if classify else None,
        tuple(map(str, names)),
    )


def _strength(model: Any) -> float:
    """Return the strength of a model's L2 penalty, or refuse what is no smooth penalty."""
    if isinstance(model, LogisticRegression):
        if model.class_weight is not None:
            raise ValueError(
                "class_weight weighs rows by their class, which is no property of the rows that "
                "were drawn: there are no standard errors for it. Fit without it, or pass the "
                "weights as sample_weight, to fit and here."
            )
        if model.penalty is None:
            return 0.0
        if has_l1_part(model):
            raise ValueError(
                "An l1 penalty chooses features: the same rows cannot say how sure the chosen "
                "coefficients are. Fit the chosen columns without a penalty (C=np.inf), to other "
                "rows."
            )
        return 1.0 / float(model.C)
    if model.positive:
        raise ValueError(
            "positive=True bounds coefficients, and at a bound they have no normal distribution. "
            "Fit without it."
        )
    return float(np.asarray(model.alpha).reshape(-1)[0]) if isinstance(model, Ridge) else 0.0
