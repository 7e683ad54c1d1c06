"""Axes to draw on."""

from __future__ import annotations

from typing import Any

#: Okabe and Ito's colours, which people with any colour vision can tell apart.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#666666"


def axes(ax: Any) -> Any:
    """Return the axes that were given, or new ones, with what all our plots have in common.

    Raises
    ------
    ImportError
        Matplotlib is missing.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ImportError('Plots need matplotlib: pip install "dlbd-estimators[plots]".') from error
    if ax is None:
        _, ax = plt.subplots(layout="constrained")
    # On these axes alone: the user's settings are the user's.
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)
    return ax
