"""Docstrings that are completed from another metric's: what metrics share is told once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar

Metric = TypeVar("Metric", bound=Callable[..., Any])


def documented_like(documented: Callable[..., Any]) -> Callable[[Metric], Metric]:
    """Give a metric's docstring the sections of another's that it leaves out, but no example."""

    def complete(metric: Metric) -> Metric:
        if metric.__doc__ and documented.__doc__:  # python -OO leaves none
            summary, own = _sections(metric.__doc__)
            _, shared = _sections(documented.__doc__)
            sections = {**shared, **own, "Examples": own["Examples"]}
            metric.__doc__ = "\n\n".join([summary, *sections.values()]) + "\n"
        return metric

    return complete


def _sections(docstring: str) -> tuple[str, dict[str, str]]:
    summary, *sections = re.split(r"\n\n(?=[A-Z][a-z]+\n-+\n)", inspect.cleandoc(docstring))
    return summary, {section.partition("\n")[0]: section for section in sections}
