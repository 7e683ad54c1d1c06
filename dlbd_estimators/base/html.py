"""HTML of an estimator for notebooks: scikit-learn's diagram, and a summary of the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

_WIDTH, _HEIGHT, _MARGIN = 160.0, 44.0, 4.0


class SummaryHTML:
    """Adds a summary of the fit to an estimator's HTML."""

    def _html_repr(self) -> str:
        # The hook that scikit-learn's ReprHTMLMixin documents.
        diagram: str = super()._html_repr()  # type: ignore[misc] # BaseEstimator is next in the MRO
        try:
            return diagram + summary(self)
        except Exception:  # noqa: BLE001 - a notebook must be able to show any estimator
            return diagram

    def _fit_facts(self) -> list[tuple[str, str]]:
        """Return the facts of the fit that a report shows, as pairs of title and text."""
        return facts(self)


def summary(estimator: Any) -> str:
    """Return the summary of a fit as HTML; an empty text for an estimator without history."""
    if not getattr(estimator, "history_", None):
        return ""
    # Imported here, because only notebooks need it: a fit must not spend time or memory on it.
    from jinja2 import Environment, PackageLoader

    curve = sparkline([entry.get("loss") for entry in estimator.history_])
    templates = Environment(loader=PackageLoader("dlbd_estimators.base", "."), autoescape=True)
    return templates.get_template("summary.html").render(facts=facts(estimator), curve=curve)


def facts(estimator: Any) -> list[tuple[str, str]]:
    """Return the main facts of a fit, as pairs of title and text."""
    last: Mapping[str, Any] = estimator.history_[-1]
    entries = (
        ("solver", getattr(estimator, "solver_", getattr(estimator, "solver", None)), "{}"),
        ("steps", len(estimator.history_), "{:,}"),
        ("passes over the data", getattr(estimator, "n_passes_", None), "{:.2f}"),
        ("seconds", last.get("seconds"), "{:.2f}"),
        ("read and decoded", _megabytes(last.get("bytes_read")), "{:,.1f} MB"),
        ("loss", last.get("loss"), "{:.8g}"),
        ("distance to the optimum", last.get("error"), "{:.1e}"),
        ("largest entry of the gradient", last.get("gradient_norm"), "{:.1e}"),
        ("validation loss", last.get("validation_loss"), "{:.8g}"),
        ("validation score", last.get("validation_score"), "{:.4f}"),
    )
    return [
        (title, form.format(value))
        for title, value, form in entries
        if value is not None and (isinstance(value, str) or isfinite(value))
    ]


def sparkline(values: Sequence[float | None]) -> str:
    """Return a small curve as SVG; an empty text for fewer than two finite numbers."""
    points = [
        (number, float(value))
        for number, value in enumerate(values)
        if value is not None and isfinite(value)
    ]
    if len(points) < 2:
        return ""
    low, high = min(y for _, y in points), max(y for _, y in points)
    first, last = points[0][0], points[-1][0]
    path = " ".join(
        f"{_MARGIN + (x - first) / (last - first) * _WIDTH:.1f},"
        f"{_MARGIN + (high - y) / ((high - low) or 1.0) * _HEIGHT:.1f}"
        for x, y in points
    )
    width, height = _WIDTH + 2 * _MARGIN, _HEIGHT + 2 * _MARGIN
    # currentColor is readable on dark pages, too.
    return (
        f'<svg width="{width:.0f}" height="{height:.0f}" role="img">'
        f"<title>loss by step, from {points[0][1]:.4g} to {points[-1][1]:.4g}</title>"
        f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-width="1.5"/></svg>'
    )


def _megabytes(nbytes: Any) -> float | None:
    return None if nbytes is None else nbytes / 1e6
