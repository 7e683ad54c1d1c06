"""Fit several transformers to columns of the same rows in shared passes.

The fit of a transformer of this package is a generator that requests its passes
(``_fit_by_passes``). Here, a Pipeline of such transformers becomes a generator, too. Requests that
several generators make at the same time are answered by reading the rows once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from dlbd_estimators.engine.passes_together import RowPassGenerator, run_fits_together
from dlbd_estimators.preprocessing.lazy import LazyTransformer
from dlbd_estimators.preprocessing.shared_statistics import (
    PipelineFit,
    input_statistics,
    record_input,
)


def shares_passes(transformer: Any) -> bool:
    """Return whether a transformer's fit can share its passes with other fits."""
    if type(transformer) is Pipeline:
        return _is_plain(transformer)
    # A user's subclass may have another `fit`, and only `fit` calls callbacks.
    fit = getattr(type(transformer), "fit", None)
    own_fit = getattr(fit, "__module__", "").startswith(f"{__package__}.")
    return own_fit and isinstance(transformer, LazyTransformer) and not _has_callbacks(transformer)


def fit_together(transformers: Sequence[Any], columns: Sequence[Any]) -> int:
    """Fit transformers that share their passes; return how often the rows were read.

    Parameters
    ----------
    transformers : sequence of transformer
        Transformers for which :func:`shares_passes` returns True.
    columns : sequence of dask.array.Array or dask.dataframe.DataFrame
        The input of each transformer. All inputs are columns of the same rows.
    """
    pairs = zip(transformers, columns, strict=True)
    return run_fits_together([_pass_generator(transformer, X) for transformer, X in pairs])


def _is_plain(pipeline: Any) -> bool:
    """Return whether scikit-learn would only fit and transform the steps one after the other."""
    steps = pipeline.steps
    if not isinstance(steps, list | tuple) or not steps:
        return False
    if pipeline.memory is not None or pipeline.verbose is not False or _has_callbacks(pipeline):
        return False
    if pipeline.transform_input is not None or len({name for name, _ in steps}) < len(steps):
        return False
    # Leave pipelines with invalid names to scikit-learn, which raises the error.
    taken = pipeline.get_params(deep=False)
    if any(not isinstance(name, str) or "__" in name or name in taken for name, _ in steps):
        return False
    return all(_is_passthrough(step) or shares_passes(step) for _, step in steps)


def _is_passthrough(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _has_callbacks(estimator: Any) -> bool:
    return bool(getattr(estimator, "_skl_callbacks", None))


def _pass_generator(transformer: Any, X: Any) -> RowPassGenerator[None]:
    """Fit a transformer, or the steps of a pipeline one after the other."""
    fit, steps = PipelineFit(), list(_steps(transformer))
    for place, step in enumerate(steps):
        then = steps[place + 1] if place + 1 < len(steps) else None
        known = yield from step._fit_by_passes(X, fit.known(X), then)
        if then is not None:
            with input_statistics(step, fit):
                record_input(step, known)
                X = step.transform(X)


def _steps(transformer: Any) -> Iterator[LazyTransformer]:
    if not isinstance(transformer, Pipeline):
        yield transformer
        return
    for _, step in transformer.steps:
        if not _is_passthrough(step):
            yield from _steps(step)
