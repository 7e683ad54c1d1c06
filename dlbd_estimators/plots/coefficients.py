"""The coefficients of a linear model, by the names of their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.plots.axes import BLUE, GREY, ORANGE, PALE_GREY, axes
from dlbd_estimators.plots.column_scales import per_what


class CoefficientsDisplay:
    """The largest coefficients of a linear model as bars.

    Parameters
    ----------
    coef : ndarray of shape (n_shown,)
        Coefficients, the largest first.
    feature_names : ndarray of str of shape (n_shown,)
        Of the features that these belong to.
    n_features : int
        Of the model, shown or not.
    name : str, optional
        Of the model, for the title.
    per : str, default="unit of the model's column"
        What the coefficients are the change for, for the axis.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        Where they are drawn.
    figure_ : matplotlib.figure.Figure
        That the axes are in.
    bars_ : matplotlib.container.BarContainer
        The bars.
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
            Where to draw; by default new ones, as high as the bars need.
        name : str, optional
            For the title.
        **kwargs
            For :meth:`matplotlib.axes.Axes.barh`.
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

        Per standard deviation they can be compared with each other, per unit they can be told to
        somebody. The axis says which they are.

        Parameters
        ----------
        estimator : estimator or Pipeline
            Fitted, with ``coef_``; of a pipeline the last step, whose features bear the names
            that the steps before give them.
        feature_names : sequence of str of length n_features_in, optional
            By default those that X had, or else ``x0``, ``x1``, ...
        n_features : int, default=20
            How many to show, at most.
        class_ : object, optional
            One of ``classes_`` (of a regression, the index of a target), whose coefficients to
            show: needed where there are several rows of them. The one row of two classes
            belongs to the greater one.
        per : {"model", "unit", "std"}, default="model"
            What a coefficient is the change for. ``"model"``: a unit of the column that the model
            sees, as ``coef_`` has it; behind a StandardScaler that is a standard deviation.
            ``"unit"``: a unit of the column before the scalers of the pipeline. ``"std"``: a
            standard deviation of the column. Columns of categories are 1 or 0 in any case.
        X : array-like or Dask collection of shape (n_samples, n_features), optional
            For ``per="std"``: rows whose standard deviations to take of those columns that the
            pipeline does not standardise; one pass over lazy rows.
        ax : matplotlib.axes.Axes, optional
            Where to draw; by default new ones.
        **kwargs
            For :meth:`matplotlib.axes.Axes.barh`.

        Raises
        ------
        NotFittedError
            The estimator was not fitted.
        TypeError
            It has no ``coef_``.
        ValueError
            ``class_`` is missing or unknown, ``n_features`` is below 1, or there are more or
            fewer names than coefficients; ``per`` is none of the three, needs X or has no use for
            it.
        """
        if n_features < 1:
            raise ValueError(f"n_features must be at least 1, but is {n_features!r}.")
        model = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        check_is_fitted(model)
        if not hasattr(model, "coef_"):
            raise TypeError(
                f"{type(model).__name__} has no coef_: pass a fitted linear model, or a pipeline "
                f"that ends in one."
            )
        coef = _one_row(model, class_)
        names = _names(estimator, model, len(coef)) if feature_names is None else feature_names
        if len(names) != len(coef):
            raise ValueError(f"There are {len(names)} feature_names for {len(coef)} coefficients.")
        coef, told = per_what(estimator, coef, per, X)
        largest = np.argsort(-np.abs(coef), kind="stable")[:n_features]
        display = cls(
            coef=coef[largest],
            feature_names=np.asarray(names, dtype=object)[largest],
            n_features=len(coef),
            name=type(model).__name__ + ("" if class_ is None else f", {class_}"),
            per=told,
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
            f"as class_, which is {class_!r}."
        )
    chosen: NDArray[Any] = table[known.index(class_)]
    return chosen


def _names(estimator: Any, model: Any, n_features: int) -> Any:
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        before = estimator[:-1]
        if hasattr(before, "get_feature_names_out"):
            return before.get_feature_names_out()
    return getattr(model, "feature_names_in_", [f"x{index}" for index in range(n_features)])
