"""scikit-learn's reliability diagram, also for lazy data, in one pass."""

from __future__ import annotations

from typing import Any, Self

from sklearn import calibration

from dlbd_estimators.metrics.curves import calibration_curve
from dlbd_estimators.metrics.one_pass import any_lazy
from dlbd_estimators.plots.axes import axes, pyplot
from dlbd_estimators.plots.classifier_scores import classifier_scores


class CalibrationDisplay(calibration.CalibrationDisplay):
    """Reliability diagram of a classifier, also for lazy data.

    It extends :class:`sklearn.calibration.CalibrationDisplay`. With lazy data, one pass predicts
    the rows of each block and counts them in bins of equal width (``strategy="uniform"``).

    Parameters
    ----------
    prob_true : ndarray of shape (n_bins,)
        Share of positive rows in each bin.
    prob_pred : ndarray of shape (n_bins,)
        Mean of the predicted probabilities in each bin.
    y_prob : array-like or lazy array of shape (n_samples,)
        Predicted probabilities of the positive class.
    estimator_name : str, default=None
        Name of the curve, for the legend.
    pos_label : int, float, bool or str, default=None
        The positive class, for the labels of the axes.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.plots import CalibrationDisplay
    >>> y_true = da.from_array([0, 0, 1, 1], chunks=2)
    >>> display = CalibrationDisplay.from_predictions(y_true, [0.1, 0.3, 0.2, 0.9], n_bins=2)
    >>> display.prob_true.round(3)
    array([0.333, 1.   ])
    """

    def plot(self, *, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the diagram.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Other parameters of :meth:`sklearn.calibration.CalibrationDisplay.plot`.

        Returns
        -------
        CalibrationDisplay
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
        n_bins: int = 5,
        strategy: str = "uniform",
        pos_label: Any = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the diagram of a classifier.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted classifier of two classes.
        X : array-like, sparse matrix, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,)
            True labels.
        n_bins : int, default=5
            Number of bins of [0, 1]. Bins without rows are left out.
        strategy : {"uniform", "quantile"}, default="uniform"
            Whether bins have the same width, or the same number of rows; the latter is possible
            for data in memory only.
        pos_label : int, float, bool or str, optional
            The positive class; None means the second of ``classes_``.
        name : str, optional
            Name of the curve in the legend; None means the class of the estimator.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        CalibrationDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            The classifier was not fitted.
        ValueError
            There are more than two classes, ``pos_label`` is not one of them, the estimator is not
            a classifier, or ``strategy="quantile"`` on lazy data.
        """
        pyplot()
        options = {"n_bins": n_bins, "strategy": strategy, "ax": ax, **kwargs}
        if not any_lazy(X, y):
            display: Self = super().from_estimator(
                estimator, X, y, pos_label=pos_label, name=name, **options
            )
            return display
        scores, positive = classifier_scores(estimator, X, "predict_proba", pos_label)
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
        """Draw the diagram of probabilities.

        Parameters
        ----------
        y_true : array-like or lazy array of shape (n_samples,)
            True labels, of two classes.
        y_prob : array-like or lazy array of shape (n_samples,)
            Predicted probabilities of the positive class.
        n_bins : int, default=5
            Number of bins of [0, 1]. Bins without rows are left out.
        strategy : {"uniform", "quantile"}, default="uniform"
            Whether bins have the same width, or the same number of rows; the latter is possible
            for data in memory only.
        pos_label : int, float, bool or str, optional
            The positive class. None means 1, if all labels are among -1, 0 and 1.
        name : str, optional
            Name of the curve in the legend; None means "Classifier".
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        CalibrationDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            Lengths differ, there are more than two classes, a probability is not in [0, 1],
            ``pos_label`` is None and the labels do not determine the positive class, or
            ``strategy="quantile"`` on lazy data.
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
        plotted: Self = display.plot(ax=ax, **kwargs)
        return plotted
