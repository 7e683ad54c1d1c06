"""Plots of the flights example, readable at a width of 800 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from flights_network import Curve
from matplotlib.ticker import MaxNLocator, MultipleLocator
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score, roc_curve

mpl.use("Agg")  # files only: works where there is no display

import matplotlib.pyplot as plt

# Okabe and Ito's colours, which people with any colour vision can distinguish.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
STYLE = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 2,
}
#: Smaller differences of losses are rounding errors.
_ROUNDING = 1e-16
_N_COEFFICIENTS = 16
_N_BINS = 15


def loss_by_pass(
    path: Path, curves: Sequence[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]], best: float
) -> Path:
    """Plot the loss minus the smallest known loss, by pass, for each solver.

    Parameters
    ----------
    path : Path
        PNG file to write.
    curves : sequence of (label, passes, losses)
        One for each solver.
    best : float
        Smallest loss that any solver found.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
        for (label, passes, losses), colour, marker in zip(
            curves, (BLUE, GREEN, ORANGE), ("o", "s", "."), strict=True
        ):
            excess = np.maximum(losses - best, _ROUNDING)
            shown = passes > 0  # a logarithmic axis cannot show the start at pass 0
            axes.plot(
                passes[shown], excess[shown], marker=marker, markersize=7, color=colour, label=label
            )
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="passes over the training rows so far",
            ylabel="mean loss above the minimum",
            title="Late by more than 15 minutes: loss by pass",
        )
        ticks = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.axhline(_ROUNDING, color=GREY, linewidth=1, linestyle=":")
        axes.annotate(
            "rounding of float64",
            (0.01, _ROUNDING),
            xycoords=("axes fraction", "data"),
            xytext=(0, 4),
            textcoords="offset points",
            color=GREY,
            fontsize=10,
        )
        axes.legend(loc="center", bbox_to_anchor=(0.22, 0.3))
        figure.savefig(path)
        plt.close(figure)
    return path


def mlp_curve(path: Path, curve: Curve) -> Path:
    """Plot training loss and validation score of a network by epoch, with logistic regression.

    Parameters
    ----------
    path : Path
        PNG file to write.
    curve : Curve
        The values to draw.
    """
    epochs = np.arange(1, len(curve.losses) + 1)
    kept = epochs[curve.kept]
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
        left.plot(epochs, curve.losses, color=BLUE, marker=".", label="network and its penalty")
        left.plot(
            kept,
            curve.loss,
            color=BLUE,
            marker="o",
            markersize=8,
            linestyle="none",
            label=f"without penalty, kept: {curve.loss:.3f}",
        )
        left.axhline(
            curve.other_loss,
            color=ORANGE,
            linewidth=1.5,
            label=f"logistic regression: {curve.other_loss:.3f}",
        )
        left.set(ylabel="mean loss", title="Log-loss, training flights")
        left.legend(loc="upper right")
        right.plot(epochs, curve.scores, color=BLUE, marker=".", label="network")
        best = curve.scores[curve.kept]
        right.plot(
            kept,
            best,
            color=BLUE,
            marker="o",
            markersize=8,
            linestyle="none",
            label=f"kept: {best:.3f}",
        )
        right.axhline(
            curve.other_score,
            color=ORANGE,
            linewidth=1.5,
            label=f"logistic regression,\ntraining flights: {curve.other_score:.3f}",
        )
        right.set(ylabel="share of right answers", title="Accuracy, flights held out of training")
        right.yaxis.set_major_locator(MultipleLocator(0.005))
        right.legend(loc="lower right")
        for axes in (left, right):
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.savefig(path)
        plt.close(figure)
    return path


def probabilities(
    path: Path, late: npt.NDArray[np.bool_], probability: npt.NDArray[np.float64]
) -> Path:
    """Plot the ROC curve and the calibration of the late-flight model on the test rows.

    Parameters
    ----------
    path : Path
        PNG file to write.
    late : ndarray of bool
        Whether each flight was late.
    probability : ndarray of float
        The probability of being late that the model predicted.
    """
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.3), layout="constrained")
        false, true, _ = roc_curve(late, probability)
        area = roc_auc_score(late, probability)
        left.plot(false, true, color=BLUE, label=f"model, area {area:.3f}")
        left.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.5, label="chance, 0.5")
        left.set(
            xlabel="share of other flights called late",
            ylabel="share of late flights called late",
            title="ROC, test flights",
        )
        left.legend(loc="lower right")
        happened, said = calibration_curve(late, probability, n_bins=_N_BINS, strategy="quantile")
        right.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.5, label="perfect")
        right.plot(said, happened, color=BLUE, marker="o", label=f"model, {_N_BINS} groups")
        rate = late.mean()
        right.axhline(rate, color=ORANGE, linewidth=1.5, label=f"all flights, {rate:.2f}")
        top = 1.1 * max(happened.max(), said.max())
        right.set(
            xlim=(0, top),
            ylim=(0, top),
            xlabel="predicted probability of being late",
            ylabel="share that was late",
            title="Calibration, test flights",
        )
        right.legend(loc="upper left")
        figure.savefig(path)
        plt.close(figure)
    return path


def coefficients(
    path: Path,
    names: Sequence[str],
    coef: npt.NDArray[np.float64],
    std: npt.NDArray[np.float64],
    compared: str,
) -> Path:
    """Plot the largest coefficients, per standard deviation of the feature and per unit.

    Parameters
    ----------
    path : Path
        PNG file to write.
    names : sequence of str
        Names of the features.
    coef, std : ndarray of float
        Coefficient and standard deviation of each feature.
    compared : str
        Text that names the levels with which the 0/1 features are compared.
    """
    effects = coef * std
    largest = np.argsort(-np.abs(effects))[:_N_COEFFICIENTS][::-1]
    values = effects[largest]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 5.6), layout="constrained")
        colours = [ORANGE if value > 0 else BLUE for value in values]
        axes.barh([names[index] for index in largest], values, color=colours)
        axes.axvline(0, color="black", linewidth=1)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        for row, (value, unit) in enumerate(zip(values, coef[largest], strict=True)):
            axes.annotate(
                f"{value:+.2f} ({unit:+.2g})",
                (value, row),
                xytext=(4 if value > 0 else -4, 0),
                textcoords="offset points",
                va="center",
                ha="left" if value > 0 else "right",
                fontsize=10,
            )
        axes.margins(x=0.28)
        axes.set(
            xlabel=(f"change in log-odds for one standard deviation (for one unit)\n{compared}"),
            title="Late by more than 15 minutes: largest coefficients",
        )
        figure.savefig(path)
        plt.close(figure)
    return path
