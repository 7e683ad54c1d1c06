"""Show the passes of a command in a terminal, one line for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dlbd_estimators.cli.registered import data_function
from dlbd_estimators.engine.pass_progress import listening_to_passes


@contextmanager
def passes_shown(*, hidden: bool) -> Iterator[None]:
    """Show how many blocks each pass has read, if standard error is a terminal.

    Parameters
    ----------
    hidden : bool
        Whether to show nothing in a terminal either.
    """
    with data_function("progress")(hidden=hidden) as show:
        if show is None:
            yield
            return
        with listening_to_passes(show):
            yield
