"""Progress bars of fits in a terminal or a notebook."""

from __future__ import annotations

import threading
from datetime import timedelta

from dlbd_estimators.monitoring.events import Event
from dlbd_estimators.monitoring.lines import measures
from dlbd_estimators.monitoring.remaining import Remaining

try:
    from rich import get_console, progress, progress_bar
    from rich.console import Console
    from rich.table import Column
    from rich.text import Text
except ImportError as error:
    raise ImportError(
        "ProgressBar draws with the package rich, which is not installed: "
        'pip install "dlbd-estimators[progress]"'
    ) from error

#: Maximum number of bars on the screen; then the oldest bar whose fit has ended is removed.
_MOST_BARS = 16
_MEASURES = ("loss", "error", "validation_score")
_FAILED = "red"


class ProgressBar:
    """A listener that draws a bar for every fit: steps, loss, error, time passed and left.

    The time left is estimated from the last steps, and determines the length of the bar. A ``<``
    before the time shows that it is only an upper bound, from ``max_iter``. Fits in several threads
    have one bar each. If the output is neither a terminal nor a notebook, nothing is drawn.

    Parameters
    ----------
    console : rich.console.Console, default=None
        Where to draw; None means rich's own console, which is standard output. In a notebook rich
        needs the package ipywidgets.

    Raises
    ------
    ImportError
        rich is not installed. It is raised when this class is imported.

    See Also
    --------
    sklearn.callback.ProgressBar : Shows fits of any estimators, in a pipeline for example.

    Examples
    --------
    >>> from dlbd_estimators.monitoring import ProgressBar, listening
    >>> with listening(ProgressBar()):  # doctest: +SKIP
    ...     model.fit(X, y)
    LogisticRegression ━━━━━━━━━━━━━ 4/100 loss 0.345678  error 2.1e-04 0:00:12 converged
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or get_console()
        self._lock = threading.Lock()
        self._progress: progress.Progress | None = None
        self._running: dict[str, _Fit] = {}

    def __call__(self, event: Event) -> None:
        with self._lock:
            if event["event"] == "fit_started":
                self._begin(event)
            elif event["fit"] in self._running:
                self._update(self._running[event["fit"]], event)

    def __repr__(self) -> str:
        return f"ProgressBar({self._console!r})"

    def _begin(self, event: Event) -> None:
        if not (self._console.is_terminal or self._console.is_jupyter):
            return
        if self._progress is None:
            self._progress = _new_display(self._console)
            self._progress.start()
        over = [task.id for task in self._progress.tasks if task.stop_time is not None]
        for bar in over[: max(len(self._progress.tasks) + 1 - _MOST_BARS, 0)]:
            self._progress.remove_task(bar)
        fit = self._running[event["fit"]] = _Fit(self._progress, event)
        fit.add(event)

    def _update(self, fit: _Fit, event: Event) -> None:
        fit.add(event)
        if event["event"] == "fit_ended":
            del self._running[event["fit"]]
            if not self._running and self._progress is not None:
                # The last state of the bars stays on the screen; the next fit is drawn below.
                self._progress.stop()
                self._progress = None


class _Fit:
    """The bar of one fit."""

    def __init__(self, display: progress.Progress, started: Event) -> None:
        self._display = display
        self._max_steps = started["max_steps"]
        self._n_steps = 0
        self._remaining = Remaining()
        self._bar = display.add_task(
            started["estimator"],
            total=None,
            steps=f"0/{self._max_steps}",
            measures="",
            left="",
            failed=False,
        )

    def add(self, event: Event) -> None:
        """Update the bar with the next event of the fit."""
        self._remaining.add(event)
        if event["event"] == "step":
            self._n_steps += 1
            self._display.update(
                self._bar,
                completed=self._n_steps,
                total=self._n_steps + (self._remaining.steps or 0.0),
                steps=f"{self._n_steps}/{self._max_steps}",
                measures="  ".join(measures(event, _MEASURES)),
                left=_left(self._remaining),
            )
        elif event["event"] == "fit_ended":
            failed = event["status"] == "failed"
            self._display.update(
                self._bar,
                # The bar of a failed fit shows how many of `max_steps` it made; others are full.
                total=self._max_steps if failed else self._n_steps,
                left=event["status"].replace("_", " "),
                failed=failed,
            )
            self._display.stop_task(self._bar)


def _left(remaining: Remaining) -> str:
    if remaining.seconds is None:
        return ""
    duration = timedelta(seconds=round(remaining.seconds))
    return f"{'< ' if remaining.at_most else ''}{duration}"


class _Bar(progress.BarColumn):
    """A bar that is red if the fit has failed."""

    def render(self, task: progress.Task) -> progress_bar.ProgressBar:
        bar = super().render(task)
        if task.fields["failed"]:
            bar.complete_style = bar.finished_style = _FAILED
        return bar


class _Left(progress.ProgressColumn):
    """Time left, or the status of a fit that has ended."""

    def render(self, task: progress.Task) -> Text:
        style = _FAILED if task.fields["failed"] else "progress.remaining"
        return Text(task.fields["left"], style=style, justify="right")


def _new_display(console: Console) -> progress.Progress:
    def text(template: str, style: str = "none") -> progress.TextColumn:
        return progress.TextColumn(template, style=style, markup=False)

    return progress.Progress(
        text("{task.description}", "progress.description"),
        _Bar(bar_width=None, finished_style="green", table_column=Column(ratio=1)),
        text("{task.fields[steps]}", "progress.download"),
        text("{task.fields[measures]}"),
        progress.TimeElapsedColumn(),
        _Left(table_column=Column(no_wrap=True)),
        console=console,
        expand=True,
    )
