"""The page ``/training`` on a scheduler's dashboard, which shows fits while they run."""

from __future__ import annotations

from functools import partial
from typing import Any

from bokeh.layouts import column, gridplot
from bokeh.models import ColumnDataSource, DataTable, TabPanel, Tabs
from distributed.dashboard.components import add_periodic_callback
from distributed.dashboard.components.scheduler import BOKEH_THEME, env
from distributed.dashboard.core import BokehApplication
from distributed.dashboard.scheduler import template_variables

from dlbd_estimators.monitoring import figures
from dlbd_estimators.monitoring.fits import Fit, FitLog
from dlbd_estimators.monitoring.listing import Entry, entries_of
from dlbd_estimators.monitoring.table import ROWS, columns_of, rows_of

_PAGE = "training"
#: Milliseconds between two updates of the page.
_INTERVAL = 500
#: Number of fits whose curves are drawn if the user has not chosen any.
_MOST_DRAWN = 5
#: Minimum and maximum number of visible lines of the list; the user scrolls to more lines.
_LINES = (6, 16)
#: Height of a line, in pixels.
_LINE = 25


def install(scheduler: Any, log: FitLog) -> None:
    """Add the page to a scheduler's dashboard, and to its menu.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        Scheduler with a dashboard.
    log : FitLog
        Record of fits that the page shows.

    Raises
    ------
    LookupError
        The scheduler has no dashboard.
    """
    dashboards = [app for app in scheduler.http_application.applications if hasattr(app, "prefix")]
    if not dashboards:
        raise LookupError("The scheduler has no dashboard.")
    variables = template_variables(scheduler)
    application = BokehApplication(
        {f"/{_PAGE}": partial(_document, log)},
        scheduler,
        prefix=dashboards[0].prefix,
        template_variables=variables,
    )
    scheduler.http_application.add_application(application)
    application.initialize(scheduler.loop)
    application.start()
    # All pages make their menus from this list, which they share.
    if _PAGE not in variables["pages"]:
        variables["pages"].append(_PAGE)


def _document(log: FitLog, _scheduler: Any, extra: dict[str, Any], doc: Any) -> None:
    view = TrainingView(log)
    view.update()
    add_periodic_callback(doc, view, _INTERVAL)
    doc.title = "Dask: Training"
    doc.add_root(view.root)
    doc.template = env.get_template("simple.html")
    doc.template_variables.update(extra)
    doc.theme = BOKEH_THEME


class TrainingView:
    """The page in one browser.

    Parameters
    ----------
    log : FitLog
        Record of fits that the page shows.
    """

    def __init__(self, log: FitLog) -> None:
        self._log = log
        self._version = -1
        self._chosen: set[str] = set()
        self._newest = ""
        self._n_drawn = 0
        self._keys: list[tuple[str, ...]] = []
        self._rows = ColumnDataSource({name: [] for name in ROWS})
        self._curves = ColumnDataSource({name: [] for name in figures.CURVES}, name="curves")
        self._points = ColumnDataSource({name: [] for name in figures.POINTS})
        self._steps = ColumnDataSource({name: [] for name in figures.STEPS})
        self._rows.selected.on_change("indices", self._choose)
        self._table = DataTable(
            source=self._rows,
            columns=columns_of(),
            index_position=None,
            autosize_mode="none",
            sizing_mode="stretch_width",
            height=_height(0),
            name="fits",
        )
        self._parts = next(header for header in self._table.columns if header.field == "part")
        curve = partial(figures.curve, self._curves, self._points)
        self._phases = figures.phases(self._steps)
        loss = Tabs(
            tabs=[
                TabPanel(
                    child=curve("same_loss", "Loss", dashed="same_validation_loss"), title="linear"
                ),
                TabPanel(
                    child=curve(
                        "same_positive_loss",
                        "Loss",
                        log=True,
                        dashed="same_positive_validation_loss",
                    ),
                    title="log",
                ),
            ],
            sizing_mode="stretch_width",
        )
        self._losses = [panel.child for panel in loss.tabs]
        self._panels = {
            name: TabPanel(child=curve(name, title, log=name in figures.LOG), title=short)
            for name, (title, short) in figures.COURSES.items()
        }
        self._courses = Tabs(
            tabs=list(self._panels.values()), sizing_mode="stretch_width", name="courses"
        )
        self.root = column(
            self._table,
            gridplot(
                [
                    [loss, self._courses],
                    [figures.throughput(self._curves, self._points), self._phases],
                    [
                        curve("cached", "Blocks found in the cache", share=True),
                        curve("n_workers", "Workers"),
                    ],
                ],
                sizing_mode="stretch_width",
                toolbar_location=None,
            ),
            sizing_mode="stretch_width",
        )

    def update(self) -> None:
        """Draw what has changed since the last time."""
        changed = self._log.version != self._version
        if not changed and not any(fit.running for _, fit in self._log):
            return
        self._version = self._log.version
        entries = entries_of(self._log)
        old_keys, self._keys = self._keys, [entry.keys for entry in entries]
        self._rows.data = rows_of(entries)
        self._table.height = _height(len(entries))
        # If no fit is part of a search, the column is empty, and the others need its place.
        self._parts.visible = any(entry.part for entry in entries)
        # Bokeh 3.9 redraws the cells of a table only when its view changes; new values in the same
        # number of rows are not enough. So the view gets a new tag. A new filter would be slower:
        # it is a model, and for a new model Bokeh walks through all models of the page, which takes
        # the scheduler longer than the rest of this method.
        self._n_drawn += 1
        self._table.view.tags = [self._n_drawn]
        if self._chosen and old_keys != self._keys:  # a new fit moves all others down
            self._rows.selected.indices = [
                index for index, keys in enumerate(self._keys) if self._chosen.intersection(keys)
            ]
        if not changed:  # only the elapsed times have changed
            return
        drawn = self._drawn(entries)
        self._name_losses(drawn)
        self._curves.data = figures.curves_of(drawn)
        self._points.data = figures.points_of(drawn)
        with_steps = [fit for fit in drawn if fit.n_steps]
        if with_steps:
            newest = with_steps[0]
            self._steps.data = figures.steps_of(newest)
            self._phases.title.text = f"Seconds by phase, last steps of {newest.name}"
            self._show_courses(drawn, newest)

    def _name_losses(self, drawn: list[Fit]) -> None:
        """Name the kind of fits whose losses are drawn, if these are not all fits."""
        kinds = dict.fromkeys(fit.kind for fit in drawn)
        title = f"Loss of {drawn[0].kind} only" if len(kinds) > 1 else "Loss"
        # Half of a page of 1,400 pixels has room for about sixty characters.
        if any(value is not None for fit in drawn for value in fit.columns["validation_loss"]):
            title += " (dashed: validation rows)"
        elif len(kinds) > 1:
            title += ": other fits have another kind of loss"
        for fig in self._losses:
            fig.title.text = title

    def _show_courses(self, drawn: list[Fit], newest: Fit) -> None:
        """Open the most informative tab of a new fit, and leave a tab without values."""
        # All panels stay: Bokeh 3.9 draws no lines in a panel that is added later, and does not
        # redraw a tab that is disabled later. So an empty panel has a title that explains it.
        shown = figures.courses_of(drawn)
        for name, panel in self._panels.items():
            title = figures.COURSES[name][0]
            empty = "" if name in shown else ": none of these fits has one"
            panel.child.title.text = title + empty
        # Not the learning rate: it shows little, and it is the only curve of a network after one
        # epoch, when better curves are still to come.
        own = [name for name in figures.courses_of([newest]) if name != "learning_rate"]
        names = list(self._panels)
        if own and newest.name != self._newest:  # once per fit: later, the user chooses
            self._newest = newest.name
            self._courses.active = names.index(own[0])
        elif shown and names[self._courses.active] not in shown:
            self._courses.active = names.index(shown[0])

    def _drawn(self, entries: list[Entry]) -> list[Fit]:
        chosen = [
            fit
            for entry in entries
            for key, fit in zip(entry.keys, entry.fits, strict=True)
            if key in self._chosen
        ]
        return chosen or [entry.newest for entry in entries[:_MOST_DRAWN]]

    def _choose(self, _attribute: str, _old: list[int], new: list[int]) -> None:
        self._chosen = {
            key for index in new if index < len(self._keys) for key in self._keys[index]
        }
        self._version = -1


def _height(n_lines: int) -> int:
    fewest, most = _LINES
    # One line is the header, and the horizontal scroll bar needs some pixels.
    return _LINE * (min(max(n_lines, fewest), most) + 1) + 15
