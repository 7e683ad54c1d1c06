"""Hold the docstrings of what users import against numpydoc's rules and against the signatures.

    .venv/bin/python .ci/check_docstrings.py

Everything that ``__all__`` of a public subpackage names is checked, and the public methods of its
classes, where the package writes them itself. Code that nobody imports follows ruff's rules (D).
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import ERROR_MSGS, validate

PACKAGES = ("dlbd_estimators", "storage")
SUBPACKAGES = (
    "dlbd_estimators",
    "dlbd_estimators.compose",
    "dlbd_estimators.exceptions",
    "dlbd_estimators.inference",
    "dlbd_estimators.linear_model",
    "dlbd_estimators.metrics",
    "dlbd_estimators.model_selection",
    "dlbd_estimators.monitoring",
    "dlbd_estimators.neural_network",
    "dlbd_estimators.plots",
    "dlbd_estimators.preprocessing",
    "dlbd_estimators.reports",
    "storage",
)
LEFT_OUT = {
    "ES01": "a sentence says enough of many functions",
    "SA01": "links in the text say what else to look at",
    "RT02": "a type followed by a shape reads like a name to numpydoc",
}
#: Types whose default is said in words.
_DEFAULT = re.compile(r"default=(.+)$")


def public_objects() -> Iterator[tuple[str, Any]]:
    """Return the classes and functions that users import, each once, by the name to look it up."""
    seen: set[int] = set()
    for subpackage in map(importlib.import_module, SUBPACKAGES):
        for name in names_of(subpackage):
            value = getattr(subpackage, name)
            ours = getattr(value, "__module__", "").split(".")[0] in PACKAGES
            if ours and callable(value) and id(value) not in seen:
                seen.add(id(value))
                yield f"{subpackage.__name__}.{name}", value


def names_of(subpackage: ModuleType) -> list[str]:
    """Return the names that a subpackage exports; without ``__all__``, the classes it defines."""
    found = getattr(subpackage, "__all__", None)
    if found is None:
        found = [
            name
            for name, value in vars(subpackage).items()
            if inspect.isclass(value) and value.__module__ == subpackage.__name__
        ]
    return sorted(found)


def methods_of(name: str, owner: type) -> Iterator[str]:
    """Return the public methods and properties of a class that this project has written."""
    for base in inspect.getmro(owner):
        if base.__module__.split(".")[0] not in PACKAGES:
            continue
        for method, value in vars(base).items():
            written = inspect.isroutine(value) or isinstance(value, property)
            if (
                written
                and not method.startswith("_")
                and has_docstring(getattr(owner, method, None))
            ):
                yield f"{name}.{method}"


def has_docstring(value: Any) -> bool:
    """Tell whether something has a docstring."""
    return bool(getattr(value, "__doc__", None))


def complaints(name: str, value: Any) -> Iterator[str]:
    """Return what is wrong with the docstring of a class, a function or a method."""
    for code, text in validate(name)["errors"]:
        if code == "EX01" and not needs_example(value):
            continue
        if code not in LEFT_OUT:
            yield f"{name}: {code} {text}"
    yield from wrong_defaults(name, value)


def needs_example(value: Any) -> bool:
    """Tell whether an example is due: for functions, and for classes that users make."""
    if inspect.isclass(value):
        return not issubclass(value, Exception)
    return inspect.isfunction(value) and "." not in value.__qualname__


def wrong_defaults(name: str, value: Any) -> Iterator[str]:
    """Compare the defaults that a docstring names with those of the signature."""
    try:
        parameters = inspect.signature(value).parameters
    except (TypeError, ValueError):  # a property, or a class that Python itself makes
        return
    for each in NumpyDocString(inspect.getdoc(value) or "")["Parameters"]:
        match = _DEFAULT.search(each.type)
        if match is None or each.name not in parameters:
            continue
        default = parameters[each.name].default
        try:
            same = eval(match[1], {}, {}) == default
        except Exception:  # noqa: BLE001  (words, which are not to be compared)
            continue
        if not same:
            yield f"{name}: {each.name} has default {default!r}, but {match[1]} is documented"


def main() -> int:
    """Print what is wrong; fail if anything is."""
    unknown = LEFT_OUT.keys() - ERROR_MSGS.keys()
    assert not unknown, f"numpydoc knows no {unknown}"
    found: dict[str, None] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpydoc warns of sections that it then reports
        for name, value in public_objects():
            found |= dict.fromkeys(complaints(name, value))
            for method in methods_of(name, value) if inspect.isclass(value) else ():
                found |= dict.fromkeys(complaints(method, getattr(value, method.split(".")[-1])))
    print("\n".join(found) or "All public docstrings are complete.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
