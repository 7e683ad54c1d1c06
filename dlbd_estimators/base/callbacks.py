"""Report the progress of a fit to scikit-learn's callbacks, and as events to listeners.

For callbacks, a fit is a task, and each of its steps is a subtask. The solvers depend on neither
callbacks nor listeners. They call plain functions before and after each step, in the process that
called ``fit``. Callbacks and listeners run in that process; they are never sent to workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from sklearn import callback

from dlbd_estimators.base.checkpoint import FitCheckpoint
from dlbd_estimators.base.search_candidate import part_of
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.blocks.block import Blocks
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.monitoring.events import FitEvents
from dlbd_estimators.monitoring.lines import print_line
from dlbd_estimators.monitoring.listeners import listeners_of
from dlbd_estimators.solvers.history import Record

#: The largest number of steps of an estimator with ``max_iter=None``.
_MOST_STEPS = 1000
_Fit = TypeVar("_Fit", bound=Callable[..., Any])


def with_callbacks(fit: _Fit) -> _Fit:
    """Decorate ``fit`` so that callbacks are torn down at its end, also after an error.

    This is :func:`sklearn.callback.with_callbacks` with type annotations.
    """
    return cast(_Fit, callback.with_callbacks(fit))


def most_steps(estimator: Any) -> int:
    """Return the largest number of steps that an estimator's ``max_iter`` allows."""
    return _MOST_STEPS if estimator.max_iter is None else int(estimator.max_iter)


@contextmanager
def fit_task(
    estimator: Any,
    X: Any,
    y: Any,
    sample_weight: Any,
    *,
    step: str = "iteration",
    callbacks: bool = True,
    max_steps: int | None = None,
) -> Iterator[FitTask]:
    """Report the start of a fit on entering, and its end or failure on leaving.

    Parameters
    ----------
    estimator : estimator
        A :class:`sklearn.callback.CallbackSupportMixin`. The context surrounds the body of its
        ``fit``, which :func:`with_callbacks` decorates. Its ``max_iter`` is the largest number of
        steps. On leaving, it must have its fitted attributes.
    X, y, sample_weight
        The arguments of the user, passed to callbacks unchanged.
    step : str, default="iteration"
        Name of a step.
    callbacks : bool, default=True
        Whether to call callbacks. False for ``partial_fit``, which their protocol does not cover.
    max_steps : int, optional
        The largest number of steps, for an estimator without ``max_iter``.
    """
    # partial_fit makes one step.
    n_steps = (max_steps or most_steps(estimator)) if callbacks else 1
    checkpoint = FitCheckpoint(estimator if callbacks else None)
    context = None
    if callbacks and is_observed(estimator):
        context = CallbackTask(estimator, X, y, sample_weight, step, n_steps)
    task = FitTask(estimator, context, step, n_steps, checkpoint)
    task.status = "converged" if callbacks else "done"
    try:
        yield task
        if context is not None:
            context.end()
    except BaseException as error:
        task.events.end("failed", error)
        raise
    task.events.end(task.status)


class FitTask:
    """A fit and its steps; see :func:`fit_task`.

    Attributes
    ----------
    max_steps : int
        The largest number of steps.
    status : str
        Why the fit ended, as far as it is known.
    events : FitEvents
        Sends events to listeners.
    checkpoint : FitCheckpoint
        Saves the fit, and resumes it.
    """

    def __init__(
        self,
        estimator: Any,
        callbacks: CallbackTask | None,
        step: str,
        max_steps: int,
        checkpoint: FitCheckpoint,
    ) -> None:
        self._estimator = estimator
        self._callbacks = callbacks
        self.checkpoint = checkpoint
        self._step_name = step
        self.max_steps = max_steps
        self.events = FitEvents()
        self.status = "converged"

    def start(self, executor: Executor, blocks: Blocks, *, print_lines: bool = False) -> None:
        """Notify listeners that the fit starts to read blocks; optionally print events, too."""
        estimator = self._estimator
        self.events.start(
            executor,
            estimator=type(estimator).__name__,
            parameters=lambda: estimator.get_params(deep=False),
            step=self._step_name,
            max_steps=self.max_steps,
            tol=float(getattr(estimator, "tol", 0.0)),
            n_rows=None if blocks.sizes is None else sum(blocks.sizes),
            n_features=blocks.n_features,
            n_blocks=blocks.n_blocks,
            part=None if self._callbacks is None else part_of(self._callbacks.context),
            listeners=[*listeners_of(executor), *([print_line] if print_lines else [])],
        )

    @property
    def is_observed(self) -> bool:
        """Whether a callback or a listener follows the steps; known after :meth:`start`."""
        return self._callbacks is not None or self.events.has_listeners

    def begin_step(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """Notify callbacks that a step begins.

        Parameters
        ----------
        attributes : callable
            Returns the attributes that the estimator would have if the fit ended now. It is called
            if a callback needs a fitted estimator.
        """
        if self._callbacks is not None:
            self._callbacks.begin_step(attributes)

    def end_step(self, record: Record, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Report that the step has ended; return whether a callback stops the fit."""
        self.events.step(record.entry)
        stopped = self._callbacks is not None and self._callbacks.end_step(attributes)
        if stopped:
            self.status = "stopped"
        return stopped

    def warn(self, status: str, message: str, category: type[Warning]) -> None:
        """Notify listeners why the fit ends before it reaches a minimum, then warn the user."""
        self.status = status
        self.events.warn(message)
        warn_user(message, category)


def is_observed(estimator: Any) -> bool:
    """Return whether an estimator has callbacks, or its fit is a task of a meta-estimator."""
    return bool(getattr(estimator, "_skl_callbacks", ())) or hasattr(
        estimator, "_parent_callback_ctx"
    )


class CallbackTask:
    """A fit and its steps, as tasks of scikit-learn's callback protocol."""

    def __init__(
        self, estimator: Any, X: Any, y: Any, sample_weight: Any, step: str, max_steps: int
    ) -> None:
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._facts = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._name = step
        self._fit = estimator._init_callback_context(max_subtasks=max_steps)
        self._fit.call_on_fit_task_begin(**self._facts)
        self._step: Any = None

    @property
    def context(self) -> Any:
        """scikit-learn's context of the fit."""
        return self._fit

    def begin_step(self, attributes: Callable[[], dict[str, Any]]) -> None:
        """Notify callbacks that a step begins.

        Parameters
        ----------
        attributes : callable
            Returns the attributes that the estimator would have if the fit ended now. It is called
            if a callback needs a fitted estimator.
        """
        self._step = self._fit.subcontext(task_name=self._name)
        self._step.call_on_fit_task_begin(**self._facts, reconstruction_attributes=attributes)

    def end_step(self, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Notify callbacks that the step has ended; return whether one of them stops the fit."""
        step, self._step = self._step, None
        return bool(step.call_on_fit_task_end(**self._facts, reconstruction_attributes=attributes))

    def end(self) -> None:
        """Notify callbacks that the fit has ended; end an interrupted step before that."""
        if self._step is not None:
            self._step.call_on_fit_task_end(estimator=self._facts["estimator"])
        # The estimator is fitted, so no attributes have to be added.
        self._fit.call_on_fit_task_end(**self._facts, reconstruction_attributes={})
