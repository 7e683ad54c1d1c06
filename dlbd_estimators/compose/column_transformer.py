"""scikit-learn's ColumnTransformer, lazy on Dask collections."""

from __future__ import annotations

from typing import Any

import sklearn
import sklearn.compose
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.blocks.sources import is_frame, is_lazy
from dlbd_estimators.compose.column_selection import (
    Work,
    is_entry,
    placeholder,
    positions_of,
    without_placeholders,
)
from dlbd_estimators.compose.columns import concatenated, read_once, take, take_each
from dlbd_estimators.compose.steps import lazy_output, refuse_eager
from dlbd_estimators.preprocessing.columns import numbers_without_na
from dlbd_estimators.preprocessing.fits_together import fit_together, shares_passes
from dlbd_estimators.preprocessing.lazy import LazyTransformer, check_lazy


class _LazyColumns(LazyTransformer):
    """Mixin with ``fit``, ``fit_transform`` and ``transform`` for lazy data.

    These methods are not defined in the class of the estimator itself: there scikit-learn would
    wrap them to make the containers of ``set_output``, which would load the data.
    """

    transformers: Any
    remainder: Any
    transformer_weights: Any
    n_features_in_: int

    def _check_loaded(self) -> None:
        super()._check_loaded()
        for name, _, columns in vars(self).get("transformers_", ()):
            chosen = columns if isinstance(columns, list) else []
            kinds = {type(column) for column in chosen}
            numbers, names = kinds == {int}, kinds == {str} and hasattr(self, "feature_names_in_")
            if not (numbers or names or kinds <= {bool}) or (
                numbers and not all(0 <= column < self.n_features_in_ for column in chosen)
            ):
                raise ValueError(f"the transformer {name!r} has no columns {chosen!r:.50}")

    def fit(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit all transformers.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,), optional
            Targets, for the transformers.
        **params : dict
            Parameters that scikit-learn routes to the transformers; for data in memory only.

        Returns
        -------
        ColumnTransformer
            The fitted object.

        Raises
        ------
        TypeError
            X is lazy, and a transformer would load it into memory, or returns data in memory.
        ValueError
            A column does not exist, or a transformer changes the number of rows.
        """
        self.fit_transform(X, y, **params)
        return self

    def fit_transform(self, X: Any, y: Any = None, **params: Any) -> Any:
        """Fit all transformers, transform X, and put the results side by side.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        y : array-like or lazy array of shape (n_samples,), optional
            Targets, for the transformers.
        **params : dict
            Parameters that scikit-learn routes to the transformers; for data in memory only.

        Returns
        -------
        ndarray, sparse matrix, DataFrame or lazy collection
            The results side by side, as :meth:`transform` returns them.
        """
        vars(self).pop("n_passes_", None)
        if not is_lazy(X):
            return super().fit_transform(X, y, **params)
        _refuse_parameters(params)
        X = check_lazy(BaseEstimator(), X, reset=True)
        shared = read_once(X)
        own = X if is_frame(X) else shared
        listed = self.transformers if isinstance(self.transformers, list | tuple) else ()
        for name, transformer, _ in filter(is_entry, [*listed, ("remainder", self.remainder, [])]):
            refuse_eager(name, transformer)
        ready, n_passes = self._fit_in_same_sweeps(X, own)

        def work(name: str, transformer: Any, positions: list[int], table: Any) -> tuple[Any, Any]:
            nonlocal n_passes
            if isinstance(transformer, str):  # "passthrough", as scikit-learn does it
                fitted = FunctionTransformer(
                    accept_sparse=True, check_inverse=False, feature_names_out="one-to-one"
                )
                return fitted.fit(table), take(shared, positions)
            # The passes of the fit read only the columns of this step. The output is made from the
            # blocks that all steps share, so that a pass over the result reads them once.
            fitted = ready.get(name)
            if fitted is None:
                fitted = clone(transformer).fit(take(own, positions), y)
                n_passes += _passes(fitted)
            return fitted, lazy_output(name, fitted, take(shared, positions))

        plan = self._plan(work, X)
        _run(plan, "fit_transform", X)
        fitted = {k: v for k, v in vars(plan).items() if k not in plan.get_params(deep=False)}
        for key, value in fitted.items():
            if not key.startswith("_sklearn"):  # the plan's configuration of its output
                setattr(self, key, without_placeholders(value))
        self.transformers_ = [
            (name, getattr(step, "fitted_", without_placeholders(step)), columns)
            for name, step, columns in plan.transformers_
        ]
        self.n_passes_ = n_passes
        return self._joined(plan, shared)

    def _fit_in_same_sweeps(self, X: Any, own: Any) -> tuple[dict[str, Any], float]:
        """Fit the transformers that can share their passes.

        Returns
        -------
        tuple of (dict, float)
            The fitted transformers by the names of their steps, and the number of passes over X.
        """
        found: dict[str, tuple[Any, list[int]]] = {}

        def note(name: str, transformer: Any, positions: list[int], table: Any) -> tuple[Any, Any]:
            if not isinstance(transformer, str) and shares_passes(transformer):
                found[name] = clone(transformer), positions
            return transformer, table

        plan = self._plan(note, X).set_params(verbose=False)
        _run(plan, "fit_transform", X)
        transformers = [transformer for transformer, _ in found.values()]
        columns = take_each(own, [positions for _, positions in found.values()])
        n_passes = float(fit_together(transformers, columns))
        return dict(zip(found, transformers, strict=True)), n_passes

    def transform(self, X: Any, **params: Any) -> Any:
        """Transform X by each transformer, and put the results side by side.

        Parameters
        ----------
        X : array-like, dask.array.Array, dask.dataframe.DataFrame or zarr.Array
            Features of shape (n_samples, n_features). Or an xarray Dataset or DataArray.
        **params : dict
            Parameters that scikit-learn routes to the transformers; for data in memory only.

        Returns
        -------
        ndarray, sparse matrix, DataFrame or lazy collection of shape (n_samples, n_features_out)
            The results side by side. For lazy X it is a Dask array, or a Dask data frame after
            ``set_output(transform="pandas")``.
        """
        if not is_lazy(X):
            # Skip LazyTransformer.transform, which accepts no parameters.
            own: Any = super(LazyTransformer, self)
            return own.transform(self._in_memory(X), **params)
        check_is_fitted(self)
        _refuse_parameters(params)
        X = check_lazy(BaseEstimator(), X, reset=True)
        shared = read_once(X)

        def work(name: str, transformer: Any, positions: list[int], _table: Any) -> tuple[Any, Any]:
            part = take(shared, positions)
            if isinstance(transformer, FunctionTransformer) and transformer.func is None:
                return transformer, part  # a "passthrough" step
            refuse_eager(name, transformer)
            return transformer, lazy_output(name, transformer, part)

        plan = self._plan(work, X)
        params = plan.get_params(deep=False)
        for key, value in vars(self).items():
            if key not in params and not key.startswith("_sklearn"):
                setattr(plan, key, value)
        plan.transformers_ = [placeholder(entry, work, X) for entry in self.transformers_]
        _run(plan, "transform", X)
        return self._joined(plan, shared)

    def _in_memory(self, X: Any) -> Any:
        """Return X with NaN for ``pandas.NA`` if the results are arrays, which cannot hold it."""
        own = getattr(self, "_sklearn_output_config", {}).get("transform")
        chosen = own or sklearn.get_config()["transform_output"]
        return numbers_without_na(X) if chosen == "default" else X

    def _plan(self, work: Work, X: Any) -> sklearn.compose.ColumnTransformer:
        """Return scikit-learn's class with placeholders as steps, for a table of positions."""
        params = self.get_params(deep=False)  # type: ignore[attr-defined] # scikit-learn's
        _, remainder, _ = placeholder(("remainder", self.remainder, []), work, None)
        # scikit-learn raises an error for transformers of another type.
        if isinstance(self.transformers, list | tuple):
            params["transformers"] = [placeholder(entry, work, X) for entry in self.transformers]
        params["remainder"] = remainder
        params |= {"transformer_weights": None, "n_jobs": None}
        return sklearn.compose.ColumnTransformer(**params)

    def _joined(self, plan: sklearn.compose.ColumnTransformer, X: Any) -> Any:
        weights = self.transformer_weights or {}
        steps = [step for _, step, _ in plan.transformers_ if hasattr(step, "output_")]
        return concatenated(
            self,
            X,
            [step.name for step in steps],
            [step.output_ for step in steps],
            [weights.get(step.name) for step in steps],
        )


class ColumnTransformer(_LazyColumns, sklearn.compose.ColumnTransformer):
    """Transform each group of columns in its own way, and put the results side by side.

    In memory this is scikit-learn's class. On lazy data the result is lazy, and the transformers
    must be lazy too: those of :mod:`dlbd_estimators.preprocessing`, scikit-learn's ``Pipeline`` of
    these, or any others that return Dask collections. A transformer that would load the data, as
    scikit-learn's own ones do, is refused with a message that names an alternative.

    Parameters
    ----------
    transformers : list of (str, transformer, columns)
        Name, transformer (or "drop" or "passthrough"), and columns: names, positions, a slice, a
        mask or a callable. With a Dask data frame a callable gets an empty frame with the same
        columns; ``make_column_selector`` works.
    remainder : {"drop", "passthrough"} or transformer, default="drop"
        What happens to columns that no step selects.
    sparse_threshold : float, default=0.3
        For data in memory, as in scikit-learn; lazy results are dense.
    n_jobs : int, default=None
        For data in memory, as in scikit-learn. Passes over lazy data run one after the other, each
        of them in parallel.
    transformer_weights : dict, default=None
        Factor for the output of each step, by the name of the step.
    verbose : bool, default=False
        Whether to print the time that each step took. With lazy data this leaves out the passes
        that steps share.
    verbose_feature_names_out : bool, str or callable, default=True
        Whether the names of output columns begin with the name of their step. A str or callable
        makes the names, as in scikit-learn.

    Attributes
    ----------
    transformers_ : list of (str, transformer, columns)
        Fitted transformers.
    named_transformers_ : Bunch
        Fitted transformers by name.
    output_indices_ : dict of slice
        Columns of the result that come from each step, by the name of the step.
    sparse_output_ : bool
        Whether the result is sparse.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features, where X had names.
    n_passes_ : float
        Passes over the data; a pass that several steps share counts once. Absent after a fit to
        data in memory.

    Notes
    -----
    In ``fit``, transformers of :mod:`dlbd_estimators.preprocessing`, and pipelines of these, share
    their passes: each partition is read once for the statistics of all of them, and once more for
    statistics that depend on others (such as statistics of an encoder's output). A pass reads only
    the columns of steps that are fitted, if the storage allows it (Parquet does, CSV does not).
    When the result is read, each partition is read once for all steps.

    Examples
    --------
    >>> import dask.array as da
    >>> from dlbd_estimators.compose import ColumnTransformer
    >>> from dlbd_estimators.preprocessing import StandardScaler
    >>> X = da.ones((6, 3), chunks=(2, 3))
    >>> columns = ColumnTransformer([("scaled", StandardScaler(), [0, 1])], remainder="passthrough")
    >>> columns.fit_transform(X).compute()[0]
    array([0., 0., 1.])
    """


def make_column_transformer(*transformers: Any, **options: Any) -> ColumnTransformer:
    """Make a :class:`ColumnTransformer` whose steps are named after their classes.

    Parameters
    ----------
    *transformers : tuple of (transformer, columns)
        Transformers and the columns that each of them gets.
    **options
        ``remainder``, ``sparse_threshold``, ``n_jobs``, ``verbose`` and
        ``verbose_feature_names_out`` of :class:`ColumnTransformer`.

    Returns
    -------
    ColumnTransformer
        The transformer, not fitted.

    Examples
    --------
    >>> from dlbd_estimators.compose import make_column_transformer
    >>> from dlbd_estimators.preprocessing import OneHotEncoder, StandardScaler
    >>> columns = make_column_transformer(
    ...     (StandardScaler(), ["age", "income"]), (OneHotEncoder(), ["plan"])
    ... )
    >>> [name for name, _, _ in columns.transformers]
    ['standardscaler', 'onehotencoder']
    """
    named = sklearn.compose.make_column_transformer(*transformers, **options)
    return ColumnTransformer(**named.get_params(deep=False))


def _run(plan: sklearn.compose.ColumnTransformer, method: str, X: Any) -> None:
    """Run a plan's method on the positions of columns."""
    if isinstance(plan.transformers, list | tuple) and all(map(is_entry, plan.transformers)):
        # Placeholders do not name their output columns, as containers other than arrays require.
        plan.set_output(transform="default")
    getattr(plan, method)(positions_of(X))


def _refuse_parameters(params: dict[str, Any]) -> None:
    if params:
        raise ValueError(
            f"Parameters cannot be routed to the steps with lazy data, but {sorted(params)} were "
            f"passed. Fit those steps beforehand, or leave the parameters out."
        )


def _passes(transformer: Any) -> float:
    if isinstance(transformer, Pipeline):
        return sum(_passes(step) for _, step in transformer.steps)
    return float(getattr(transformer, "n_passes_", 0.0))
