"""Write a report about a fitted estimator and its scores on test data to a file."""

from __future__ import annotations

import datetime as dt
import io
import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from importlib.metadata import version
from math import isfinite
from pathlib import Path
from typing import Any

import scipy.sparse
from sklearn.base import is_classifier

from dlbd_estimators.plots.last_step import last_step
from dlbd_estimators.reports.page import Table, page
from dlbd_estimators.reports.scores import scores

#: Number of steps of a long fit that are listed: half of them the first, half of them the last.
_LISTED = 20
#: Columns of the table of steps, with their formats: losses keep their zeros, to be aligned.
_COLUMNS = {
    "iteration": ",",
    "pass": ".6g",
    "loss": "#.6g",
    "validation_loss": "#.6g",
    "error": ".6g",
    "gradient_norm": ".6g",
    "validation_score": ".4f",
    "seconds": ".3f",
}
_ERROR = (
    "The error is the distance to the optimum: a bound or an estimate of the largest error of a "
    "coefficient, relative to the largest coefficient. The fit ends when it is at most tol."
)


def report(
    estimator: Any,
    X_test: Any,
    y_test: Any,
    *,
    path: str | os.PathLike[str] = "report.html",
    sample_weight: Any = None,
    feature_names: Sequence[str] | None = None,
    title: str | None = None,
) -> Path:
    """Write one HTML page about a model: its parameters, how its fit went, and its scores.

    The page needs no network and no other file. It has plots if matplotlib is installed.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted estimator of this package, or a pipeline that ends in one.
    X_test : array-like or Dask collection of shape (n_samples, n_features)
        Rows that the model has not seen. Lazy rows are read by one pass for each score. With two
        classes there is one more for the ROC curve and one for the calibration; for a linear model
        without a StandardScaler before it, one more for the standard deviations of its columns.
    y_test : array-like or Dask collection of shape (n_samples,)
        Their true targets.
    path : str or path-like, default="report.html"
        Where to write. An existing file is replaced when the new page is complete.
    sample_weight : array-like or Dask collection of shape (n_samples,), optional
        Weights of the scores.
    feature_names : sequence of str of length n_features_in_, optional
        Names of the coefficients, if X had no names.
    title : str, optional
        Title of the page; None means the class of the estimator.

    Returns
    -------
    pathlib.Path
        Path of the page.

    Raises
    ------
    NotFittedError
        The estimator was not fitted.
    TypeError
        The model has no ``history_``, because it is not an estimator of this package.
    OSError
        The file cannot be written. The error is raised before anything is read.

    Examples
    --------
    >>> from dlbd_estimators.reports import report
    >>> report(model, X_test, y_test, path="late.html")  # doctest: +SKIP
    PosixPath('late.html')
    """
    model = last_step(estimator)
    if not getattr(model, "history_", None):
        raise TypeError(
            f"{type(model).__name__} has no history_: pass a fitted estimator of dlbd_estimators, "
            f"or a pipeline that ends in one. For a GridSearchCV, pass its best_estimator_."
        )
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: name the file of the page")
    try:  # in the folder of the target, so that a rename can replace the target at once
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        error.filename = str(path)  # the user's path instead of the temporary name
        raise
    os.close(handle)
    try:
        plots = _plots(estimator, model, X_test, y_test, sample_weight, feature_names)
        text = _page(estimator, model, X_test, y_test, sample_weight, title, plots)
        Path(temporary).write_text(text, encoding="utf-8")
        # mkstemp makes files that only their owner can read. Give this one the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        Path(temporary).chmod(0o666 & ~umask)
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    return path


def _page(
    estimator: Any,
    model: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    title: str | None,
    plots: Sequence[str] | None,
) -> str:
    notes = []
    if plots is None:
        notes.append('There are no plots. They need pip install "dlbd-estimators[plots]".')
    now = dt.datetime.now(dt.UTC)
    packages = ("dlbd-estimators", "scikit-learn", "dask", "numpy")
    when = f"{now:%Y-%m-%d %H:%M} UTC; " + ", ".join(f"{name} {version(name)}" for name in packages)
    tables = scores(estimator, X, y, sample_weight)
    if estimator is not model:  # the diagram of a pipeline shows nothing about the fit
        tables.insert(0, Table("Fit", (), model._fit_facts()))
    diagram = estimator._repr_mimebundle_().get("text/html", "")
    title = title or type(model).__name__
    return page(title, when, diagram, tables, plots or (), _history(model.history_), notes)


def _history(history: list[dict[str, float]]) -> Table:
    columns = [name for name in _COLUMNS if any(name in entry for entry in history)]
    listed, notes, half = history, [], _LISTED // 2
    if len(history) > _LISTED:
        listed = [*history[:half], *history[-half:]]
        notes.append(f"The first and the last {half} of {len(history):,} steps.")
    rows = [[_text(entry.get(name), _COLUMNS[name]) for name in columns] for entry in listed]
    if notes:
        rows.insert(half, ["…"] + [""] * (len(columns) - 1))
    if "error" in columns:
        notes.append(_ERROR)
    return Table("Steps", [name.replace("_", " ") for name in columns], rows, " ".join(notes))


def _text(value: float | None, form: str) -> str:
    return "" if value is None or not isfinite(value) else format(value, form)


def _plots(
    estimator: Any,
    model: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    feature_names: Sequence[str] | None,
) -> list[str] | None:
    """Return plots as SVG; None without matplotlib."""
    try:
        import matplotlib as mpl  # noqa: F401 - only to see whether it is installed
    except ImportError:
        return None
    from dlbd_estimators import plots

    drawn: list[Callable[[Any], Any]] = []
    if "loss" in model.history_[-1]:  # a private training has none
        drawn.append(lambda ax: plots.LossCurveDisplay.from_estimator(model, ax=ax))
    if "validation_score" in model.history_[-1]:
        drawn.append(
            lambda ax: plots.LossCurveDisplay.from_estimator(model, y="validation_score", ax=ax)
        )
    if getattr(model, "coef_", None) is not None and (
        model.coef_.ndim == 1 or len(model.coef_) == 1
    ):
        # Both units: coefficients per standard deviation can be compared with each other, and
        # coefficients per unit are easier to explain. Standard deviations need dense rows.
        sparse = scipy.sparse.issparse(getattr(X, "_meta", None))
        for per, rows in (("unit", None), *((("std", X),) if not sparse else ())):
            drawn.append(
                partial(_coefficients, estimator, feature_names=feature_names, per=per, X=rows)
            )
    if is_classifier(model) and len(model.classes_) == 2 and hasattr(model, "predict_proba"):
        drawn.append(
            lambda ax: plots.RocCurveDisplay.from_estimator(
                estimator, X, y, sample_weight=sample_weight, plot_chance_level=True, ax=ax
            )
        )
        drawn.append(
            lambda ax: plots.CalibrationDisplay.from_estimator(estimator, X, y, n_bins=10, ax=ax)
        )
    return [_svg(draw) for draw in drawn]


def _coefficients(estimator: Any, ax: Any, **options: Any) -> None:
    from dlbd_estimators import plots

    plots.CoefficientsDisplay.from_estimator(estimator, ax=ax, **options)


def _svg(draw: Callable[[Any], Any]) -> str:
    # A new figure without pyplot: no figure of the user is drawn on, and none is left open.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    draw(figure.add_subplot())
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    # Without the XML declaration: the SVG stands inside an HTML document.
    svg = text.getvalue()
    return svg[svg.index("<svg") :]
