"""Plot coefficients against the strength of the penalty: which columns enter as it weakens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.plots.axes import GREY, PALE_GREY, axes


class CoefficientPathDisplay:
    """Coefficients by the strength of the penalty, one line for each column.

    Parameters
    ----------
    alphas : ndarray of shape (n_alphas,)
        Strengths of the penalty, in any order.
    coefs : ndarray of shape (n_features, n_alphas)
        Coefficients of each column at each strength.
    feature_names : sequence of str, optional
        Names of the columns; by default ``x0``, ``x1``, ...
    chosen : float, optional
        A strength to mark, for example the one that a search chose.
    strength_name : str, default="alpha"
        Name of the strength, the label of the axis.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes of the plot.
    figure_ : matplotlib.figure.Figure
        The figure of these axes.
    lines_ : list of matplotlib.lines.Line2D
        One for each column, in their order.
    labels_ : list of matplotlib.text.Annotation
        Names beside the ends of the lines.
    chosen_line_ : matplotlib.lines.Line2D or None
        Line at the marked strength, or None if ``chosen`` is None.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators.linear_model import lasso_path
    >>> from dlbd_estimators.plots import CoefficientPathDisplay
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> display = CoefficientPathDisplay.from_path(lasso_path(X, X[:, 1]))
    >>> display.ax_.get_xlabel()
    'alpha'
    """

    def __init__(
        self,
        *,
        alphas: NDArray[Any],
        coefs: NDArray[Any],
        feature_names: Sequence[str] | None = None,
        chosen: float | None = None,
        strength_name: str = "alpha",
    ) -> None:
        self.alphas = alphas
        self.coefs = coefs
        self.feature_names = feature_names
        self.chosen = chosen
        self.strength_name = strength_name

    def plot(self, ax: Any = None, *, max_names: int = 10, **kwargs: Any) -> Self:
        """Draw the lines, from the strongest penalty on the left to the weakest.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        max_names : int, default=10
            Largest number of columns to name: those with the largest absolute coefficients. The
            lines of the other columns are grey.
        **kwargs
            Parameters of :meth:`matplotlib.axes.Axes.plot` for all lines.

        Returns
        -------
        CoefficientPathDisplay
            The display itself, with ``ax_``, ``figure_``, ``lines_``, ``labels_`` and
            ``chosen_line_``.

        Raises
        ------
        ValueError
            The number of coefficients of a column differs from the number of alphas, or the number
            of names differs from the number of columns.
        """
        alphas, coefs, names = self._checked()
        ax = axes(ax)
        named = np.argsort(-np.abs(coefs).max(axis=1, initial=0.0), kind="stable")[:max_names]
        self.lines_, self.labels_ = [], []
        for column, values in enumerate(coefs):
            style = {} if column in named else {"color": PALE_GREY, "zorder": 1}
            (line,) = ax.plot(alphas, values, **{"linewidth": 1.5, **style, **kwargs})
            self.lines_.append(line)
            if column in named and np.any(values):
                label = ax.annotate(
                    names[column],
                    (alphas[-1], values[-1]),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    color=line.get_color(),
                    annotation_clip=False,
                )
                self.labels_.append(label)
        self.chosen_line_ = None
        if self.chosen is not None:
            self.chosen_line_ = ax.axvline(self.chosen, color=GREY, linestyle="--", linewidth=1)
        if np.all(alphas > 0):  # strengths usually differ by constant factors
            ax.set_xscale("log")
        if not ax.xaxis_inverted():
            ax.invert_xaxis()
        ax.set(xlabel=self.strength_name, ylabel="Coefficient")
        ax.grid(visible=True, color=PALE_GREY, linewidth=0.8)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _checked(self) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
        alphas, coefs = np.asarray(self.alphas), np.asarray(self.coefs)
        if coefs.ndim != 2 or coefs.shape[1:] != alphas.shape:
            raise ValueError(
                f"coefs has shape {coefs.shape}, but {alphas.size} alphas need (n_features, "
                f"{alphas.size}), as enet_path returns them."
            )
        names = self.feature_names
        names = [f"x{number}" for number in range(len(coefs))] if names is None else list(names)
        if len(names) != len(coefs):
            raise ValueError(f"feature_names has {len(names)} names for {len(coefs)} columns.")
        order = np.argsort(-alphas, kind="stable")
        return alphas[order], coefs[:, order], names

    @classmethod
    def from_path(
        cls,
        path: Sequence[Any],
        *,
        feature_names: Sequence[str] | None = None,
        chosen: float | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the result of ``enet_path`` or ``lasso_path``, of this package or scikit-learn.

        Parameters
        ----------
        path : tuple
            The result. Its first two items are the alphas and the coefficients.
        feature_names : sequence of str, optional
            Names of the columns.
        chosen : float, optional
            A strength to mark, for example ``LassoCV(...).fit(X, y).alpha_``.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        CoefficientPathDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            The number of names differs from the number of columns, or the number of coefficients
            of a column differs from the number of alphas.
        """
        alphas, coefs = path[:2]
        display = cls(alphas=alphas, coefs=coefs, feature_names=feature_names, chosen=chosen)
        return display.plot(ax, **kwargs)

    @classmethod
    def from_logistic_path(
        cls,
        path: Sequence[Any],
        *,
        class_number: int | None = None,
        feature_names: Sequence[str] | None = None,
        chosen: float | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the result of ``logistic_regression_path`` by the strength ``1 / C``.

        Parameters
        ----------
        path : tuple
            The result. Its first two items are the values of C and the coefficients.
        class_number : int, optional
            The class whose coefficients are drawn, by its position in the sorted labels. Required
            for three classes or more.
        feature_names : sequence of str, optional
            Names of the columns.
        chosen : float, optional
            A value of C to mark, for example ``LogisticRegressionCV(...).fit(X, y).C_``.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        CoefficientPathDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            ``class_number`` is missing or there is no such class, or the number of names differs
            from the number of columns.
        """
        Cs, coefs = np.asarray(path[0], dtype=np.float64), np.asarray(path[1])
        n_classes = len(coefs) if coefs.ndim == 3 else None
        if n_classes is not None:
            if class_number is None or not 0 <= class_number < n_classes:
                raise ValueError(
                    f"class_number must be the position of one of {n_classes} classes, from 0, but "
                    f"is {class_number!r}."
                )
            coefs = coefs[class_number]
        elif class_number is not None:
            raise ValueError("class_number is for three classes or more, but the path has two.")
        display = cls(
            alphas=1.0 / Cs,
            coefs=coefs,
            feature_names=feature_names,
            chosen=None if chosen is None else 1.0 / chosen,
            strength_name="1 / C",
        )
        return display.plot(ax, **kwargs)
