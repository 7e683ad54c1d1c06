"""How the steps of a pipeline scale the columns that its model sees.

A coefficient belongs to a column that the model sees. Behind a scaler, that is not the column of
the data: to compare two coefficients, or to explain one, the scale is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
import sklearn.compose
import sklearn.impute
import sklearn.preprocessing
from numpy.typing import NDArray
from sklearn.pipeline import FeatureUnion, Pipeline

from dlbd_estimators.preprocessing import Blockwise, StandardScaler
from dlbd_estimators.preprocessing.lazy import check_columns


class ColumnScales(NamedTuple):
    """Columns, and how they came from those of the data.

    Attributes
    ----------
    factor : ndarray of float
        Change of the column for one unit of the column of the data that it was made of.
    std : ndarray of float
        Standard deviation of the column in the rows of the fit; NaN where no step knows it.
    category : ndarray of bool
        Columns that are 1 for a category and 0 for the others.
    computed : ndarray of bool
        Columns that a step has computed in a way that is no scaling.
    """

    factor: NDArray[np.float64]
    std: NDArray[np.float64]
    category: NDArray[np.bool_]
    computed: NDArray[np.bool_]

    @classmethod
    def of(cls, n: int, *, category: bool = False, computed: bool = False) -> ColumnScales:
        """Return columns that nothing has scaled."""
        return cls(np.ones(n), np.full(n, np.nan), np.full(n, category), np.full(n, computed))

    def times(self, by: Any) -> ColumnScales:
        """Return the columns, each times a number."""
        return self._replace(factor=self.factor * by, std=self.std * np.abs(by))

    def chosen(self, index: Any) -> ColumnScales:
        """Return some of the columns."""
        return ColumnScales(*(each[index] for each in self))

    @staticmethod
    def joined(parts: Sequence[ColumnScales]) -> ColumnScales:
        """Return columns side by side."""
        if not parts:
            return ColumnScales.of(0)
        return ColumnScales(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def column_scales(estimator: Any, n_features: int) -> ColumnScales:
    """Return the scales of the columns that a fitted model sees.

    Parameters
    ----------
    estimator : estimator or Pipeline
        The model, or a pipeline that ends in it.
    n_features : int
        Columns that the model sees.
    """
    columns = ColumnScales.of(n_features)
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        steps = estimator[:-1]
        columns = through(steps, ColumnScales.of(steps.n_features_in_))
    # Otherwise a step makes columns that nobody can follow: the model's are its own.
    known = len(columns.factor) == n_features
    return columns if known else ColumnScales.of(n_features, computed=True)


def per_what(
    estimator: Any, coef: NDArray[np.float64], per: str, X: Any
) -> tuple[NDArray[np.float64], str]:
    """Return coefficients for another unit of the columns, and that unit in words.

    Parameters
    ----------
    estimator : estimator or Pipeline
        The model, or a pipeline that ends in it.
    coef : ndarray of float of shape (n_features,)
        Per unit of the columns that the model sees.
    per : {"model", "unit", "std"}
        As in :meth:`CoefficientsDisplay.from_estimator`.
    X : array-like, Dask collection or None
        Rows whose standard deviations to take.

    Raises
    ------
    ValueError
        ``per`` is none of these, ``X`` is missing, or passed where nothing is read of it.
    """
    if per not in ("model", "unit", "std"):
        raise ValueError(f'per must be "model", "unit" or "std", but is {per!r}.')
    if X is not None and per != "std":
        raise ValueError(f'X is read for per="std" alone, but per is {per!r}.')
    columns = column_scales(estimator, len(coef))
    others = ",\nof categories 1 against 0" if columns.category.any() else ""
    if columns.computed.any() and per != "std":
        others += ",\nof what a step computes its unit"
    numbers = columns.chosen(~columns.category)
    if per == "model":
        if (numbers.factor == 1.0).all():
            return coef, f"unit of the column{others}"
        standard = np.isclose(numbers.std, 1.0) | (numbers.std == 0.0)  # or a constant column
        if standard.all():
            return coef, f"standard deviation of the column{others}"
        return coef, f"unit of the column as it was scaled{others}"
    if per == "unit":
        return coef * columns.factor, f"unit of the column{others}"
    std = np.where(columns.category, 1.0, columns.std)
    if np.isnan(std).any():
        std = np.where(np.isnan(std), _std_of(estimator, X), std)
    return coef * std, f"standard deviation of the column{others}"


def _std_of(estimator: Any, X: Any) -> NDArray[np.float64]:
    """Return the standard deviations of the columns that the model sees, in some rows."""
    if X is None:
        raise ValueError(
            'per="std" needs the standard deviations of the columns, and the pipeline has no '
            "StandardScaler that knows them: pass rows as X."
        )
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        X = estimator[:-1].transform(X)
    else:
        check_columns(estimator, X)
    std: NDArray[np.float64] = np.sqrt(StandardScaler(with_mean=False).fit(X).var_)
    return std


@singledispatch
def through(step: Any, _columns: ColumnScales) -> ColumnScales:
    """Return what a fitted step makes of columns; of a step that is not known, new ones."""
    return ColumnScales.of(_n_out(step), computed=True)


@through.register
def _(step: Pipeline, columns: ColumnScales) -> ColumnScales:
    for _, each in step.steps:
        if each is not None and each != "passthrough":
            columns = through(each, columns)
    return columns


@through.register
def _(step: sklearn.preprocessing.StandardScaler, columns: ColumnScales) -> ColumnScales:
    if step.var_ is not None:
        columns = columns._replace(std=np.where(columns.category, np.nan, np.sqrt(step.var_)))
    return columns if step.scale_ is None else columns.times(1.0 / step.scale_)


@through.register
def _(step: sklearn.preprocessing.MinMaxScaler, columns: ColumnScales) -> ColumnScales:
    return columns.times(step.scale_)


@through.register
def _(step: sklearn.preprocessing.MaxAbsScaler, columns: ColumnScales) -> ColumnScales:
    return columns.times(1.0 / step.scale_)


@through.register
def _(step: sklearn.preprocessing.RobustScaler, columns: ColumnScales) -> ColumnScales:
    return columns if step.scale_ is None else columns.times(1.0 / step.scale_)


@through.register
def _(step: sklearn.impute.SimpleImputer, columns: ColumnScales) -> ColumnScales:
    n_out = _n_out(step)
    marks = 0 if step.indicator_ is None else len(step.indicator_.features_)
    kept = np.arange(len(columns.factor))
    if n_out - marks != len(kept):  # it has dropped those without any value
        kept = np.flatnonzero(~np.isnan(np.asarray(step.statistics_, dtype=float)))
    # Values that are filled in change the spread.
    filled = columns.chosen(kept)._replace(std=np.full(len(kept), np.nan))
    return ColumnScales.joined([filled, ColumnScales.of(marks, category=True)])


@through.register
def _(step: sklearn.preprocessing.OneHotEncoder, _columns: ColumnScales) -> ColumnScales:
    return ColumnScales.of(_n_out(step), category=True)


@through.register
def _(step: sklearn.preprocessing.FunctionTransformer, columns: ColumnScales) -> ColumnScales:
    return columns if step.func is None else ColumnScales.of(_n_out(step), computed=True)


@through.register
def _(step: Blockwise, columns: ColumnScales) -> ColumnScales:
    return through(step.transformer_, columns)


@through.register
def _(step: FeatureUnion, columns: ColumnScales) -> ColumnScales:
    weights = step.transformer_weights or {}
    return ColumnScales.joined(
        [
            (columns if each == "passthrough" else through(each, columns)).times(
                weights.get(name, 1.0)
            )
            for name, each in step.transformer_list
            if each != "drop"
        ]
    )


@through.register
def _(step: sklearn.compose.ColumnTransformer, columns: ColumnScales) -> ColumnScales:
    weights = step.transformer_weights or {}
    names = list(getattr(step, "feature_names_in_", ()))
    n_out = max((each.stop for each in step.output_indices_.values()), default=0)
    made = ColumnScales.of(n_out, computed=True)
    for name, each, selected in step.transformers_:
        place = step.output_indices_[name]
        if place.stop > place.start and not isinstance(each, str):
            part = through(each, columns.chosen(_positions(selected, names)))
            if len(part.factor) == place.stop - place.start:
                for into, values in zip(made, part.times(weights.get(name, 1.0)), strict=True):
                    into[place] = values
    return made


def _positions(selected: Any, names: list[str]) -> Any:
    """Return a selection of columns as NumPy takes it."""
    if isinstance(selected, slice):
        start, stop = (
            names.index(each) if isinstance(each, str) else each
            for each in (selected.start, selected.stop)
        )
        # By names, the last one belongs to it.
        return slice(start, stop + 1 if isinstance(selected.stop, str) else stop, selected.step)
    found = np.atleast_1d(np.asarray(selected))
    return found if found.dtype.kind in "bui" else [names.index(each) for each in found]


def _n_out(step: Any) -> int:
    try:
        return len(step.get_feature_names_out())
    except (AttributeError, ValueError):
        return 0  # not known: of no width, so that nobody takes the columns for some others
