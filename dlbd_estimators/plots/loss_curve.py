"""Plot a quantity of ``history_``, for example the loss of a fit, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.plots.axes import PALE_GREY, axes
from dlbd_estimators.plots.last_step import last_step

_LABELS = {
    "iteration": "Step",
    "pass": "Passes over the data",
    "seconds": "Seconds",
    "bytes_read": "Bytes read",
    "loss": "Loss",
    "excess": "Loss above the minimum",
    "gradient_norm": "Largest entry of the gradient",
    "error": "Distance to the optimum",
    "validation_score": "Validation score",
    "validation_loss": "Loss of the validation rows",
    "step": "Step length",
    "learning_rate": "Learning rate",
}
#: These quantities fall by factors, so that a logarithmic axis shows them best.
_LOGARITHMIC = ("excess", "gradient_norm", "error")


class LossCurveDisplay:
    """A quantity of ``history_`` by passes, steps or seconds.

    Parameters
    ----------
    x : ndarray of shape (n_steps,)
        Horizontal coordinates of the curve.
    y : ndarray of shape (n_steps,)
        Vertical coordinates of the curve.
    x_name : str, default="pass"
        What ``x`` is: a key of ``history_``.
    y_name : str, default="loss"
        What ``y`` is: a key of ``history_``, or ``"excess"``.
    name : str, optional
        Name of the curve in the legend.
    validation : ndarray of shape (n_steps,), optional
        Vertical coordinates of a second, dashed curve: the loss of the validation rows.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes of the plot.
    figure_ : matplotlib.figure.Figure
        The figure of these axes.
    line_ : matplotlib.lines.Line2D
        The curve.
    validation_line_ : matplotlib.lines.Line2D or None
        The curve of the validation rows.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LogisticRegression
    >>> from dlbd_estimators.plots import LossCurveDisplay
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> display = LossCurveDisplay.from_estimator(LogisticRegression().fit(X, X[:, 0] > 0.5))
    >>> display.ax_.get_ylabel()
    'Loss'
    """

    def __init__(
        self,
        *,
        x: NDArray[Any],
        y: NDArray[Any],
        x_name: str = "pass",
        y_name: str = "loss",
        name: str | None = None,
        validation: NDArray[Any] | None = None,
    ) -> None:
        self.x = x
        self.y = y
        self.x_name = x_name
        self.y_name = y_name
        self.name = name
        self.validation = validation

    def plot(
        self, ax: Any = None, *, name: str | None = None, log: bool | None = None, **kwargs: Any
    ) -> Self:
        """Draw the curve, and that of the validation rows. Several can share the same axes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        name : str, optional
            Name of the curve in the legend.
        log : bool, optional
            Whether the y-axis is logarithmic; such an axis leaves out values that are not above 0.
            None means True for ``"excess"``, ``"gradient_norm"`` and ``"error"``, if some values
            are above 0.
        **kwargs
            Parameters of :meth:`matplotlib.axes.Axes.plot`.

        Returns
        -------
        LossCurveDisplay
            The display itself, with ``ax_``, ``figure_``, ``line_`` and ``validation_line_``.
        """
        if log is None:
            log = self.y_name in _LOGARITHMIC and bool((self.y > 0).any())
        ax = axes(ax)
        name = self.name if name is None else name
        markers = {"marker": "o", "markersize": 4} if len(self.x) <= 40 else {}
        (self.line_,) = ax.plot(self.x, self.y, **{"label": name, **markers, **kwargs})
        self.validation_line_ = None
        if self.validation is not None:
            dashed = {"color": self.line_.get_color(), "linestyle": "--", **markers}
            dashed["label"] = None if name is None else f"{name}, validation rows"
            (self.validation_line_,) = ax.plot(self.x, self.validation, **dashed)
        if log:
            ax.set_yscale("log", nonpositive="mask")
        else:
            ax.set_yscale("linear")
        ax.set(xlabel=_label(self.x_name), ylabel=_label(self.y_name))
        ax.grid(visible=True, color=PALE_GREY, linewidth=0.8)
        if name is not None:
            ax.legend(frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        x: str = "pass",
        y: str = "loss",
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a quantity from the history of a fit; the loss with that of the validation rows.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted estimator of this package, or a pipeline that ends in one.
        x : str, default="pass"
            A key of ``history_``: ``"pass"``, ``"iteration"``, ``"seconds"``, ...
        y : str, default="loss"
            A key of ``history_``: ``"loss"``, ``"error"``, ``"gradient_norm"``,
            ``"validation_score"``, ...; or ``"excess"``, the loss minus the smallest loss of this
            fit. ``"loss"`` also draws the loss of the validation rows, if there are such rows.
        name : str, optional
            Name of the curve in the legend; None means the class of the estimator.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        LossCurveDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            The estimator was not fitted.
        TypeError
            The estimator has no ``history_``.
        ValueError
            ``history_`` has no such key.
        """
        model = last_step(estimator)
        if not hasattr(model, "history_"):
            raise TypeError(
                f"{type(model).__name__} has no history_: pass a fitted estimator of "
                f"dlbd_estimators, or a pipeline that ends in one."
            )
        name = type(model).__name__ if name is None else name
        return cls.from_history(model.history_, x=x, y=y, name=name, ax=ax, **kwargs)

    @classmethod
    def from_history(
        cls,
        history: Sequence[Mapping[str, float]],
        *,
        x: str = "pass",
        y: str = "loss",
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a quantity from a ``history_``, which may be from an earlier fit.

        Parameters
        ----------
        history : sequence of dict
            One entry for each step.
        x : str, default="pass"
            A key of ``history_``, as in :meth:`from_estimator`.
        y : str, default="loss"
            A key of ``history_`` or ``"excess"``, as in :meth:`from_estimator`.
        name : str, optional
            Name of the curve in the legend.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        LossCurveDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            ``history`` has no such key.
        """
        horizontal, vertical = _column(history, x), _column(history, "loss" if y == "excess" else y)
        if y == "excess":
            vertical = vertical - np.nanmin(vertical, initial=np.inf)
        has_validation = y == "loss" and any("validation_loss" in entry for entry in history)
        validation = _column(history, "validation_loss") if has_validation else None
        display = cls(
            x=horizontal, y=vertical, x_name=x, y_name=y, name=name, validation=validation
        )
        return display.plot(ax, **kwargs)


def _column(history: Sequence[Mapping[str, float]], key: str) -> NDArray[Any]:
    if not any(key in entry for entry in history):
        known = sorted({known for entry in history for known in entry})
        raise ValueError(f"history_ has no key {key!r}. Choose one of its keys: {known}.")
    column = np.array([entry.get(key, np.nan) for entry in history], dtype=np.float64)
    return np.where(np.isfinite(column), column, np.nan)


def _label(name: str) -> str:
    return _LABELS.get(name, name)
