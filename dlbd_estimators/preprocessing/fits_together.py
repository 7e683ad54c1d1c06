"""Fits of transformers to columns of the same rows, in the same sweeps.

Transformers of this package tell the passes that their fits take (``_asks_to_fit``), and so does a
Pipeline of them here: what all of them ask for at the same time is one reading of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sklearn.pipeline import Pipeline

from dlbd_estimators.engine.passes_together import AsksForRows, answered_together
from dlbd_estimators.preprocessing.lazy import LazyTransformer
from dlbd_estimators.preprocessing.shared_statistics import (
    PipelineFit,
    input_statistics,
    record_input,
)


def shares_passes(transformer: Any) -> bool:
    """Tell whether a transformer's fit takes its passes together with those of others."""
    if type(transformer) is Pipeline:
        return _is_plain(transformer)
    # A subclass of a user's may fit in another way, and callbacks are told by `fit` alone.
    fit = getattr(type(transformer), "fit", None)
    ours = getattr(fit, "__module__", "").startswith(f"{__package__}.")
    return ours and isinstance(transformer, LazyTransformer) and not _has_callbacks(transformer)


def fit_together(transformers: Sequence[Any], columns: Sequence[Any]) -> int:
    """Fit transformers that share their passes; return how often the rows were read.

    Parameters
    ----------
    transformers : sequence of transformer
        Of which :func:`shares_passes` says so.
    columns : sequence of dask.array.Array or dask.dataframe.DataFrame
        What each of them is fitted to: columns of the same rows.
    """
    pairs = zip(transformers, columns, strict=True)
    return answered_together([_asks(transformer, X) for transformer, X in pairs])


def _is_plain(pipeline: Any) -> bool:
    """Tell whether scikit-learn would do no more than fit and transform, one after the other."""
    steps = pipeline.steps
    if not isinstance(steps, list | tuple) or not steps:
        return False
    if pipeline.memory is not None or pipeline.verbose is not False or _has_callbacks(pipeline):
        return False
    if pipeline.transform_input is not None or len({name for name, _ in steps}) < len(steps):
        return False
    # Names that cannot be are scikit-learn's to refuse.
    taken = pipeline.get_params(deep=False)
    if any(not isinstance(name, str) or "__" in name or name in taken for name, _ in steps):
        return False
    return all(_is_nothing(step) or shares_passes(step) for _, step in steps)


def _is_nothing(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _has_callbacks(estimator: Any) -> bool:
    return bool(getattr(estimator, "_skl_callbacks", None))


def _asks(transformer: Any, X: Any) -> AsksForRows[None]:
    """Fit a transformer, or the steps of a pipeline one after the other."""
    fit, steps = PipelineFit(), list(_steps(transformer))
    for place, step in enumerate(steps):
        then = steps[place + 1] if place + 1 < len(steps) else None
        known = yield from step._asks_to_fit(X, fit.known(X), then)
        if then is not None:
            with input_statistics(step, fit):
                record_input(step, known)
                X = step.transform(X)


def _steps(transformer: Any) -> Iterator[LazyTransformer]:
    if not isinstance(transformer, Pipeline):
        yield transformer
        return
    for _, step in transformer.steps:
        if not _is_nothing(step):
            yield from _steps(step)
