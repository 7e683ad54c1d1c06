"""The program ``dlbd``: its commands, and how it prints errors and warnings.

A command prints its result to standard output; all other output goes to standard error. The exit
code is 0 on success, 1 after an error, or 2 if the command line is not valid. Errors are printed in
one line; that of an invalid command line names the command whose ``--help`` explains it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from dlbd_estimators.cli import registered

#: The commands of this package (also the names of their modules) and their short help. A command is
#: imported when it is called, so that `dlbd --help` does not import scikit-learn.
_OWN = {
    "fit": "Train a model and save it.",
    "predict": "Write the predictions of a model.",
    "report": "Write a page about a model.",
    "score": "Score a model.",
    "watch": "Show the fits that run on a cluster.",
}

#: The error by which click, from version 8.2 on, prints the help of `dlbd` without a command.
_ASKS_FOR_HELP: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())


class Commands(click.Group):
    """The commands of this package and those that others have registered."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_OWN, *registered.command_names()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _OWN:
            found: click.Command = getattr(import_module(f"{__package__}.{cmd_name}"), cmd_name)
            return found
        return registered.command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = []
        for name in self.list_commands(ctx):
            command = None if name in _OWN else self.get_command(ctx, name)
            rows.append((name, _OWN[name] if command is None else command.get_short_help_str()))
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        with _usage_errors_in_one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _warnings_in_lines(), _usage_errors_in_one_line():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click's own errors, or a closed pipe, as after `head`
        except Exception as error:
            if ctx.params.get("traceback"):
                raise
            raise click.ClickException(_in_one_line(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="After an error, show where it was raised.")
@click.version_option(package_name="dlbd-estimators", prog_name="dlbd")
def main(traceback: bool) -> None:
    """Train scikit-learn's models on data larger than memory.

    Models are trained on data sets. A data set is a folder, or a place in an object store, that
    `dlbd ingest` writes from tables.

    \b
    From CSV files to predictions:
      dlbd ingest 2013/*.csv -o flights.zarr --target late --report quality.html
      dlbd ingest 2014/*.csv -o test.zarr --like flights.zarr
      dlbd fit flights.zarr LogisticRegression --impute --standardize -o late.model
      dlbd score late.model test.zarr
      dlbd report late.model test.zarr -o late.html
      dlbd predict late.model test.zarr -o late.parquet

    `dlbd COMMAND --help` explains a command.
    """


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    # The type is added to errors without a text, and to KeyError, whose text is only the key.
    if not text or isinstance(error, KeyError):
        text = f"{type(error).__name__} {text}".strip()
    cause = error.__cause__
    while cause is not None:  # only the causes explain errors such as "Cluster failed to start"
        reason = " ".join(str(cause).split())
        if reason not in text:
            text += f" ({reason})"
        cause = cause.__cause__
    return text


class _InvalidCommand(click.ClickException):
    """An invalid command line, in one line; click's own UsageError prints four."""

    exit_code = click.UsageError.exit_code


@contextmanager
def _usage_errors_in_one_line() -> Iterator[None]:
    """Replace click's errors about the command line by errors of one line."""
    try:
        yield
    except _ASKS_FOR_HELP:
        raise
    except click.UsageError as error:
        message = " ".join(error.format_message().split()).rstrip(".")
        command = "dlbd" if error.ctx is None else error.ctx.command_path
        raise _InvalidCommand(f"{message} (see {command} --help)") from error


@contextmanager
def _warnings_in_lines() -> Iterator[None]:
    """Print warnings without the line of code they point to: on a command line it is not useful."""
    with warnings.catch_warnings():
        warnings.showwarning = _show
        yield


def _show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    click.echo(f"{category.__name__}: {' '.join(str(message).split())}", err=True)
