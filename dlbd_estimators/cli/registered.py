"""Commands and functions that other packages add to the command line, by entry points.

``dlbd.commands``: any name, a click command. ``dlbd.computing_commands``: the same, for a command
that computes with Dask; it also gets the options ``--cluster``, ``--workers`` and ``--memory``.

================== ======== ========================================================================
group              name     object
================== ======== ========================================================================
``dlbd.data``      open     ``open(url, columns=None)``: an object with ``X``, ``y``, ``labels``,
                            ``classes``, ``sample_weight`` (lazy arrays, or None),
                            ``feature_names`` and ``target``; it may have ``splits``, objects of
                            the same kind by their names
``dlbd.data``      write    ``write(columns, target, classes=None)``: writes lazy columns by name
``dlbd.data``      progress ``progress(hidden=False)``: a context in which a terminal shows how much
                            ``write`` has written; its value is ``show(name, done, total)``, which
                            shows the progress of other work, or None where nothing is shown
================== ======== ========================================================================
"""

from __future__ import annotations

from copy import copy
from importlib.metadata import entry_points
from typing import Any

import click

from dlbd_estimators.cli.options import where_it_runs

COMMANDS, COMPUTING, DATA = "dlbd.commands", "dlbd.computing_commands", "dlbd.data"


def command_names() -> list[str]:
    """Return the names of the commands that other packages add."""
    return sorted({*entry_points(group=COMMANDS).names, *entry_points(group=COMPUTING).names})


def command(name: str) -> click.Command | None:
    """Import and return a command of another package; None if there is none."""
    for found in entry_points(group=COMMANDS, name=name):
        loaded: click.Command = found.load()
        return loaded
    for found in entry_points(group=COMPUTING, name=name):
        return _with_place(found.load())
    return None


def _with_place(command: click.Command) -> click.Command:
    """Return a copy of a command with the options that determine where Dask computes."""
    assert command.callback is not None
    placed = copy(command)
    placed.callback = where_it_runs(command.callback)
    options: list[click.Parameter] = vars(placed.callback)["__click_params__"]
    placed.params = [*command.params, *reversed(options)]
    return placed


def data_function(name: str) -> Any:
    """Return the function that opens data sets, writes predictions, or shows the progress.

    Raises
    ------
    ImportError
        No installed package has this function.
    """
    for found in entry_points(group=DATA, name=name):
        return found.load()
    raise ImportError(
        f"No installed package has the function {name!r} of data sets: there is no such entry "
        f"point in the group {DATA!r}. Install this package again: pip install --force-reinstall "
        f"dlbd-estimators."
    )
