"""Options that several commands have."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from math import isfinite
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def json_of(facts: Any) -> str:
    """Return facts as JSON; NaN and infinity, which JSON lacks, become null."""
    return json.dumps(_finite(facts), allow_nan=False)


def _finite(facts: Any) -> Any:
    if isinstance(facts, dict):
        return {key: _finite(each) for key, each in facts.items()}
    if isinstance(facts, list | tuple):
        return [_finite(each) for each in facts]
    return None if isinstance(facts, float) and not isfinite(facts) else facts


def value_of(text: str) -> Any:
    """Return the value of a text: a number, True, None, a tuple, or otherwise the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def setting(text: str, option: str) -> tuple[str, str]:
    """Split ``name=value`` into the name and the text of the value.

    Raises
    ------
    click.BadParameter
        There is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not (equals and name):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint=option)
    return name, value


def where_it_runs(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that determine where Dask computes, and run the command there."""

    @click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Scheduler of a Dask cluster, such as tcp://10.0.0.1:8786.",
    )
    @click.option(
        "--workers", metavar="N", type=click.IntRange(1), help="Start N worker processes here."
    )
    @click.option(
        "--memory", metavar="SIZE", help="Memory of each worker, such as 1GB; with --workers."
    )
    @wraps(command)
    def runs(
        *args: Any, cluster: str | None, workers: int | None, memory: str | None, **options: Any
    ) -> Any:
        if cluster is not None and workers is not None:
            raise click.UsageError("Give either --cluster or --workers.")
        if memory is not None and workers is None:
            raise click.UsageError("--memory is the memory of a worker: give --workers, too.")
        with _place(cluster, workers, memory), _progress():
            return command(*args, **options)

    return runs


def _place(
    cluster: str | None, workers: int | None, memory: str | None
) -> AbstractContextManager[None]:
    """Return the context in which Dask computes: by default on threads of this process."""
    if cluster is None and workers is None:
        return nullcontext()
    # Threads do not need distributed, which takes long to import.
    from dlbd_estimators.cli.workers import connected, started

    if cluster is not None:
        return connected(cluster)
    return started(workers or 1, memory or "auto")


@contextmanager
def _progress() -> Iterator[None]:
    """Show fits on standard error if it is a terminal: as bars, or as lines if rich is missing."""
    if not sys.stderr.isatty():
        yield
        return
    from dlbd_estimators.monitoring import listening

    with listening(progress_listener()):
        yield


def progress_listener() -> Callable[[Any], None]:
    """Return a listener that shows events of fits on standard error."""
    try:
        from rich.console import Console

        from dlbd_estimators.monitoring import ProgressBar
    except ImportError:
        from dlbd_estimators.monitoring.lines import line

        return lambda event: click.echo(text, err=True) if (text := line(event)) else None
    return ProgressBar(Console(stderr=True))
