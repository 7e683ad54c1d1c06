"""The option ``--join`` of the command line: a joined table, written in one text."""

from __future__ import annotations

from typing import Any

import click

from storage.ingestion.join import Join

__all__ = ["join_from_text"]

_LISTS = ("on", "left_on", "right_on", "columns")
_OPTIONS = (*_LISTS, "unmatched", "name")


def join_from_text(text: str) -> Join:
    """Parse ``TABLE,OPTION=VALUE,...``, in which lists are separated by ``|``.

    Raises
    ------
    click.UsageError
        When an option is unknown or contradicts another one. The message quotes the text.
    """
    table, *rules = text.split(",")
    declared: dict[str, Any] = {}
    for rule in rules:
        option, equals, value = rule.partition("=")
        if not table or not equals or option not in _OPTIONS:
            raise click.UsageError(
                f"--join {text}: {rule!r} is no option; write TABLE,OPTION=VALUE with one of "
                f"{', '.join(_OPTIONS)}"
            )
        declared[option] = value.split("|") if option in _LISTS else value
    try:
        return Join(table, **declared)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"--join {text}: {error}") from error
