"""Plots of validation loss, in the style of the plots of the examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import workload  # noqa: F401 - adds the folder of the examples to sys.path
from mlp_curve import Curve
from plots import BLUE, GREY, ORANGE, STYLE, plt

# The rest of Okabe and Ito's colours that are dark enough for lines.
GREEN, PURPLE = "#009E73", "#CC79A7"
LINES = ((BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), (PURPLE, "D"), (GREY, "v"))
LOSS = "validation log-loss"


def by_epoch(path: Path, curves: Sequence[Curve], title: str) -> Path:
    """Plot the loss by epoch.

    Parameters
    ----------
    path : Path
        PNG file to write.
    curves : sequence of Curve
        The curves, at most five.
    title : str
        Title of the plot.
    """
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
        _draw(axes, curves, by_second=False)
        axes.set(title=title, ylabel=LOSS)
        axes.legend(fontsize=10)
        return _saved(figure, path)


def by_epoch_and_second(
    path: Path, panels: Sequence[tuple[str, Sequence[Curve]]], goals: Mapping[str, float]
) -> Path:
    """Plot the loss by epoch on the left, and by seconds on the right.

    Parameters
    ----------
    path : Path
        PNG file to write.
    panels : sequence of (title, curves)
        Panels, drawn one below the other.
    goals : mapping of float
        Losses to mark with a line, by the title of their panel.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(
            len(panels),
            2,
            figsize=(8, 0.6 + 3.5 * len(panels)),
            layout="constrained",
            sharey="row",
            squeeze=False,
        )
        for row, (title, curves) in zip(grid, panels, strict=True):
            for axes, by_second in zip(row, (False, True), strict=True):
                _draw(axes, curves, by_second=by_second)
                if title in goals:
                    axes.axhline(goals[title], color="black", linewidth=1, linestyle=":")
            row[0].set(title=title, ylabel=LOSS)
        # Below the panels, so that the legend covers no curve.
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=10)
        return _saved(figure, path)


def _draw(axes: Any, curves: Sequence[Curve], *, by_second: bool) -> None:
    for curve, (colour, marker) in zip(curves, LINES, strict=False):
        epochs = range(1, len(curve.losses) + 1)
        axes.plot(
            curve.seconds if by_second else epochs,
            curve.losses,
            color=colour,
            marker=marker,
            markersize=5,
            label=curve.label,
        )
    axes.set(yscale="log", xlabel="seconds of training" if by_second else "epochs")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    if not by_second:
        axes.xaxis.get_major_locator().set_params(integer=True)


def _saved(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    plt.close(figure)
    return path
