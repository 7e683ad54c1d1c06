"""Complete docstrings from other docstrings, so that each shared part is written once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])

_HEADING = re.compile(r"\n\n(?=[A-Z][A-Za-z ]+\n-+\n)")
#: Sections in numpydoc's order.
_SECTIONS = (
    "Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns", "See Also", "Notes",
    "References", "Examples",
)  # fmt: skip
#: Sections of named entries. Each entry can come from another docstring.
_TABLES = ("Parameters", "Attributes")


def documented_by_bases(cls: Class) -> Class:
    """Complete the docstring of an estimator from those of its bases in this package.

    A class documents what it adds or changes. Parameters come in the order of the signature, each
    from the first class that documents it. Attributes of the class itself come before those of
    its bases. Other sections are not inherited.

    Parameters
    ----------
    cls : type
        The class, with all of its bases' docstrings in numpydoc's form.

    Returns
    -------
    type
        The same class.
    """
    ours = __name__.partition(".")[0]
    bases = [each for each in inspect.getmro(cls)[1:] if each.__module__.partition(".")[0] == ours]
    _complete(cls, bases, inherited=())
    return cls


def documented_like(*others: Any) -> Callable[[Function], Function]:
    """Complete the docstring of a function from those of others.

    The function documents what it adds or changes. Parameters come in the order of its signature,
    each from the first docstring that has it. Returns, errors and notes that the function leaves
    out come from the first docstring that has them; examples and warnings are not inherited.

    Parameters
    ----------
    *others : function
        The functions, with docstrings in numpydoc's form.

    Returns
    -------
    callable
        The decorator.
    """

    def complete(function: Function) -> Function:
        _complete(function, others, ("Returns", "Yields", "Raises", "Notes", "References"))
        return function

    return complete


def _complete(target: Any, others: Collection[Any], inherited: Collection[str]) -> None:
    """Replace a docstring by the completed one."""
    if not target.__doc__:  # python -OO removes docstrings
        return
    summary, sections = _sections(target.__doc__)
    if unknown := sections.keys() - set(_SECTIONS):
        raise ValueError(
            f"The docstring of {target.__qualname__} has sections of unknown "
            f"titles: {sorted(unknown)}. Use those of numpydoc, or add them to _SECTIONS."
        )
    shared = [_sections(each.__doc__)[1] for each in others if each.__doc__]
    for found in shared:
        for title in inherited:
            if title in found:
                sections.setdefault(title, found[title])
    for title in _TABLES:
        entries: dict[str, str] = {}
        for each in (sections, *shared):
            for name, entry in _entries(each.get(title, "")).items():
                entries.setdefault(name, entry)
        if title == "Parameters":
            entries = {
                name: entries[name]
                for name in _documented_names(inspect.signature(target))
                if name in entries
            }
        sections[title] = "\n".join(entries.values())
    parts = [
        f"{title}\n{'-' * len(title)}\n{sections[title]}"
        for title in _SECTIONS
        if sections.get(title)
    ]
    target.__doc__ = "\n\n".join([summary, *parts]) + "\n"


def _documented_names(signature: inspect.Signature) -> list[str]:
    """Return the parameters as numpydoc writes them: ``*args`` and ``**params`` with stars."""
    return [
        "*" * (each.kind is each.VAR_POSITIONAL) + "**" * (each.kind is each.VAR_KEYWORD) + name
        for name, each in signature.parameters.items()
    ]


def _sections(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the text before the first section, and the content of each section by its title."""
    summary, *sections = _HEADING.split(inspect.cleandoc(docstring))
    held = {}
    for section in sections:
        title, _, rest = section.partition("\n")
        held[title] = rest.partition("\n")[2]
    return summary, held


def _entries(section: str) -> dict[str, str]:
    """Return the entries of a section, each by its name."""
    entries = re.split(r"\n(?=\S)", section) if section else []
    return {each.partition(" :")[0]: each for each in entries}
