"""The HTML page of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined


class Table(NamedTuple):
    """Rows of text under a heading; columns after the first are numbers."""

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def page(
    title: str,
    when: str,
    diagram: str,
    tables: Sequence[Table],
    plots: Sequence[str],
    history: Table,
    notes: Sequence[str],
) -> str:
    """Return the HTML of the page.

    Parameters
    ----------
    title : str
        Title of the page.
    when : str
        Line below the title, with the date and the versions of packages.
    diagram : str
        HTML of the estimator.
    tables : sequence of Table
        Tables above the plots.
    plots : sequence of str
        SVG of each plot.
    history : Table
        Table of the steps of the fit, below the plots.
    notes : sequence of str
        Paragraphs at the end of the page.
    """
    templates = Environment(
        loader=PackageLoader("dlbd_estimators.reports", "."),
        autoescape=True,
        undefined=StrictUndefined,
    )
    return templates.get_template("page.html").render(
        title=title,
        when=when,
        diagram=diagram,
        tables=tables,
        plots=plots,
        history=history,
        notes=notes,
    )
