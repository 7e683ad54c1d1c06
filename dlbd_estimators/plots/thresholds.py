"""scikit-learn's displays of classifiers' scores, from lazy predictions in one pass."""

from __future__ import annotations

import numbers
from typing import Any, Self

import numpy as np
from sklearn import calibration, metrics
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.metrics.curves import calibration_curve, rounded_roc_curve
from dlbd_estimators.metrics.one_pass import any_lazy, check_choice
from dlbd_estimators.metrics.quantized_scores import FEWEST
from dlbd_estimators.plots.axes import axes, pyplot

#: Distinct scores that a curve keeps, unless told: about 5 MB.
MAX_SCORES = 100_000


class RocCurveDisplay(metrics.RocCurveDisplay):
    """Receiver operating characteristic: :class:`sklearn.metrics.RocCurveDisplay`, lazy too.

    Of lazy data, predictions are made and joined block by block, in one pass. What is kept is
    every distinct (label, score) with its weight, 24 bytes each. Where there are more than
    ``max_scores`` distinct scores (100,000 unless told; None: no limit), all of them are rounded
    towards zero to fewer binary digits, as few less as it takes, and the curve is the exact one
    of those. Its area changes by at most half the share of pairs, of a positive and a negative
    row, that become equal. What is in memory is never rounded.
    """

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curve; parameters are scikit-learn's."""
        drawn: Self = super().plot(ax=axes(ax), **kwargs)
        return drawn

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        drop_intermediate: bool = True,
        response_method: str = "auto",
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        max_scores: int | None = MAX_SCORES,
        **kwargs: Any,
    ) -> Self:
        """Draw the curve of a classifier; parameters are scikit-learn's, and ``max_scores``.

        Raises
        ------
        NotFittedError
            The classifier was not fitted.
        ValueError
            There are more than two classes, ``pos_label`` is none of them, the estimator is no
            classifier, or ``max_scores`` is below 4,096.
        """
        pyplot()
        _check_max_scores(max_scores)
        options = {
            "sample_weight": sample_weight,
            "drop_intermediate": drop_intermediate,
            "ax": ax,
            **kwargs,
        }
        if not any_lazy(X, y, sample_weight):
            more = {"response_method": response_method, "pos_label": pos_label, "name": name}
            display: Self = super().from_estimator(estimator, X, y, **options, **more)
            return display
        scores, positive = _scores(estimator, X, response_method, pos_label)
        name = type(estimator).__name__ if name is None else name
        return cls.from_predictions(
            y, scores, pos_label=positive, name=name, max_scores=max_scores, **options
        )

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_score: Any = None,
        *,
        sample_weight: Any = None,
        drop_intermediate: bool = True,
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        max_scores: int | None = MAX_SCORES,
        **kwargs: Any,
    ) -> Self:
        """Draw the curve of scores; parameters are scikit-learn's, and ``max_scores``.

        Raises
        ------
        ValueError
            As for :func:`dlbd_estimators.metrics.roc_curve`, or ``max_scores`` is below 4,096.
        """
        pyplot()
        _check_max_scores(max_scores)
        options = {"sample_weight": sample_weight, "drop_intermediate": drop_intermediate}
        if not any_lazy(y_true, y_score, sample_weight):
            more = {"pos_label": pos_label, "name": name, "ax": ax, **kwargs}
            drawn: Self = super().from_predictions(y_true, y_score, **options, **more)
            return drawn
        fpr, tpr, _ = rounded_roc_curve(
            y_true, y_score, max_scores=max_scores, pos_label=pos_label, **options
        )
        area = metrics.auc(fpr, tpr)
        name = "Classifier" if name is None else name
        display = cls(fpr=fpr, tpr=tpr, roc_auc=area, name=name, pos_label=pos_label)
        found: Self = display.plot(ax=ax, **kwargs)
        return found


class CalibrationDisplay(calibration.CalibrationDisplay):
    """Reliability diagram: :class:`sklearn.calibration.CalibrationDisplay`, lazy too.

    Of lazy data, predictions are made and counted block by block, in one pass; bins are of equal
    width (``strategy="uniform"``).
    """

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the diagram; parameters are scikit-learn's."""
        drawn: Self = super().plot(ax=axes(ax), **kwargs)
        return drawn

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any,
        *,
        n_bins: int = 5,
        strategy: str = "uniform",
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the diagram of a classifier; parameters are scikit-learn's.

        Raises
        ------
        NotFittedError
            The classifier was not fitted.
        ValueError
            There are more than two classes, ``pos_label`` is none of them, the estimator is no
            classifier, or ``strategy="quantile"`` on lazy data.
        """
        pyplot()
        options = {"n_bins": n_bins, "strategy": strategy, "ax": ax, **kwargs}
        if not any_lazy(X, y):
            display: Self = super().from_estimator(
                estimator, X, y, pos_label=pos_label, name=name, **options
            )
            return display
        scores, positive = _scores(estimator, X, "predict_proba", pos_label)
        name = type(estimator).__name__ if name is None else name
        return cls.from_predictions(y, scores, pos_label=positive, name=name, **options)

    @classmethod
    def from_predictions(
        cls,
        y_true: Any,
        y_prob: Any,
        *,
        n_bins: int = 5,
        strategy: str = "uniform",
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the diagram of probabilities; parameters are scikit-learn's.

        Raises
        ------
        ValueError
            As for :func:`dlbd_estimators.metrics.calibration_curve`.
        """
        pyplot()
        options = {"n_bins": n_bins, "strategy": strategy, "pos_label": pos_label}
        if not any_lazy(y_true, y_prob):
            drawn: Self = super().from_predictions(
                y_true, y_prob, name=name, ax=ax, **options, **kwargs
            )
            return drawn
        prob_true, prob_pred = calibration_curve(y_true, y_prob, **options)
        name = "Classifier" if name is None else name
        # The probabilities stay lazy: scikit-learn keeps them and never looks at them again.
        display = cls(prob_true, prob_pred, y_prob, estimator_name=name, pos_label=pos_label)
        found: Self = display.plot(ax=ax, **kwargs)
        return found


def _check_max_scores(max_scores: Any) -> None:
    if max_scores is None:
        return
    if not isinstance(max_scores, numbers.Integral) or max_scores < FEWEST:
        raise ValueError(
            f"max_scores must be an integer of at least {FEWEST:,}, or None, but is {max_scores!r}."
        )


def _scores(estimator: Any, X: Any, response_method: str, pos_label: Any) -> tuple[Any, Any]:
    """Return lazy scores of the positive class, and which class that is."""
    check_choice("response_method", response_method, ("auto", "predict_proba", "decision_function"))
    check_is_fitted(estimator)
    if not is_classifier(estimator):
        raise ValueError(
            f"Expected 'estimator' to be a binary classifier. Got {type(estimator).__name__} "
            f"instead."
        )
    classes = np.asarray(estimator.classes_)
    if len(classes) != 2:
        raise ValueError(
            f"Expected 'estimator' to be a binary classifier. Got {len(classes)} classes instead."
        )
    positive = classes[1] if pos_label is None else pos_label
    if positive not in classes:
        raise ValueError(
            f"pos_label={pos_label!r} is not a valid label: it should be one of {classes}."
        )
    if response_method == "auto":
        has = hasattr(estimator, "predict_proba")
        response_method = "predict_proba" if has else "decision_function"
    found = getattr(estimator, response_method)(X)
    if found.ndim == 2:
        return found[:, list(classes).index(positive)], positive
    return (found if positive == classes[1] else -found), positive
