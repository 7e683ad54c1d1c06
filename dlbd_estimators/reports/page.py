"""The page of a report: HTML around what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

_STYLE = """
:root {color-scheme: light}
body {font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem;
      margin: 2rem auto; padding: 0 1rem}
h1 {font-size: 1.6rem; margin-bottom: 0} h2 {font-size: 1.15rem; margin-top: 2.2rem;
      border-bottom: 1px solid #ddd}
.when {color: #666; margin-top: 0}
table {border-collapse: collapse; margin: 0.6rem 0}
td, th {padding: 0.15rem 1.2rem 0.15rem 0; text-align: left; vertical-align: top}
th {font-weight: 600; border-bottom: 1px solid #ddd}
td.number, th.number {text-align: right; font-variant-numeric: tabular-nums}
.plots {display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem}
.plots svg {width: 100%; height: auto}
.scroll {overflow-x: auto}
"""


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
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="when">{escape(when)}</p>',
        diagram,
        *(_table(table) for table in tables),
    ]
    if plots:
        parts.append("<h2>Plots</h2>")
        parts.append(f'<div class="plots">{"".join(f"<div>{plot}</div>" for plot in plots)}</div>')
    parts += [_table(history), *(f"<p>{escape(note)}</p>" for note in notes)]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _table(table: Table) -> str:
    head = _row(table.columns, "th") if any(table.columns) else ""
    body = "".join(_row(row, "td") for row in table.rows)
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return (
        f'<h2>{escape(table.heading)}</h2><div class="scroll"><table>{head}{body}</table></div>'
        f"{note}"
    )


def _row(cells: Sequence[str], tag: str) -> str:
    first, *others = (escape(str(cell)) for cell in cells)
    numbers = "".join(f'<{tag} class="number">{cell}</{tag}>' for cell in others)
    return f"<tr><{tag}>{first}</{tag}>{numbers}</tr>"
