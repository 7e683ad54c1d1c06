"""The figures of the training page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bokeh.models import (
    ColumnDataSource,
    DataRange1d,
    HoverTool,
    NumeralTickFormatter,
    PrintfTickFormatter,
    Range1d,
)
from bokeh.plotting import figure

from dlbd_estimators.monitoring.colours import PHASE_COLOURS, colour_of
from dlbd_estimators.monitoring.fits import Fit
from dlbd_estimators.monitoring.phases import PHASES

_Y = (
    "loss",
    "same_loss",
    "same_positive_loss",
    "same_validation_loss",
    "same_positive_validation_loss",
    "excess",
    "validation_score",
    "gradient_norm",
    "error",
    "learning_rate",
    "throughput",
    "decode_rate",
    "cached",
    "n_workers",
)
#: Columns of a table with one row per fit; each curve is a list.
CURVES = ("name", "colour", "pass", *_Y)
#: Columns of a table with one row per step of each fit that has few steps.
POINTS = CURVES
#: Columns of a table with one row per step of one fit.
STEPS = ("iteration", *PHASES)

_HEIGHT = 240
#: Maximum number of points of a curve that a browser receives.
_MOST_POINTS = 400
#: A curve of at most this many steps has markers: a single step would not be visible as a line.
_MOST_MARKED = 40
_MOST_STEPS = 40
_GB = 1e9
#: Curves on a log scale, which cannot show zero.
LOG = (
    "same_positive_loss",
    "same_positive_validation_loss",
    "excess",
    "gradient_norm",
    "error",
)
#: Losses of the drawn fits that are of the same kind as the newest one, and so can be compared.
_SAME = {
    "same_loss": "loss",
    "same_positive_loss": "loss",
    "same_validation_loss": "validation_loss",
    "same_positive_validation_loss": "validation_loss",
}
#: Curves beside the loss, the most informative one first: title of the figure, title of its tab.
COURSES = {
    "error": ("Distance to the optimum", "error"),
    "validation_score": ("Validation score", "validation"),
    "gradient_norm": ("Gradient norm", "gradient"),
    "excess": ("Loss above its lowest", "above the lowest"),
    "learning_rate": ("Learning rate", "learning rate"),
}


def curves_of(fits: Sequence[Fit]) -> dict[str, list[Any]]:
    """Return the table :data:`CURVES` of some fits."""
    data: dict[str, list[Any]] = {name: [] for name in CURVES}
    for fit in fits:
        data["name"].append(fit.name)
        data["colour"].append(colour_of(fit))
        for name in ("pass", *_Y):
            data[name].append(_thinned(fit, name, fits[0].kind))
    return data


def points_of(fits: Sequence[Fit]) -> dict[str, list[Any]]:
    """Return the table :data:`POINTS` of the fits that have few steps."""
    data: dict[str, list[Any]] = {name: [] for name in POINTS}
    for fit in fits:
        n_points = len(fit.columns["pass"])
        if n_points <= _MOST_MARKED:
            data["name"] += [fit.name] * n_points
            data["colour"] += [colour_of(fit)] * n_points
            for name in ("pass", *_Y):
                data[name] += _thinned(fit, name, fits[0].kind)
    return data


def courses_of(fits: Sequence[Fit]) -> list[str]:
    """Return the names in :data:`COURSES` for which at least one fit has values."""
    return [
        name
        for name in COURSES
        if any(not math.isnan(number) for fit in fits for number in _thinned(fit, name, fit.kind))
    ]


def steps_of(fit: Fit) -> dict[str, list[Any]]:
    """Return the table :data:`STEPS` of the last steps of a fit."""
    return {name: fit.columns[name][-_MOST_STEPS:] for name in STEPS}


def curve(
    curves: ColumnDataSource,
    points: ColumnDataSource,
    name: str,
    title: str,
    *,
    log: bool = False,
    share: bool = False,
    dashed: str = "",
) -> Any:
    """Return a figure of one quantity against the number of passes; another one can be dashed."""
    fig = _figure(title, y_axis_type="log" if log else "linear")
    _draw(fig, curves, points, name)
    if dashed:
        fig.multi_line(
            "pass", dashed, source=curves, line_color="colour", line_width=2, line_dash="dashed"
        )
    if not log:  # enough digits to show small differences
        fig.yaxis.formatter = PrintfTickFormatter(format="%.8g")
    if share:
        fig.y_range = Range1d(-0.02, 1.02)
        fig.yaxis.formatter = NumeralTickFormatter(format="0%")
    fig.add_tools(
        HoverTool(tooltips=[("fit", "@name"), ("pass", "$x{0.00}"), (title.lower(), "$y")])
    )
    return fig


def throughput(curves: ColumnDataSource, points: ColumnDataSource) -> Any:
    """Return a figure of the reading rate, beside the rate if threads did nothing but read."""
    fig = _figure("GB/s read and decoded (dashed: if threads did nothing else)")
    drawn = _draw(fig, curves, points, "throughput")
    fig.multi_line(
        "pass", "decode_rate", source=curves, line_color="colour", line_dash="dashed", alpha=0.6
    )
    # The possible rate is often ten times the actual one, which would then look like a flat line.
    fig.y_range = DataRange1d(renderers=drawn, start=0)
    # Otherwise Bokeh writes the rates of small fits as "5.000e-3".
    fig.yaxis.formatter = PrintfTickFormatter(format="%.3g")
    return fig


def phases(steps: ColumnDataSource) -> Any:
    """Return a figure of the seconds that the last steps spent in each phase."""
    fig = _figure("Seconds by phase", x_axis_label="step")
    fig.vbar_stack(
        list(PHASES),
        x="iteration",
        width=0.85,
        color=list(PHASE_COLOURS.values()),
        source=steps,
        legend_label=list(PHASES),
    )
    fig.y_range.start = 0
    fig.add_layout(fig.legend[0], "right")
    fig.legend.border_line_alpha = 0.0
    fig.legend.label_text_font_size = "8pt"
    fig.add_tools(HoverTool(tooltips=[("$name", "@$name{0.000} s"), ("step", "@iteration")]))
    return fig


def _figure(title: str, *, x_axis_label: str = "pass", **options: Any) -> Any:
    fig = figure(
        title=title,
        height=_HEIGHT,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset,save",
        toolbar_location="right",
        x_axis_label=x_axis_label,
        **options,
    )
    fig.toolbar.autohide = True
    fig.title.text_font_size = "10pt"
    fig.grid.grid_line_alpha = 0.5
    return fig


def _draw(fig: Any, curves: ColumnDataSource, points: ColumnDataSource, name: str) -> list[Any]:
    return [
        fig.multi_line("pass", name, source=curves, line_color="colour", line_width=2),
        fig.scatter("pass", name, source=points, color="colour", size=5),
    ]


def _thinned(fit: Fit, name: str, kind: str) -> list[float]:
    values = fit.columns["loss" if name == "excess" else _SAME.get(name, name)]
    if name in _SAME and fit.kind != kind:
        values = [None] * len(values)
    if name == "excess":
        lowest = min((number for number in values if number is not None), default=0.0)
        values = [None if number is None else number - lowest for number in values]
    step = -(-len(values) // _MOST_POINTS) if values else 1
    # Counted from the end, so that the newest point is always included.
    chosen = values[::-1][::step][::-1]
    scale = _GB if name in ("throughput", "decode_rate") else 1.0
    is_missing = (lambda value: value is None or value <= 0) if name in LOG else _is_none
    return [math.nan if is_missing(value) else value / scale for value in chosen]


def _is_none(value: Any) -> bool:
    return value is None
