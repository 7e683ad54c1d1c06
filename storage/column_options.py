"""The option ``--column`` of ``dlbd ingest``, which declares a raw column."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import click

from storage.ingestion.column import Column

__all__ = ["column_from_text"]

_LISTS = ("categories", "parts")
_NUMBERS = ("minimum", "maximum", "fill_value")
_OPTIONS = [field.name for field in fields(Column) if field.name != "kind"]


def column_from_text(text: str) -> tuple[str, Column]:
    """Return the name and the declaration of ``NAME:KIND,OPTION=VALUE,...``, also without the kind.

    Parameters
    ----------
    text : str
        The value of the option.

    Raises
    ------
    click.UsageError
        When the text has another form, or an option or a value does not exist.
    """
    name, _, rules = text.partition(":")
    if not name or not rules:
        raise click.UsageError(f"--column {text}: write NAME:KIND, or NAME:KIND,OPTION=VALUE")
    declared: dict[str, Any] = {}
    for number, rule in enumerate(rules.split(",")):
        option, equals, value = rule.partition("=")
        if not equals and number == 0:
            declared["kind"] = option
        elif not equals or option not in _OPTIONS:
            raise click.UsageError(
                f"--column {text}: {rule!r} is no rule; write OPTION=VALUE with one of "
                f"{', '.join(_OPTIONS)}"
            )
        else:
            declared[option] = _value(option, value)
    try:
        return name, Column(**declared)
    except (TypeError, ValueError) as error:
        raise click.UsageError(f"--column {text}: {error}") from error


def _value(option: str, text: str) -> Any:
    if option in _LISTS:
        return text.split("|")
    if option in _NUMBERS:
        try:
            return float(text)
        except ValueError:  # a datetime, or a category
            return text
    return int(text) if option == "max_categories" else text
