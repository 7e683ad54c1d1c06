"""The page of a report: HTML around what it tells."""

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
    """Return the page.

    Parameters
    ----------
    title, when : str
        Text.
    diagram : str
        HTML of the estimator.
    tables : sequence of Table
        Text.
    plots : sequence of str
        SVG.
    history : Table
        Text.
    notes : sequence of str
        Text, each a paragraph at the end.
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
