"""Which part of a search a fit is: its candidate's parameters and its fold."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

#: scikit-learn's function that fits one candidate to one fold, and what it calls these.
_EVALUATION = ("sklearn.model_selection._validation", "_fit_and_score")
_REFIT = "refit-with-best-params"


def part_of(context: Any) -> dict[str, Any] | None:
    """Return what a fit is a part of; None for one that stands alone, also in a pipeline.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        Of the fit.

    Returns
    -------
    dict or None
        ``id`` (the same for all fits of a search), ``of`` (the search's class), ``n_fits`` (that
        are planned, without a refit), ``refit``, ``parameters`` (the candidate's, as text by name),
        ``fold`` and ``n_folds`` (from 1). What is not known is None.
    """
    task, refit, planned = context, False, None
    while task.parent is not None:
        refit = refit or _REFIT in (task.task_name, task.source_task_name)
        # Of a search the evaluations are the only tasks that come in no order.
        planned = planned or (None if task.parent.sequential_subtasks else task.parent.max_subtasks)
        task = task.parent
    if task is context or (task.estimator_name == "Pipeline" and planned is None and not refit):
        return None
    told = {} if refit else _evaluation()
    parameters = told.get("parameters")
    fold, n_folds = told.get("split_progress") or (None, None)
    return {
        "id": str(task.root_uuid),
        "of": task.estimator_name,
        "n_fits": planned,
        "refit": refit,
        "parameters": {name: _short(value) for name, value in parameters.items()}
        if isinstance(parameters, Mapping)
        else None,
        "fold": None if fold is None else fold + 1,
        "n_folds": n_folds,
    }


def _evaluation() -> Mapping[str, Any]:
    """Return what scikit-learn's function knows of the evaluation that calls this fit.

    The contexts of callbacks, the only official way, number the evaluations of a search and know
    neither parameters nor folds. If scikit-learn calls something otherwise one day, it is missing
    on the page and nothing else happens.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == _EVALUATION:
            return dict(frame.f_locals)
    return {}


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
