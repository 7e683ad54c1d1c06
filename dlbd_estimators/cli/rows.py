"""Open the rows of a data set as commands need them: to fit a model, or for a fitted one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click
import scipy.sparse
from sklearn.base import is_classifier

from dlbd_estimators.cli.registered import data_function

#: The option of commands that read the rows of one split.
split_option = click.option(
    "--split", metavar="NAME", help="Only the rows of this named split of DATA."
)


def open_rows(
    url: str,
    columns: Sequence[str] | None = None,
    split: str | None = None,
    *,
    all_rows: bool = False,
) -> Any:
    """Open a data set, or one of its named splits.

    Parameters
    ----------
    url : str
        Path or URL of the data set.
    columns : sequence of str, optional
        Columns of X; None means all.
    split : str, optional
        Name of the split. It must be given if the data set has splits, so that no model is trained
        on rows that it will be scored on.
    all_rows : bool, default=False
        Whether None means all rows if the data set has splits.

    Raises
    ------
    click.UsageError
        No split is named, or there is none of this name.
    """
    data = data_function("open")(url, columns=columns)
    splits = getattr(data, "splits", {})
    if split is not None and split not in splits:
        has = f"the splits {', '.join(splits)}" if splits else "no splits"
        raise click.UsageError(f"There is no split {split!r}: {url} has {has}.")
    if split is None and splits and not all_rows:
        raise click.UsageError(
            f"{url} has the splits {', '.join(splits)}: name the one to use with --split."
        )
    return data if split is None else splits[split]


def open_for(model: Any, url: str, split: str | None = None, *, all_rows: bool = False) -> Any:
    """Open a data set with the columns that a fitted model knows by name, in its order.

    The other parameters are those of :func:`open_rows`.
    """
    names = getattr(model, "feature_names_in_", None)
    columns = None if names is None else [str(name) for name in names]
    return open_rows(url, columns, split, all_rows=all_rows)


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
        column = data.target if isinstance(data.target, str) else "TARGET"
        raise TypeError(
            f"{url} has no classes, and its target {_target(data)}is {data.y.dtype}, but {name} "
            f"predicts classes. If its numbers are classes, say so when the rows are stored: dlbd "
            f"ingest -c {column}:category, of svmlight files --classes auto, of arrays classes= "
            f"and integer codes. To predict numbers, use a regressor, such as Ridge."
        )
    return data.y


def _some(classes: Sequence[Any]) -> str:
    shown = ", ".join(map(str, classes[:5]))
    return f"{shown}, ..." if len(classes) > 5 else shown


def _target(data: Any) -> str:
    return f"{data.target!r} " if isinstance(data.target, str) else ""
