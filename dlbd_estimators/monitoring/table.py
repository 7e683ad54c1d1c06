"""The list of fits on the training page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bokeh.models import HTMLTemplateFormatter, TableColumn

from dlbd_estimators.monitoring.colours import colour_of
from dlbd_estimators.monitoring.fits import Fit
from dlbd_estimators.monitoring.listing import Entry

_TITLES = {
    "fit": ("Fit", 175),
    "part": ("Part of", 270),
    "state": ("State", 85),
    "rows": ("Rows x features", 125),
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
    # The template escapes `value`. A tooltip shows text that is too long for its cell.
    formatters = {
        "fit": HTMLTemplateFormatter(
            template='<span style="color:<%= colour %>">&#9632;</span> <%- value %>'
        ),
        "part": HTMLTemplateFormatter(template='<span title="<%- value %>"><%- value %></span>'),
    }
    return [
        TableColumn(
            field=field,
            title=title,
            width=width,
            sortable=False,
            **({"formatter": formatters[field]} if field in formatters else {}),
        )
        for field, (title, width) in _TITLES.items()
    ]


def rows_of(entries: Sequence[Entry]) -> dict[str, list[str]]:
    """Return the table's contents, as text."""
    rows: dict[str, list[str]] = {name: [] for name in ROWS}
    for entry in entries:
        for name, text in _row(entry).items():
            rows[name].append(text)
    return rows


def _row(entry: Entry) -> dict[str, str]:
    fit = entry.newest
    facts = fit.facts
    if len(entry.fits) > 1:
        steps = f"{sum(member.n_steps for member in entry.fits):,} in all"
        passes = sum(member.last("pass") or 0.0 for member in entry.fits)
    else:
        steps = f"{fit.n_steps:,} of {_count(facts.get('max_steps'))}"
        passes = fit.last("pass")
    rate, cached = fit.last("throughput"), fit.last("cached")
    return {
        "fit": entry.name,
        "part": entry.part,
        "colour": colour_of(fit),
        "state": entry.state,
        "rows": f"{_count(facts.get('n_rows'))} x {_count(facts.get('n_features'))}",
        "step": steps,
        "pass": _number(passes, ".2f"),
        "loss": _number(fit.last("loss"), ".7g"),
        "error": _number(fit.last("error"), ".1e"),
        "score": _number(fit.last("validation_score"), ".4f"),
        "elapsed": duration(entry.seconds),
        "left": _left(fit),
        "rate": "" if rate is None else f"{rate / 1e9:.2f}",
        "cached": "" if cached is None else f"{cached:.0%}",
        "workers": _number(fit.last("n_workers"), "d"),
        "message": entry.message,
    }


def _left(fit: Fit) -> str:
    seconds = fit.remaining.seconds
    if not fit.running or seconds is None:
        return ""
    return ("< " if fit.remaining.at_most else "") + duration(max(seconds - fit.idle_seconds, 0.0))


def duration(seconds: float) -> str:
    """Return a duration as text, in seconds, minutes or hours."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _count(value: Any) -> str:
    return "?" if value is None else f"{value:,}"


def _number(value: Any, form: str) -> str:
    return "" if value is None else format(value, form)
