"""Commands and functions that other packages add to the command line, by entry points.

================== ======= =========================================================================
group              name    object
================== ======= =========================================================================
``dlbd.commands``  any     a click command
``dlbd.data``      open    ``open(url, columns=None)``: an object with ``X``, ``y``, ``labels``,
                           ``classes``, ``sample_weight`` (lazy arrays, or None), ``feature_names``
                           and ``target``
``dlbd.data``      write   ``write(columns, target, classes=None)``: writes lazy columns by name
================== ======= =========================================================================
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import click

COMMANDS, DATA = "dlbd.commands", "dlbd.data"


def command_names() -> list[str]:
    """Return the names of the commands that other packages add."""
    return sorted(set(entry_points(group=COMMANDS).names))


def command(name: str) -> click.Command | None:
    """Import and return a command of another package; None if there is none."""
    for found in entry_points(group=COMMANDS, name=name):
        loaded: click.Command = found.load()
        return loaded
    return None


def data_function(name: str) -> Any:
    """Return the function that opens data sets or writes predictions.

    Raises
    ------
    ImportError
        No installed package has this function.
    """
    for found in entry_points(group=DATA, name=name):
        return found.load()
    raise ImportError(
        f"No installed package can {name} data sets: there is no entry point {name!r} in "
        f"the group {DATA!r}. Install this package again: pip install --force-reinstall "
        f"dlbd-estimators."
    )
