"""Plot the scores of a search by cross-validation against the strength of the penalty."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from dlbd_estimators.plots.axes import GREY, PALE_GREY, axes
from dlbd_estimators.plots.last_step import last_step


class SearchScoresDisplay:
    """Scores of held-out rows by the strength of the penalty: their mean and spread over folds.

    Parameters
    ----------
    strengths : ndarray of shape (n_strengths,)
        Values of the strength that were tried, in any order.
    scores : ndarray of shape (n_strengths, n_folds)
        Scores of held-out rows, larger is better; or errors, smaller is better.
    chosen : float, optional
        The value that the search chose.
    strength_name : str, default="alpha"
        Name of the strength, for the label of the axis.
    score_name : str, default="Score"
        Name of the scores, for the label of the axis.
    name : str, optional
        Name of the curve in the legend.

    Attributes
    ----------
    ax_ : matplotlib.axes.Axes
        The axes of the plot.
    figure_ : matplotlib.figure.Figure
        The figure of these axes.
    line_ : matplotlib.lines.Line2D
        The mean over folds.
    spread_ : matplotlib.collections.FillBetweenPolyCollection
        One standard deviation over folds to either side.
    chosen_line_ : matplotlib.lines.Line2D or None
        Line at the chosen value: vertical, or horizontal if the value is infinite. None if
        ``chosen`` is None.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import LogisticRegressionCV
    >>> from dlbd_estimators.plots import SearchScoresDisplay
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> search = LogisticRegressionCV(scoring="neg_log_loss", use_legacy_attributes=False)
    >>> display = SearchScoresDisplay.from_estimator(search.fit(X, X[:, 0] > 0.5))
    >>> display.ax_.get_xlabel()
    'C'
    """

    def __init__(
        self,
        *,
        strengths: NDArray[Any],
        scores: NDArray[Any],
        chosen: float | None = None,
        strength_name: str = "alpha",
        score_name: str = "Score",
        name: str | None = None,
    ) -> None:
        self.strengths = strengths
        self.scores = scores
        self.chosen = chosen
        self.strength_name = strength_name
        self.score_name = score_name
        self.name = name

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the curve. Several curves can be drawn on the same axes.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        name : str, optional
            Name of the curve in the legend.
        **kwargs
            Parameters of :meth:`matplotlib.axes.Axes.plot` for the curve of means.

        Returns
        -------
        SearchScoresDisplay
            The display itself, with ``ax_``, ``figure_``, ``line_``, ``spread_`` and
            ``chosen_line_``.
        """
        ax = axes(ax)
        name = self.name if name is None else name
        order = np.argsort(self.strengths)
        strengths, scores = self.strengths[order], self.scores[order]
        mean, spread = scores.mean(axis=1), scores.std(axis=1)
        style = {"label": name, "marker": "o", "markersize": 4, **kwargs}
        finite = np.isfinite(strengths)
        (self.line_,) = ax.plot(strengths[finite], mean[finite], **style)
        colour = self.line_.get_color()
        low, high = (mean - spread)[finite], (mean + spread)[finite]
        self.spread_ = ax.fill_between(
            strengths[finite], low, high, color=colour, alpha=0.2, linewidth=0
        )
        self.chosen_line_ = None
        if not finite.all():  # an infinite value (no penalty) has no place on the axis
            line = ax.axhline(mean[-1], color=colour, linestyle=":", linewidth=1)
            is_chosen = self.chosen == np.inf
            text = f"{self.strength_name} = inf" + (", chosen" if is_chosen else "")
            place = {"xycoords": ("axes fraction", "data"), "xytext": (4, 3)}
            ax.annotate(text, (0.0, mean[-1]), textcoords="offset points", color=colour, **place)
            self.chosen_line_ = line if is_chosen else None
        if self.chosen is not None and np.isfinite(self.chosen):
            self.chosen_line_ = ax.axvline(self.chosen, color=GREY, linestyle="--", linewidth=1)
            ax.annotate(
                f"chosen: {self.chosen:.3g}",
                (self.chosen, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(4, -2),
                textcoords="offset points",
                va="top",
                color=GREY,
            )
        if np.all(strengths > 0) and finite.any():  # strengths usually differ by constant factors
            ax.set_xscale("log")
        ax.set(xlabel=self.strength_name, ylabel=self.score_name)
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
        l1_ratio: float | None = None,
        name: str | None = None,
        ax: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the scores of a search.

        Parameters
        ----------
        estimator : estimator or Pipeline
            A fitted ``LogisticRegressionCV``, ``LassoCV`` or ``ElasticNetCV`` of this package or
            scikit-learn, or a pipeline that ends in one.
        l1_ratio : float, optional
            The ``l1_ratio`` to draw, if several were tried; None means the one that was chosen.
        name : str, optional
            Name of the curve in the legend.
        ax : matplotlib.axes.Axes, optional
            Axes to draw on; None makes new ones.
        **kwargs
            Parameters of :meth:`plot`.

        Returns
        -------
        SearchScoresDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            The estimator was not fitted.
        TypeError
            The estimator keeps no scores by penalty.
        ValueError
            This ``l1_ratio`` was not tried.
        """
        search = last_step(estimator)
        if hasattr(search, "mse_path_"):
            display = cls._of_errors(search, l1_ratio)
        elif hasattr(search, "scores_") and hasattr(search, "Cs_"):
            display = cls._of_scores(search, l1_ratio)
        else:
            raise TypeError(
                f"{type(search).__name__} keeps no scores by penalty. LogisticRegressionCV, "
                f"LassoCV and ElasticNetCV do."
            )
        display.name = name
        return display.plot(ax, **kwargs)

    @classmethod
    def _of_errors(cls, search: Any, l1_ratio: float | None) -> Self:
        ratios = np.atleast_1d(getattr(search, "l1_ratio", 1.0))
        # Alphas that the user gave are the same for each l1_ratio. scikit-learn removes axes of
        # length 1 from the errors.
        alphas = np.atleast_1d(search.alphas_)
        errors = np.reshape(search.mse_path_, (len(ratios), alphas.shape[-1], -1))
        alphas = np.broadcast_to(alphas, errors.shape[:2])
        selected = _number(ratios, getattr(search, "l1_ratio_", ratios[0]), l1_ratio)
        chosen = float(search.alpha_) if selected[1] else None
        return cls(
            strengths=alphas[selected[0]],
            scores=errors[selected[0]],
            chosen=chosen,
            strength_name="alpha",
            score_name="Mean squared error of held-out rows",
        )

    @classmethod
    def _of_scores(cls, search: Any, l1_ratio: float | None) -> Self:
        scores = search.scores_
        if isinstance(scores, dict):  # the same scores for each class; for two classes, one entry
            scores = next(iter(scores.values()))
            scores = scores[:, :, None] if scores.ndim == 2 else scores
            scores = np.moveaxis(scores, 2, 1)
        ratios = np.array([0.0 if r is None else r for r in np.atleast_1d(search.l1_ratios_)])
        chosen_ratio = np.atleast_1d(search.l1_ratio_)[0]
        selected = _number(ratios, 0.0 if chosen_ratio is None else chosen_ratio, l1_ratio)
        chosen = float(np.atleast_1d(search.C_)[0]) if selected[1] else None
        return cls(
            strengths=np.asarray(search.Cs_, dtype=np.float64),
            scores=scores[:, selected[0]].T,
            chosen=chosen,
            strength_name="C",
            score_name=f"{_name_of_score(search)} of held-out rows",
        )


def _number(ratios: NDArray[Any], chosen: Any, asked: float | None) -> tuple[int, bool]:
    """Return the index of the l1_ratio to draw, and whether the search chose it."""
    tried = [float(ratio) for ratio in ratios]
    wanted = float(chosen) if asked is None else float(asked)
    if wanted not in tried:
        raise ValueError(f"l1_ratio={wanted} was not tried. These were: {tried}.")
    return tried.index(wanted), wanted == float(chosen)


def _name_of_score(search: Any) -> str:
    scoring = search.scoring
    if not isinstance(scoring, str) or scoring == "warn":
        return "Accuracy" if scoring in (None, "warn") else "Score"
    if scoring == "neg_log_loss":
        return "Mean log-likelihood"
    return scoring.replace("_", " ").capitalize()
