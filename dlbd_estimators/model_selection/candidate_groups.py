"""Group the candidates of a search that can be fitted together in shared sweeps over the data.

A model class takes part if it defines three attributes itself: ``_shared_parameters``, the names of
parameters in which candidates may differ; ``_may_share``, which checks the other parameters; and
``_fit_on_splits``, which fits the candidates. A scaler before the model takes part if it defines
``_of_moments``, which returns a fitted scaler for given means and variances of the columns. This
module imports none of these classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.pipeline import Pipeline


@dataclass
class Group:
    """Candidates that are fitted together.

    Attributes
    ----------
    scaler : transformer or None
        The step before the model.
    models : list of estimator
        The model of each candidate, with its parameters.
    keys : list of str
        The key of each candidate, see :func:`key_of`.
    """

    scaler: Any
    models: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)


class SplitScalers:
    """The scaler before the model, fitted to the training rows of each split in order.

    Parameters
    ----------
    scaler : transformer
        The scaler with its parameters, not fitted.
    """

    def __init__(self, scaler: Any) -> None:
        self.with_mean = bool(scaler.with_mean)
        self.fitted: list[Any] = []
        self._scaler = scaler

    def __call__(self, mean: Any, variance: Any, n_rows: int) -> Any:
        """Fit the scaler to the next split, and return the divisors of the columns."""
        fitted = self._scaler._of_moments(mean, variance, n_rows)
        self.fitted.append(fitted)
        return np.ones_like(mean) if fitted.scale_ is None else fitted.scale_


def with_parameters(estimator: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a clone with a candidate's parameters.

    Raises
    ------
    ValueError
        A name is not a parameter of the estimator. The message lists all parameters.
    """
    copied = clone(estimator)
    return copied.set_params(**clone(dict(parameters), safe=False)) if parameters else copied


def groups_of(
    estimator: Any, candidates: Sequence[Mapping[str, Any]], *, bare: bool
) -> list[Group]:
    """Find the candidates that can be fitted together.

    Parameters
    ----------
    estimator : estimator
        The estimator whose parameters are searched.
    candidates : sequence of dict
        Parameters of each candidate.
    bare : bool
        Whether to group only candidates that are no pipeline.
    """
    groups: dict[str, Group] = {}
    for parameters in candidates:
        model = with_parameters(estimator, parameters)
        scaler_and_model = steps_of(model)
        if scaler_and_model is None or (bare and isinstance(model, Pipeline)):
            continue
        scaler, final = scaler_and_model
        common = _text(final, vars(type(final))["_shared_parameters"])
        group = groups.setdefault(f"{_text(scaler)} {common}", Group(scaler))
        key = key_of(model)
        if key not in group.keys:
            group.models.append(final)
            group.keys.append(key)
    return list(groups.values())


def steps_of(model: Any) -> tuple[Any, Any] | None:
    """Return the scaler (or None) and the model of a candidate; None if it cannot share sweeps."""
    steps = [model]
    if type(model) is Pipeline:
        if model.memory is not None or model.transform_input is not None or _is_watched(model):
            return None
        steps = [step for _, step in model.steps if not _is_passthrough(step)]
        if _is_passthrough(model.steps[-1][1]):
            return None
    if not 1 <= len(steps) <= 2 or any(_is_watched(step) for step in steps):
        return None
    *before, final = steps
    if "_shared_parameters" not in vars(type(final)) or not _is_plain(final):
        return None
    if not final._may_share():
        return None
    scaler = before[0] if before else None
    return (scaler, final) if scaler is None or _can_share_sweeps(scaler, final) else None


def _can_share_sweeps(scaler: Any, final: Any) -> bool:
    if "_of_moments" not in vars(type(scaler)) or not _is_plain(scaler):
        return False
    if hasattr(scaler, "_sklearn_output_config") or get_config()["transform_output"] != "default":
        return False
    flags = scaler.get_params().values()
    # Without an intercept, a model for centred columns has no equivalent for the columns of X.
    centres = bool(scaler.with_mean) and not final.fit_intercept
    return all(isinstance(item, bool) for item in flags) and not centres


def _is_passthrough(step: Any) -> bool:
    return step is None or (isinstance(step, str) and step == "passthrough")


def _is_watched(step: Any) -> bool:
    """Return whether a step has callbacks, which shared fits would not call."""
    return bool(getattr(step, "_skl_callbacks", ()))


def _is_plain(step: Any) -> bool:
    """Return whether the printed parameters of an estimator identify it."""
    return all(_is_value(item) for item in step.get_params(deep=False).values())


def _is_value(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_value(item) for pair in value.items() for item in pair)
    return value is None or isinstance(value, bool | int | float | str | np.number)


def key_of(model: Any) -> str:
    """Return the key of a candidate that can share sweeps: its steps and parameters as text."""
    steps = [step for _, step in model.steps] if isinstance(model, Pipeline) else [model]
    return " ".join(_text(step) for step in steps)


def _text(step: Any, without: Sequence[str] = ()) -> str:
    if step is None or isinstance(step, str):
        return repr(step)
    given = sorted(step.get_params(deep=False).items())
    return repr((type(step), [(name, value) for name, value in given if name not in without]))


def as_candidate(model: Any, scaler: Any, final: Any) -> Any:
    """Return a fitted candidate that consists of its fitted scaler and model."""
    if not isinstance(model, Pipeline):
        return final
    if scaler is not None:
        scaler, final = copy(scaler), copy(final)
        scaler.n_features_in_ = final.n_features_in_
        names = vars(final).pop("feature_names_in_", None)  # the model sees an array without names
        if names is not None:
            scaler.feature_names_in_ = names
    fitted = clone(model)
    *before, (last, _) = fitted.steps
    steps = [(name, step if _is_passthrough(step) else scaler) for name, step in before]
    fitted.steps = [*steps, (last, final)]
    return fitted
