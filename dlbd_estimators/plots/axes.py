"""Axes to draw on."""

from __future__ import annotations

from typing import Any

#: Okabe and Ito's colours, which people with any colour vision can distinguish.
BLUE, ORANGE, GREEN, PINK, AMBER, SKY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
)
GREY, PALE_GREY = "#666666", "#DDDDDD"


def pyplot() -> Any:
    """Return matplotlib's pyplot. Call this before a pass over the data, so that it fails early.

    Raises
    ------
    ImportError
        Matplotlib is missing.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError('Plots need matplotlib: pip install "dlbd-estimators[plots]".') from error
    return plt


def axes(ax: Any) -> Any:
    """Return the given axes, or new ones, in the style of all our plots.

    Raises
    ------
    ImportError
        Matplotlib is missing.
    """
    plt = pyplot()
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
        ax.set_prop_cycle(color=[BLUE, ORANGE, GREEN, PINK, AMBER, SKY, GREY])
    # Only these axes are changed: global settings belong to the user.
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return ax
