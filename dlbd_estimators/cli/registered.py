"""What other packages add to the command line, by entry points of their distributions.

================== ======= =========================================================================
group              name    what it names
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
    """Return the names of the commands that other packages have."""
    return sorted(set(entry_points(group=COMMANDS).names))


def command(name: str) -> click.Command | None:
    """Return a command of another package, which is imported now; None where there is none."""
    for found in entry_points(group=COMMANDS, name=name):
        loaded: click.Command = found.load()
        return loaded
    return None


def data_function(name: str) -> Any:
    """Return the function by which data sets are opened or predictions written.

    Raises
    ------
    ImportError
        No package that is installed has one.
    """
    for found in entry_points(group=DATA, name=name):
        return found.load()
    raise ImportError(
        f"No package that is installed can {name} data sets: there is no entry point {name!r} in "
        f"the group {DATA!r}. Install this package again: pip install --force-reinstall "
        f"dlbd-estimators."
    )
