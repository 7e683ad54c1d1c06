"""Determine how the steps of a pipeline scale the columns that its model sees.

A coefficient belongs to a column that the model sees. After a scaler, this column differs from the
column of the data: to compare two coefficients, or to explain one, the scale is needed.
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
    """The scale of each column, relative to the column of the data from which it was made.

    Attributes
    ----------
    factor : ndarray of float
        Change of the column when its column of the data changes by one unit.
    std : ndarray of float
        Standard deviation of the column in the rows of the fit; NaN if no step has computed it.
    category : ndarray of bool
        Whether the column is 1 for a category and 0 for the others.
    computed : ndarray of bool
        Whether a step has computed the column in another way than by scaling.
    """

    factor: NDArray[np.float64]
    std: NDArray[np.float64]
    category: NDArray[np.bool_]
    computed: NDArray[np.bool_]

    @classmethod
    def of(cls, n: int, *, category: bool = False, computed: bool = False) -> ColumnScales:
        """Return the scales of ``n`` columns that no step has scaled."""
        return cls(np.ones(n), np.full(n, np.nan), np.full(n, category), np.full(n, computed))

    def scaled_by(self, by: Any) -> ColumnScales:
        """Return the scales of the columns after each was multiplied by a number."""
        return self._replace(factor=self.factor * by, std=self.std * np.abs(by))

    def select(self, index: Any) -> ColumnScales:
        """Return the scales of some columns."""
        return ColumnScales(*(each[index] for each in self))

    @staticmethod
    def concatenate(parts: Sequence[ColumnScales]) -> ColumnScales:
        """Return the scales of several groups of columns side by side."""
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
        Number of columns that the model sees.
    """
    columns = ColumnScales.of(n_features)
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        steps = estimator[:-1]
        columns = scales_after_step(steps, ColumnScales.of(steps.n_features_in_))
    # If the numbers differ, the columns could not be followed through a step: take all as computed.
    known = len(columns.factor) == n_features
    return columns if known else ColumnScales.of(n_features, computed=True)


def coefficients_per_unit(
    estimator: Any, coef: NDArray[np.float64], per: str, X: Any
) -> tuple[NDArray[np.float64], str]:
    """Return coefficients for another unit of the columns, and this unit in words.

    Parameters
    ----------
    estimator : estimator or Pipeline
        The model, or a pipeline that ends in it.
    coef : ndarray of float of shape (n_features,)
        Coefficients per unit of the columns that the model sees.
    per : {"model", "unit", "std"}
        The unit, as in :meth:`CoefficientsDisplay.from_estimator`.
    X : array-like, Dask collection or None
        Rows from which to compute standard deviations that no step has computed.

    Raises
    ------
    ValueError
        ``per`` is none of these, or ``X`` is missing, or ``X`` is passed although ``per`` does not
        need it.
    """
    if per not in ("model", "unit", "std"):
        raise ValueError(f'per must be "model", "unit" or "std", but is {per!r}.')
    if X is not None and per != "std":
        raise ValueError(f'X is used only for per="std", but per is {per!r}.')
    columns = column_scales(estimator, len(coef))
    others = ",\nfor categories 1 against 0" if columns.category.any() else ""
    if columns.computed.any() and per != "std":
        others += ",\nfor computed columns their own unit"
    numbers = columns.select(~columns.category)
    if per == "model":
        if (numbers.factor == 1.0).all():
            return coef, f"unit of the column{others}"
        standard = np.isclose(numbers.std, 1.0) | (numbers.std == 0.0)  # 0: a constant column
        if standard.all():
            return coef, f"standard deviation of the column{others}"
        return coef, f"unit of the scaled column{others}"
    if per == "unit":
        return coef * columns.factor, f"unit of the column{others}"
    std = np.where(columns.category, 1.0, columns.std)
    if np.isnan(std).any():
        std = np.where(np.isnan(std), _std_of(estimator, X), std)
    return coef * std, f"standard deviation of the column{others}"


def _std_of(estimator: Any, X: Any) -> NDArray[np.float64]:
    """Return the standard deviations of the columns that the model sees, computed from rows."""
    if X is None:
        raise ValueError(
            'per="std" needs the standard deviations of the columns, and the pipeline has no '
            "StandardScaler that has computed them: pass rows as X."
        )
    if isinstance(estimator, Pipeline) and len(estimator) > 1:
        X = estimator[:-1].transform(X)
    else:
        check_columns(estimator, X)
    std: NDArray[np.float64] = np.sqrt(StandardScaler(with_mean=False).fit(X).var_)
    return std


@singledispatch
def scales_after_step(step: Any, _columns: ColumnScales) -> ColumnScales:
    """Return the scales of columns after a fitted step; an unknown step makes computed columns."""
    return ColumnScales.of(_n_out(step), computed=True)


@scales_after_step.register
def _(step: Pipeline, columns: ColumnScales) -> ColumnScales:
    for _, each in step.steps:
        if each is not None and each != "passthrough":
            columns = scales_after_step(each, columns)
    return columns


@scales_after_step.register
def _(step: sklearn.preprocessing.StandardScaler, columns: ColumnScales) -> ColumnScales:
    if step.var_ is not None:
        columns = columns._replace(std=np.where(columns.category, np.nan, np.sqrt(step.var_)))
    return columns if step.scale_ is None else columns.scaled_by(1.0 / step.scale_)


@scales_after_step.register
def _(step: sklearn.preprocessing.MinMaxScaler, columns: ColumnScales) -> ColumnScales:
    return columns.scaled_by(step.scale_)


@scales_after_step.register
def _(step: sklearn.preprocessing.MaxAbsScaler, columns: ColumnScales) -> ColumnScales:
    return columns.scaled_by(1.0 / step.scale_)


@scales_after_step.register
def _(step: sklearn.preprocessing.RobustScaler, columns: ColumnScales) -> ColumnScales:
    return columns if step.scale_ is None else columns.scaled_by(1.0 / step.scale_)


@scales_after_step.register
def _(step: sklearn.impute.SimpleImputer, columns: ColumnScales) -> ColumnScales:
    n_out = _n_out(step)
    n_indicators = 0 if step.indicator_ is None else len(step.indicator_.features_)
    kept = np.arange(len(columns.factor))
    if n_out - n_indicators != len(kept):  # the imputer has dropped columns without any value
        kept = np.flatnonzero(~np.isnan(np.asarray(step.statistics_, dtype=float)))
    # Imputed values change the standard deviation.
    filled = columns.select(kept)._replace(std=np.full(len(kept), np.nan))
    return ColumnScales.concatenate([filled, ColumnScales.of(n_indicators, category=True)])


@scales_after_step.register
def _(step: sklearn.preprocessing.OneHotEncoder, _columns: ColumnScales) -> ColumnScales:
    return ColumnScales.of(_n_out(step), category=True)


@scales_after_step.register
def _(step: sklearn.preprocessing.FunctionTransformer, columns: ColumnScales) -> ColumnScales:
    return columns if step.func is None else ColumnScales.of(_n_out(step), computed=True)


@scales_after_step.register
def _(step: Blockwise, columns: ColumnScales) -> ColumnScales:
    return scales_after_step(step.transformer_, columns)


@scales_after_step.register
def _(step: FeatureUnion, columns: ColumnScales) -> ColumnScales:
    weights = step.transformer_weights or {}
    return ColumnScales.concatenate(
        [
            (columns if each == "passthrough" else scales_after_step(each, columns)).scaled_by(
                weights.get(name, 1.0)
            )
            for name, each in step.transformer_list
            if each != "drop"
        ]
    )


@scales_after_step.register
def _(step: sklearn.compose.ColumnTransformer, columns: ColumnScales) -> ColumnScales:
    weights = step.transformer_weights or {}
    names = list(getattr(step, "feature_names_in_", ()))
    n_out = max((each.stop for each in step.output_indices_.values()), default=0)
    scales = ColumnScales.of(n_out, computed=True)
    for name, each, selected in step.transformers_:
        place = step.output_indices_[name]
        if place.stop > place.start and not isinstance(each, str):
            part = scales_after_step(each, columns.select(_positions(selected, names)))
            if len(part.factor) == place.stop - place.start:
                for into, values in zip(
                    scales, part.scaled_by(weights.get(name, 1.0)), strict=True
                ):
                    into[place] = values
    return scales


def _positions(selected: Any, names: list[str]) -> Any:
    """Return a selection of columns in a form by which NumPy can index."""
    if isinstance(selected, slice):
        start, stop = (
            names.index(each) if isinstance(each, str) else each
            for each in (selected.start, selected.stop)
        )
        # A slice of names includes its last name, as in pandas.
        return slice(start, stop + 1 if isinstance(selected.stop, str) else stop, selected.step)
    found = np.atleast_1d(np.asarray(selected))
    return found if found.dtype.kind in "bui" else [names.index(each) for each in found]


def _n_out(step: Any) -> int:
    try:
        return len(step.get_feature_names_out())
    except (AttributeError, ValueError):
        return 0  # not known: with no columns, the numbers differ, and all are taken as computed
