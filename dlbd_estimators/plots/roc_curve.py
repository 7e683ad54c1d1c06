"""scikit-learn's display of the ROC curve, also for lazy data, in one pass."""

from __future__ import annotations

import numbers
from typing import Any, Self

from sklearn import metrics

from dlbd_estimators.metrics.curves import rounded_roc_curve
from dlbd_estimators.metrics.one_pass import any_lazy
from dlbd_estimators.metrics.quantized_scores import FEWEST
from dlbd_estimators.plots.axes import axes, pyplot
from dlbd_estimators.plots.classifier_scores import classifier_scores

#: Distinct scores that a curve keeps by default: about 5 MB.
MAX_SCORES = 100_000


class RocCurveDisplay(metrics.RocCurveDisplay):
    """ROC curve of a classifier, also for lazy data.

    It extends :class:`sklearn.metrics.RocCurveDisplay`. With lazy data, one pass predicts the rows
    of each block and joins the predictions. Every distinct pair of label and score is kept with its
    weight, which takes 24 bytes. If there are more than ``max_scores`` distinct scores, all scores
    are rounded towards zero to fewer binary digits, as many as still fit. The curve is then the
    exact curve of the rounded scores. Its area changes by at most half the share of pairs of a
    positive and a negative row whose scores become equal. Data in memory is never rounded.

    Parameters
    ----------
    fpr : ndarray of shape (n_thresholds,)
        False positive rate for each threshold.
    tpr : ndarray of shape (n_thresholds,)
        True positive rate for each threshold.
    roc_auc : float, default=None
        Area under the curve, for the legend.
    name : str, default=None
        Name of the curve, for the legend.
    pos_label : int, float, bool or str, default=None
        The positive class, for the labels of the axes.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.plots import RocCurveDisplay
    >>> y_true = da.from_array([0, 0, 1, 1], chunks=2)
    >>> RocCurveDisplay.from_predictions(y_true, [0.1, 0.4, 0.35, 0.8]).roc_auc
    0.75
    """

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the curve.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Other parameters of :meth:`sklearn.metrics.RocCurveDisplay.plot`.

        Returns
        -------
        RocCurveDisplay
            The display itself, with ``ax_``, ``figure_`` and ``line_``.
        """
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
        """Draw the curve of a classifier.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted classifier of two classes.
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,)
            True labels.
        sample_weight : array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.
        drop_intermediate : bool, default=True
            Whether to leave out points of the curve that lie on a straight line between others.
        response_method : {"auto", "predict_proba", "decision_function"}, default="auto"
            Method of the estimator that returns the scores; ``"auto"`` takes the first of these
            methods that the estimator has.
        pos_label : int, float, bool or str, optional
            The positive class; None means the second of ``classes_``.
        name : str, optional
            Name of the curve in the legend; None means the class of the estimator.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        max_scores : int or None, default=100_000
            Largest number of distinct scores to keep of lazy data, at least 4,096; None means no
            limit.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        RocCurveDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            The classifier was not fitted.
        ValueError
            There are more than two classes, ``pos_label`` is not one of them, the estimator is not
            a classifier, or ``max_scores`` is below 4,096.
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
        scores, positive = classifier_scores(estimator, X, response_method, pos_label)
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
        """Draw the curve of scores.

        Parameters
        ----------
        y_true : array-like or lazy array of shape (n_samples,)
            True labels, of two classes.
        y_score : array-like or lazy array of shape (n_samples,)
            Scores; a greater score means that the positive class is more likely.
        sample_weight : array-like or lazy array of shape (n_samples,), optional
            Weights, at least 0.
        drop_intermediate : bool, default=True
            Whether to leave out points of the curve that lie on a straight line between others.
        pos_label : int, float, bool or str, optional
            The positive class. None means 1, if all labels are among -1, 0 and 1.
        name : str, optional
            Name of the curve in the legend; None means "Classifier".
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        max_scores : int or None, default=100_000
            Largest number of distinct scores to keep of lazy data, at least 4,096; None means no
            limit.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        RocCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            Lengths differ, there are more than two classes, a score is not finite, ``pos_label`` is
            None and the labels do not determine the positive class, or ``max_scores`` is below
            4,096.
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
        plotted: Self = display.plot(ax=ax, **kwargs)
        return plotted


def _check_max_scores(max_scores: Any) -> None:
    if max_scores is None:
        return
    if not isinstance(max_scores, numbers.Integral) or max_scores < FEWEST:
        raise ValueError(
            f"max_scores must be an integer of at least {FEWEST:,}, or None, but is {max_scores!r}."
        )
