"""Open the rows of a data set as commands need them: to fit a model, or for a fitted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import scipy.sparse
from sklearn.base import is_classifier

from dlbd_estimators.cli.registered import data_function


def open_rows(url: str, columns: Sequence[str] | None = None) -> Any:
    """Open a data set.

    Parameters
    ----------
    url : str
        Path or URL of the data set.
    columns : sequence of str, optional
        Columns of X; None means all.
    """
    return data_function("open")(url, columns=columns)


def open_for(model: Any, url: str) -> Any:
    """Open a data set with the columns that a fitted model knows by name, in its order."""
    names = getattr(model, "feature_names_in_", None)
    return open_rows(url, None if names is None else [str(name) for name in names])


def check_dense(data: Any, url: str, needed_by: Sequence[str]) -> None:
    """Raise TypeError if the rows of a data set are sparse, and something needs dense ones."""
    if needed_by and scipy.sparse.issparse(data.X._meta):
        raise TypeError(
            f"{needed_by[0]} needs dense rows, and X of {url} is sparse. Linear models without "
            f"--impute and --standardize accept it; or store dense rows."
        )


def targets(model: Any, data: Any, url: str) -> Any:
    """Return the targets for a model: labels for a classifier, else numbers.

    Raises
    ------
    TypeError
        The data set has numbers for a classifier, or classes for a regressor.
    """
    name = type(model).__name__
    if not is_classifier(model):
        if data.classes is not None:
            raise TypeError(
                f"{url} has classes ({_some(data.classes)}), but {name} predicts numbers: use a "
                f"classifier, such as LogisticRegression."
            )
        return data.y
    if data.classes is not None:
        return data.labels
    if data.y.dtype.kind not in "biu":
        raise TypeError(
            f"{url} has no classes, and its target {_target(data)}is {data.y.dtype}, but {name} "
            f"predicts classes. Use a regressor, such as Ridge, or write the data set with "
            f"integer codes and classes=, svmlight files with dlbd ingest --classes auto."
        )
    return data.y


def _some(classes: Sequence[Any]) -> str:
    shown = ", ".join(map(str, classes[:5]))
    return f"{shown}, ..." if len(classes) > 5 else shown


def _target(data: Any) -> str:
    return f"{data.target!r} " if isinstance(data.target, str) else ""
