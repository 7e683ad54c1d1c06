"""The page ``/training`` on a scheduler's dashboard: how fits go, while they go."""

from __future__ import annotations

from functools import partial
from typing import Any

from bokeh.layouts import column, gridplot
from bokeh.models import AllIndices, ColumnDataSource, DataTable, TabPanel, Tabs
from distributed.dashboard.components import add_periodic_callback
from distributed.dashboard.components.scheduler import BOKEH_THEME, env
from distributed.dashboard.core import BokehApplication
from distributed.dashboard.scheduler import template_variables

from dlbd_estimators.monitoring import figures
from dlbd_estimators.monitoring.fits import Fit, FitLog
from dlbd_estimators.monitoring.table import ROWS, columns_of, rows_of

_PAGE = "training"
#: Milliseconds between two looks at the record.
_INTERVAL = 500
#: Fits whose curves are drawn where nobody has chosen.
_MOST_DRAWN = 5


def install(scheduler: Any, log: FitLog) -> None:
    """Add the page to a scheduler's dashboard, and to its menu.

    Parameters
    ----------
    scheduler : distributed.Scheduler
        Where a dashboard runs.
    log : FitLog
        What the page shows.

    Raises
    ------
    LookupError
        There is no dashboard.
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
    # All pages share the list that their menus are made of.
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
    """What one browser sees of the record.

    Parameters
    ----------
    log : FitLog
        The record.
    """

    def __init__(self, log: FitLog) -> None:
        self._log = log
        self._version = -1
        self._chosen: set[str] = set()
        self._newest = ""
        self._keys: list[str] = []
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
            height=190,
            name="fits",
        )
        curve = partial(figures.curve, self._curves, self._points)
        self._phases = figures.phases(self._steps)
        loss = Tabs(
            tabs=[
                TabPanel(child=curve("loss", "Loss"), title="linear"),
                TabPanel(child=curve("positive_loss", "Loss", log=True), title="log"),
            ],
            sizing_mode="stretch_width",
        )
        courses = Tabs(
            tabs=[
                TabPanel(child=curve("error", "Distance to the optimum", log=True), title="error"),
                TabPanel(child=curve("gradient_norm", "Gradient norm", log=True), title="gradient"),
                TabPanel(child=curve("validation_score", "Validation score"), title="validation"),
            ],
            sizing_mode="stretch_width",
        )
        self._courses = courses
        self.root = column(
            self._table,
            gridplot(
                [
                    [loss, courses],
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
        fits = list(self._log)
        moved, self._keys = self._keys, [key for key, _ in fits]
        self._rows.data = rows_of([fit for _, fit in fits])
        # Bokeh 3.9 draws a table's cells anew only when its view changes: other values in as many
        # rows are not enough.
        self._table.view.filter = AllIndices()
        if self._chosen and moved != self._keys:  # a new fit moves all others down
            self._rows.selected.indices = [
                index for index, key in enumerate(self._keys) if key in self._chosen
            ]
        if not changed:  # only time goes by
            return
        drawn = self._drawn(fits)
        self._curves.data = figures.curves_of(drawn)
        self._points.data = figures.points_of(drawn)
        with_steps = [fit for fit in drawn if fit.n_steps]
        if with_steps:
            newest = with_steps[0]
            self._steps.data = figures.steps_of(newest)
            self._phases.title.text = f"Seconds by phase, last steps of {newest.name}"
            if newest.name != self._newest:  # what it has; from there on it is the reader's choice
                self._newest = newest.name
                self._courses.active = _course_of(newest)

    def _drawn(self, fits: list[tuple[str, Fit]]) -> list[Fit]:
        chosen = [fit for key, fit in fits if key in self._chosen]
        return chosen or [fit for _, fit in fits[:_MOST_DRAWN]]

    def _choose(self, _attribute: str, _old: list[int], new: list[int]) -> None:
        self._chosen = {self._keys[index] for index in new if index < len(self._keys)}
        self._version = -1


def _course_of(fit: Fit) -> int:
    """Return the tab that says most about a fit: its error, else its score, else its gradient."""
    if fit.last("error") is not None:
        return 0
    return 1 if fit.last("validation_score") is None else 2
