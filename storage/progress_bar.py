"""A progress bar on standard error, for the commands of ``dlbd``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click

from storage.progress import Progress, listening

__all__ = ["progress_bar"]


@contextmanager
def progress_bar(*, hidden: bool = False) -> Iterator[Callable[[str, int, int], None] | None]:
    """Show the progress of all operations in a ``with`` block, one line for each stage.

    Nothing is shown if standard error is not a terminal.

    Parameters
    ----------
    hidden : bool, default=False
        Whether to show nothing in a terminal either.

    Yields
    ------
    callable or None
        ``show(stage, done, total)`` shows the progress of other work; None if nothing is shown.
    """
    if hidden or not sys.stderr.isatty():
        yield None
        return
    line = _Line()
    try:
        with listening(line):
            yield lambda stage, done, total: line(Progress(stage, done, total))
    finally:
        line.end()


class _Line:
    """The line of the current stage: its name, a bar, done/total, percent and time left."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._stage = ""
        self._done_before = 0
        self._started = 0.0

    def __call__(self, now: Progress) -> None:
        if self._bar is None or now.stage != self._stage:
            self._begin(now)
        self._bar.update(now.done - self._bar.pos, self._time(now))
        self._bar.render_progress()  # an update by no tasks does not
        if now.done == now.total:
            self.end()

    def end(self) -> None:
        """End the line, so that other output begins on a new one."""
        if self._bar is not None:
            self._bar.render_finish()
            self._bar = None

    def _begin(self, now: Progress) -> None:
        self.end()
        self._stage, self._done_before, self._started = now.stage, now.done, time.monotonic()
        # Click's own estimate takes the tasks that a killed ingest has done for very quick ones.
        self._bar = click.progressbar(
            length=now.total,
            label=f"{now.stage:<8}",
            show_eta=False,
            show_percent=True,
            show_pos=True,
            item_show_func=lambda text: text,
            file=sys.stderr,
            width=20,
        )

    def _time(self, now: Progress) -> str:
        seconds = time.monotonic() - self._started
        if now.done == now.total:
            return f"{seconds:.1f} s"
        n_done = now.done - self._done_before
        if n_done == 0:
            return ""
        return f"{seconds / n_done * (now.total - now.done):.0f} s left"
