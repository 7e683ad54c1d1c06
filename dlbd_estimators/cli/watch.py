"""``dlbd watch``: show the fits that run on a cluster."""

from __future__ import annotations

import sys
from typing import Any

import click

from dlbd_estimators.cli.options import json_of, progress_listener


@click.command()
@click.argument("address")
@click.option(
    "--fits", "n_fits", metavar="N", type=click.IntRange(1), help="End after N fits have ended."
)
@click.option("--json", "as_json", is_flag=True, help="Print each event as one JSON object.")
def watch(address: str, n_fits: int | None, as_json: bool) -> None:
    """Show the fits that run on the Dask cluster whose scheduler is at ADDRESS.

    The fits of all clients are shown from now on: as bars in a terminal, and otherwise as lines
    that begin with the number of the fit. The command ends by Ctrl-C, after N fits, or when the
    scheduler ends, which is an error.

    \b
    Examples:
      dlbd watch tcp://10.0.0.1:8786
      dlbd watch tcp://10.0.0.1:8786 --json --fits 1
    """
    from dlbd_estimators.cli.workers import fit_events

    show = progress_listener() if sys.stderr.isatty() and not as_json else None
    numbers: dict[str, int] = {}
    ended = 0
    for event in fit_events(address):
        if show is not None:
            show(event)
        elif as_json:
            click.echo(json_of(event))
        else:
            _print_event(event, numbers.setdefault(event["fit"], len(numbers) + 1))
        sys.stdout.flush()
        ended += event["event"] == "fit_ended"
        if n_fits is not None and ended >= n_fits:
            return


def _print_event(event: Any, number: int) -> None:
    from dlbd_estimators.monitoring.lines import line

    text = line(event)
    if text is not None:
        click.echo(f"{number}  {text}")
