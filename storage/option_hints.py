"""Advice of error messages, which names arguments of Python functions, as options of ``dlbd``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
    """Name the options of the command line in the messages of errors that pass."""
    try:
        yield
    except StorageError as error:
        text = str(error)
        for pattern, option in _OPTIONS:
            text = re.sub(pattern, option, text)
        error.args = (text,)
        raise
