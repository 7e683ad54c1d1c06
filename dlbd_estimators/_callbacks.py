"""What scikit-learn's callbacks are told of a fit: it is a task, and each of its steps is one.

Layers below know of no callbacks. They call plain functions before and after a step, in the
process that called ``fit``: callbacks run there, and nothing of them goes to workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from sklearn import callback

StateT = TypeVar("StateT")
_Fit = TypeVar("_Fit", bound=Callable[..., Any])


def with_callbacks(fit: _Fit) -> _Fit:
    """Decorate ``fit``: whatever becomes of it, callbacks are torn down at its end.

    This is :func:`sklearn.callback.with_callbacks`, with types.
    """
    return cast(_Fit, callback.with_callbacks(fit))


@contextmanager
def fit_task(
    estimator: Any, X: Any, y: Any, sample_weight: Any, *, step: str = "iteration"
) -> Iterator[FitTask]:
    """Tell callbacks of a fit: of its begin on entering, of its end on leaving without an error.

    Parameters
    ----------
    estimator : estimator
        A :class:`sklearn.callback.CallbackSupportMixin` whose ``fit``, decorated by
        :func:`with_callbacks`, this surrounds. Its ``max_iter`` is the largest number of
        steps; on leaving it has its fitted attributes.
    X, y, sample_weight
        What the user passed; handed to callbacks as they are.
    step : str, default="iteration"
        What a step is called.
    """
    task = FitTask(estimator, X, y, sample_weight, step)
    yield task
    task.end()


class FitTask:
    """A fit and its steps, as tasks of the callback protocol; see :func:`fit_task`."""

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any, step: str) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._facts = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._name = step
        self._fit = estimator._init_callback_context(max_subtasks=int(estimator.max_iter))
        self._fit.call_on_fit_task_begin(**self._facts)
        self._step: Any = None

    def begin_step(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """Tell callbacks that a step begins.

        Parameters
        ----------
        attributes : callable
            Gives those that the estimator would have if the fit ended now; called if a
            callback wants a fitted estimator.
        """
        self._step = self._fit.subcontext(task_name=self._name)
        self._step.call_on_fit_task_begin(**self._facts, reconstruction_attributes=attributes)

    def end_step(self, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Tell callbacks that the step has ended; return whether one of them stops the fit."""
        step, self._step = self._step, None
        return bool(step.call_on_fit_task_end(**self._facts, reconstruction_attributes=attributes))

    def end(self) -> None:
        """Tell callbacks that the fit has ended, and before that a step that came to nothing."""
        if self._step is not None:
            self._step.call_on_fit_task_end(estimator=self._facts["estimator"])
        # Nothing to add: the estimator has all its attributes.
        self._fit.call_on_fit_task_end(**self._facts, reconstruction_attributes={})


def hooks(
    task: FitTask | None, attributes: Callable[[StateT], dict[str, Any]]
) -> tuple[Callable[[StateT], None] | None, Callable[[StateT, dict[str, float]], bool] | None]:
    """Return what a driver calls before and after a step, given what a state makes of a model.

    Without a task there is nothing to call.
    """
    if task is None:
        return None, None

    def before(state: StateT) -> None:
        task.begin_step(lambda: attributes(state))

    def after(state: StateT, _: dict[str, float]) -> bool:
        return task.end_step(lambda: attributes(state))

    return before, after
