"""Docstrings that are completed from those of base classes: what classes share is told once."""

from __future__ import annotations

import inspect
import re
from typing import TypeVar

Class = TypeVar("Class", bound=type)

_SECTION = re.compile(r"\n\n(?=[A-Z][a-z]+\n-+\n)")


def documented_by_bases(cls: Class) -> Class:
    """Complete the docstring of an estimator from those of its bases in this package.

    A class documents what it adds or changes. Parameters come in the order of the signature, each
    from the first class that documents it. Attributes of the class itself come before those of
    its bases.

    Parameters
    ----------
    cls : type
        The class, with all of its bases' docstrings in numpydoc's form.

    Returns
    -------
    type
        The same class.
    """
    if not cls.__doc__:  # python -OO leaves none
        return cls
    ours = __name__.partition(".")[0]
    documented = [
        inspect.cleandoc(each.__doc__)
        for each in inspect.getmro(cls)
        if each.__doc__ and each.__module__.partition(".")[0] == ours
    ]
    parameters = _entries(documented, "Parameters")
    signature = inspect.signature(cls).parameters
    tables = {
        "Parameters": [parameters[name] for name in signature if name in parameters],
        "Attributes": list(_entries(documented, "Attributes").values()),
    }
    text, *sections = _SECTION.split(documented[0])
    for title, table in tables.items():
        if table:
            text += "\n\n" + "\n".join([title, "-" * len(title), *table])
    others = [each for each in sections if each.partition("\n")[0] not in tables]
    cls.__doc__ = "\n\n".join([text, *others]) + "\n"
    return cls


def _entries(documented: list[str], title: str) -> dict[str, str]:
    """Return the entries of a section, by their names, of the first docstring that has each."""
    found: dict[str, str] = {}
    for text in documented:
        for section in _SECTION.split(text):
            head, _, rest = section.partition("\n")
            if head == title:
                for entry in re.split(r"\n(?=\S)", rest.partition("\n")[2]):
                    found.setdefault(entry.partition(" :")[0], entry)
    return found
