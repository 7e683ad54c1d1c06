"""Advice of errors and warnings, which names arguments of functions, as options of ``dlbd``."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from storage.errors import StorageError

__all__ = ["advice_as_options"]


def _column(match: re.Match[str]) -> str:
    """Return the option that declares a column as a call of Column does."""
    name, arguments = match["name"] or "NAME", match["arguments"].replace("'", "")
    return f"-c {name}:{arguments.replace(', ', ',')}"


def _csv(match: re.Match[str]) -> str:
    """Return the option that declares the format of CSV files as an argument of CSVFormat does."""
    name, value = match["name"], match["value"]
    if name in ("multiline", "on_bad_lines"):
        return {"multiline": "--multiline", "on_bad_lines": "--skip-bad-lines"}[name]
    return f"--{name} {value}"


_OPTIONS: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
    (
        r"(?:columns=\{'(?P<name>[^']*)': )?storage\.Column\((?P<arguments>[^()]*)\)(?(name)\})",
        _column,
    ),
    (r"csv=storage\.CSVFormat\((?P<name>\w+)=(?P<value>[^()]*)\)", _csv),
    (r"svmlight=storage\.SVMLightFormat\(n_features=\.\.\.\)", "--n-features N"),
    (r"storage\.Join\(\.\.\., unmatched='(\w+)'\)", r"--join ...,unmatched=\1"),
    (r"\bwith features=", "with --features"),
    (r"\boverwrite=True\b", "--overwrite"),
    (r"\bresume=True\b", "--resume"),
]


@contextmanager
def advice_as_options() -> Iterator[None]:
    """Name the options of the command line in the messages of errors and warnings that pass."""
    show = warnings.showwarning
    with warnings.catch_warnings():

        def show_options(
            message: Warning | str, category: type[Warning], *place: Any, **options: Any
        ) -> None:
            text = _as_options(str(message))
            changed = text != str(message)
            show(category(text) if changed else message, category, *place, **options)

        warnings.showwarning = show_options
        try:
            yield
        except StorageError as error:
            error.args = (_as_options(str(error)),)
            raise


def _as_options(text: str) -> str:
    for pattern, option in _OPTIONS:
        text = re.sub(pattern, option, text)
    return text
