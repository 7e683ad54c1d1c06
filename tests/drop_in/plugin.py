"""pytest plugin: scikit-learn's own tests, with our classes in place of its.

Test modules take their classes from ``sklearn.linear_model`` and ``sklearn.neural_network`` when
they are imported, and find ours there; scikit-learn itself has its own before and after. What
came of each test that uses one of ours is written to the file that ``DROP_IN_REPORT`` names.
"""

from __future__ import annotations

import json
import os
from types import CodeType
from typing import Any

import pytest

# Whoever in scikit-learn takes these classes must have taken them before they are replaced.
import sklearn.ensemble
import sklearn.linear_model
import sklearn.neural_network
import sklearn.utils.estimator_checks

import dlbd_estimators

NAMES = {
    sklearn.linear_model: [
        "ElasticNet",
        "Lasso",
        "LinearRegression",
        "LogisticRegression",
        "Ridge",
    ],
    sklearn.neural_network: ["MLPClassifier", "MLPRegressor"],
}
THEIRS = {
    (module, name): getattr(module, name) for module, names in NAMES.items() for name in names
}
OURS = tuple(getattr(dlbd_estimators, name) for _, name in THEIRS)

outcomes: dict[str, dict[str, Any]] = {}


def pytest_configure() -> None:
    for module, name in THEIRS:
        setattr(module, name, getattr(dlbd_estimators, name))


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    for (module, name), theirs in THEIRS.items():
        setattr(module, name, theirs)
    others = [item for item in items if not _uses_ours(item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if _uses_ours(item)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    report = yield
    if report.when == "call" or report.outcome != "passed":
        outcomes[item.nodeid] = {
            "outcome": report.outcome,
            "error": "" if call.excinfo is None else call.excinfo.exconly(),
        }
    return report


def pytest_sessionfinish() -> None:
    with open(os.environ["DROP_IN_REPORT"], "w") as file:
        json.dump(outcomes, file)


def _uses_ours(item: Any) -> bool:
    parameters = getattr(item, "callspec", None)
    if parameters is not None and any(map(_holds_ours, parameters.params.values())):
        return True
    return any(name in _names(item.function.__code__) for _, name in THEIRS)


def _holds_ours(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(map(_holds_ours, value))
    if hasattr(value, "steps"):
        return _holds_ours([step for _, step in value.steps])
    return isinstance(value, OURS) or (isinstance(value, type) and issubclass(value, OURS))


def _names(code: CodeType) -> set[str]:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names, inner))
