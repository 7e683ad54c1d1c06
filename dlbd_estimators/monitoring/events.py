"""The stream of events that a fit emits.

An event is a dictionary of strings, numbers, None, and dictionaries of these; JSON and msgpack can
represent it. Infinite numbers and NaN become None. Every event has ``event`` (its kind), ``fit``
(the id of the fit), ``number`` (its position in the stream of that fit, from 0) and ``time``
(seconds since 1970). The other keys depend on the kind:

``fit_started``
    ``estimator``, ``parameters`` (as text, by name), ``step`` (what a step is called),
    ``max_steps``, ``tol``, ``n_rows`` (None if not known yet), ``n_features``, ``n_blocks``,
    ``n_workers`` (0: threads of the process that fits), ``n_threads``, ``part`` (None, or which
    part of a search the fit is: ``id``, ``of``, ``n_fits``, ``refit``, ``parameters``, ``fold``,
    ``n_folds``).
``step``
    All that the entry of the step in ``history_`` has, from ``iteration`` to ``bytes_read``; and,
    for this step only, ``step_seconds``, ``step_bytes`` (decoded and loaded), ``cache_hits``,
    ``n_blocks`` (used), ``n_tasks``, ``n_workers``, ``n_threads``, ``phases`` (see
    :mod:`~dlbd_estimators.monitoring.phases`) and ``decode_rate`` (bytes/s that all threads
    together would load if they did nothing else; None if nothing was loaded).
``warning``
    ``message``: the text of a warning to the user.
``fit_ended``
    ``status`` (``"converged"``, ``"stopped"``, ``"max_iter"``, ..., or ``"failed"``), ``error``
    (None, or the error as text), ``n_steps``, ``seconds``.
"""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlbd_estimators.engine.cost import TotalCost
from dlbd_estimators.engine.credentials import without_credentials
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.monitoring.phases import loading_rate, phases

Event = dict[str, Any]
Listener = Callable[[Event], None]

logger = logging.getLogger(__name__)


class FitEvents:
    """The stream of one fit.

    Parameters
    ----------
    listeners : sequence of callable
        Called with each event, in the thread that fits. If a listener raises an error, the error
        is logged, and the listener is not called again: no listener can break a fit.
    """

    def __init__(self, listeners: Sequence[Listener] = ()) -> None:
        self._listeners = list(listeners)
        self._fit = ""
        self._number = 0
        self._began = self._step_began = time.perf_counter()
        self._executor: Executor | None = None
        self._spent = TotalCost()
        self._n_steps = 0

    @property
    def started(self) -> bool:
        """Whether :meth:`start` was called."""
        return self._executor is not None

    @property
    def has_listeners(self) -> bool:
        """Whether anyone receives the events."""
        return bool(self._listeners)

    def start(
        self,
        executor: Executor,
        *,
        estimator: str,
        parameters: Callable[[], Mapping[str, Any]],
        step: str,
        max_steps: int,
        tol: float,
        n_rows: int | None,
        n_features: int,
        n_blocks: int,
        part: Mapping[str, Any] | None = None,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """Emit ``fit_started`` when a fit begins to read data, and add some more listeners.

        ``parameters`` is only called if there is a listener.
        """
        self._executor = executor
        self._listeners += listeners
        if not self._listeners:
            return
        self._fit = uuid.uuid4().hex
        n_workers, n_threads = executor.capacity()
        self._emit(
            "fit_started",
            estimator=estimator,
            parameters={
                name: without_credentials(repr(value)) for name, value in parameters().items()
            },
            step=step,
            max_steps=max_steps,
            tol=tol,
            n_rows=n_rows,
            n_features=n_features,
            n_blocks=n_blocks,
            n_workers=n_workers,
            n_threads=n_threads,
            part=part,
        )

    def step(self, entry: Callable[[], Mapping[str, Any]]) -> None:
        """Emit ``step`` when a step has ended, with its entry in ``history_``.

        ``entry`` is only called if there is a listener.
        """
        if self._executor is None or not self._listeners:
            return
        now, spent = time.perf_counter(), self._executor.spent
        seconds, in_step = now - self._step_began, spent - self._spent
        n_workers, n_threads = self._executor.capacity()
        self._emit(
            "step",
            **entry(),
            step_seconds=seconds,
            step_bytes=in_step.cost.bytes_read,
            cache_hits=in_step.cost.cache_hits,
            n_blocks=in_step.cost.n_blocks,
            n_tasks=in_step.cost.n_tasks,
            n_workers=n_workers,
            n_threads=n_threads,
            phases=phases(in_step, seconds),
            decode_rate=loading_rate(in_step, n_threads),
        )
        self._n_steps += 1
        self._step_began, self._spent = now, spent

    def warn(self, message: str) -> None:
        """Emit ``warning`` with the text of a warning to the user."""
        self._emit("warning", message=message)

    def end(self, status: str, error: BaseException | None = None) -> None:
        """Emit ``fit_ended``."""
        self._emit(
            "fit_ended",
            status=status,
            error=None if error is None else f"{type(error).__name__}: {error}",
            n_steps=self._n_steps,
            seconds=time.perf_counter() - self._began,
        )

    def _emit(self, kind: str, **facts: Any) -> None:
        if not self.started or not self._listeners:
            return
        event = {
            "event": kind,
            "fit": self._fit,
            "number": self._number,
            "time": time.time(),
            **{name: _plain(fact) for name, fact in facts.items()},
        }
        self._number += 1
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:
                self._listeners.remove(listener)
                logger.warning(
                    "%r raised an error for the event %r and gets no more events of this fit",
                    listener,
                    kind,
                    exc_info=True,
                )


def _plain(fact: Any) -> Any:
    if fact is None or isinstance(fact, str | bool):
        return fact
    if isinstance(fact, Mapping):
        return {name: _plain(value) for name, value in fact.items()}
    number = fact.item() if hasattr(fact, "item") else fact
    return number if isinstance(number, int) or math.isfinite(number) else None
