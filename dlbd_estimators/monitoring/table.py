"""The list of fits on the training page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import HTMLTemplateFormatter, TableColumn

from dlbd_estimators.monitoring.colours import colour_of
from dlbd_estimators.monitoring.fits import Fit

_TITLES = {
    "fit": ("Fit", 175),
    "state": ("State", 85),
    "rows": ("Rows x features", 140),
    "step": ("Step", 100),
    "pass": ("Pass", 60),
    "loss": ("Loss", 110),
    "error": ("Error", 80),
    "score": ("Score", 70),
    "elapsed": ("Elapsed", 80),
    "left": ("Left", 80),
    "rate": ("GB/s", 55),
    "cached": ("Cached", 60),
    "workers": ("Workers", 65),
    "message": ("", 700),
}
ROWS = (*_TITLES, "colour")


def columns_of() -> list[Any]:
    """Return the columns of the table."""
    # `value` is escaped by the template.
    mark = HTMLTemplateFormatter(
        template='<span style="color:<%= colour %>">&#9632;</span> <%- value %>'
    )
    return [
        TableColumn(
            field=field,
            title=title,
            width=width,
            sortable=False,
            **({"formatter": mark} if field == "fit" else {}),
        )
        for field, (title, width) in _TITLES.items()
    ]


def rows_of(fits: Sequence[Fit]) -> dict[str, list[str]]:
    """Return the table's contents, as text."""
    rows: dict[str, list[str]] = {name: [] for name in ROWS}
    for fit in fits:
        for name, text in _row(fit).items():
            rows[name].append(text)
    return rows


def _row(fit: Fit) -> dict[str, str]:
    facts = fit.facts
    rate, cached = fit.last("throughput"), fit.last("cached")
    return {
        "fit": fit.name,
        "colour": colour_of(fit),
        "state": fit.state.replace("_", " "),
        "rows": f"{_count(facts.get('n_rows'))} x {_count(facts.get('n_features'))}",
        "step": f"{fit.n_steps:,} of {_count(facts.get('max_steps'))}",
        "pass": _number(fit.last("pass"), ".2f"),
        "loss": _number(fit.last("loss"), ".7g"),
        "error": _number(fit.last("error"), ".1e"),
        "score": _number(fit.last("validation_score"), ".4f"),
        "elapsed": duration(fit.seconds + fit.quiet),
        "left": _left(fit),
        "rate": "" if rate is None else f"{rate / 1e9:.2f}",
        "cached": "" if cached is None else f"{cached:.0%}",
        "workers": _number(fit.last("n_workers"), "d"),
        "message": fit.message,
    }


def _left(fit: Fit) -> str:
    seconds = fit.remaining.seconds
    if not fit.running or seconds is None:
        return ""
    return ("< " if fit.remaining.at_most else "") + duration(max(seconds - fit.quiet, 0.0))


def duration(seconds: float) -> str:
    """Return a duration as a person writes it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _count(value: Any) -> str:
    return "?" if value is None else f"{value:,}"


def _number(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)
