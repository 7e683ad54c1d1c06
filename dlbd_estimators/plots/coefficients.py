"""Plot the coefficients of a linear model with the names of their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from dlbd_estimators.plots.axes import BLUE, GREY, ORANGE, PALE_GREY, axes
from dlbd_estimators.plots.column_scales import coefficients_per_unit
from dlbd_estimators.plots.last_step import last_step


class CoefficientsDisplay:
    """The largest coefficients of a linear model as bars.

    Parameters
    ----------
    coef : ndarray of shape (n_shown,)
        Coefficients, the largest first.
    feature_names : ndarray of str of shape (n_shown,)
        Names of the features of these coefficients.
    n_features : int
        Number of coefficients of the model, shown or not.
    name : str, optional
        Name of the model, for the title.
    per : str, default="unit of the model's column"
        The unit of the columns to which the coefficients refer, as text for the label of the axis.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes of the plot.
    figure_ : matplotlib.figure.Figure
        The figure of these axes.
    bars_ : matplotlib.container.BarContainer
        The bars.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import Ridge
    >>> from dlbd_estimators.plots import CoefficientsDisplay
    >>> X = np.array([[-1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    >>> model = Ridge().fit(X, [-3.0, 1.0, 3.0])
    >>> CoefficientsDisplay.from_estimator(model, n_features=1).feature_names
    array(['x0'], dtype=object)
    """

    def __init__(
        self,
        *,
        coef: NDArray[Any],
        feature_names: NDArray[Any],
        n_features: int,
        name: str | None = None,
        per: str = "unit of the model's column",
    ) -> None:
        self.coef = coef
        self.feature_names = feature_names
        self.n_features = n_features
        self.name = name
        self.per = per

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the bars, the largest on top.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones, as high as the bars need.
        name : str, optional
            Name of the model, for the title.
        **kwargs
            Parameters of :meth:`matplotlib.axes.Axes.barh`.

        Returns
        -------
        CoefficientsDisplay
            The display itself, with ``ax_``, ``figure_`` and ``bars_``.
        """
        fresh = ax is None
        ax = axes(ax)
        if fresh:
            ax.figure.set_size_inches(6.4, max(2.0, 0.9 + 0.25 * len(self.coef)))
        colours = np.where(self.coef < 0, ORANGE, BLUE)
        places = np.arange(len(self.coef))
        self.bars_ = ax.barh(places, self.coef, **{"color": colours, "height": 0.7, **kwargs})
        ax.set_yticks(places, self.feature_names)
        ax.margins(y=0.02)
        ax.invert_yaxis()
        ax.axvline(0.0, color=GREY, linewidth=0.8)
        ax.tick_params(axis="y", length=0)
        ax.grid(visible=True, axis="x", color=PALE_GREY, linewidth=0.8)
        ax.set_xlabel(f"Coefficient per {self.per}")
        name = self.name if name is None else name
        if name is not None:
            of = "" if len(self.coef) == self.n_features else f" of {self.n_features:,}"
            ax.set_title(
                f"{name}: {len(self.coef)}{of} coefficients", loc="left", fontsize="medium"
            )
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        feature_names: Sequence[str] | None = None,
        n_features: int = 20,
        class_: Any = None,
        per: str = "model",
        X: Any = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the largest coefficients of a linear model.

        Coefficients per standard deviation of a column can be compared with each other;
        coefficients per unit are easier to explain. The label of the axis names the unit.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted model with ``coef_``, or a pipeline that ends in one. The features have the
            names that the steps before the model give them.
        feature_names : sequence of str of length n_features_in, optional
            Names of the features. None means the names that X had, or ``x0``, ``x1``, ... if it
            had none.
        n_features : int, default=20
            Largest number of coefficients to show.
        class_ : object, optional
            The class whose coefficients to show, out of ``classes_``; for a regression, the index
            of a target. It is needed if the model has several rows of coefficients. The single
            row of a model of two classes belongs to the greater class.
        per : {"model", "unit", "std"}, default="model"
            The change of a column to which a coefficient refers. ``"model"``: one unit of the
            column that the model sees, as in ``coef_``; after a StandardScaler that is one standard
            deviation. ``"unit"``: one unit of the column before the scalers of the pipeline.
            ``"std"``: one standard deviation of the column. For columns that are 1 in a category
            and 0 otherwise, it is always the change from 0 to 1.
        X : array-like or Dask collection of shape (n_samples, n_features), optional
            For ``per="std"``: rows from which to compute the standard deviations of columns that
            the pipeline does not standardise. It takes one pass over lazy rows.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Parameters of :meth:`matplotlib.axes.Axes.barh`.

        Returns
        -------
        CoefficientsDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            The estimator was not fitted.
        TypeError
            The estimator has no ``coef_``.
        ValueError
            ``class_`` is missing or unknown, ``n_features`` is below 1, the number of names differs
            from the number of coefficients, ``per`` is unknown, or X is missing or not used.
        """
        if n_features < 1:
            raise ValueError(f"n_features must be at least 1, but is {n_features!r}.")
        model = last_step(estimator)
        if not hasattr(model, "coef_"):
            raise TypeError(
                f"{type(model).__name__} has no coef_: pass a fitted linear model, or a pipeline "
                f"that ends in one."
            )
        coef = _one_row(model, class_)
        names = _names(estimator, model, len(coef)) if feature_names is None else feature_names
        if len(names) != len(coef):
            raise ValueError(f"There are {len(names)} feature_names for {len(coef)} coefficients.")
        coef, unit = coefficients_per_unit(estimator, coef, per, X)
        largest = np.argsort(-np.abs(coef), kind="stable")[:n_features]
        display = cls(
            coef=coef[largest],
            feature_names=np.asarray(names, dtype=object)[largest],
            n_features=len(coef),
            name=type(model).__name__ + ("" if class_ is None else f", {class_}"),
            per=unit,
        )
        return display.plot(ax, **kwargs)


def _one_row(model: Any, class_: Any) -> NDArray[Any]:
    table: NDArray[Any] = np.atleast_2d(model.coef_)
    known = np.asarray(getattr(model, "classes_", range(len(table)))).tolist()[-len(table) :]
    if class_ is None and len(table) == 1:
        class_ = known[0]
    if class_ not in known:
        raise ValueError(
            f"{type(model).__name__} has coefficients for each of {known}: choose one of them "
            f"as class_, instead of {class_!r}."
        )
    chosen: NDArray[Any] = table[known.index(class_)]
    return chosen


def _names(estimator: Any, model: Any, n_features: int) -> Any:
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        before = estimator[:-1]
        if hasattr(before, "get_feature_names_out"):
            return before.get_feature_names_out()
    return getattr(model, "feature_names_in_", [f"x{index}" for index in range(n_features)])
