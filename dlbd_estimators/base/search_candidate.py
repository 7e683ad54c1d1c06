"""Find the candidate and the fold of a search to which a fit belongs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

#: Module and name of scikit-learn's function that fits one candidate to one fold.
_EVALUATION = ("sklearn.model_selection._validation", "_fit_and_score")
#: scikit-learn's name of the task that fits the best candidate to all rows.
_REFIT = "refit-with-best-params"


def part_of(context: Any) -> dict[str, Any] | None:
    """Return the place of a fit in a search; None for a fit by itself, also in a pipeline.

    Parameters
    ----------
    context : sklearn.callback.CallbackContext
        Context of the fit.

    Returns
    -------
    dict or None
        ``id`` (the same for all fits of a search), ``of`` (class of the search), ``n_fits`` (number
        of planned fits, without the refit), ``refit`` (whether this fit is the refit),
        ``parameters`` (of the candidate, as texts by name), ``fold`` (from 1) and ``n_folds``.
        Values that are unknown are None.
    """
    task, refit, planned = context, False, None
    while task.parent is not None:
        refit = refit or _REFIT in (task.task_name, task.source_task_name)
        # In a search, only the evaluations of candidates are tasks without a fixed order.
        planned = planned or (None if task.parent.sequential_subtasks else task.parent.max_subtasks)
        task = task.parent
    if task is context or (task.estimator_name == "Pipeline" and planned is None and not refit):
        return None
    evaluation = {} if refit else _evaluation()
    parameters = evaluation.get("parameters")
    fold, n_folds = evaluation.get("split_progress") or (None, None)
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
    """Return the local variables of scikit-learn's function that evaluates a candidate by this fit.

    They come from the call stack. The official source, the contexts of callbacks, only numbers the
    evaluations of a search: it has neither parameters nor folds. If a future scikit-learn renames
    the function or a variable, the value is missing on the training page, and nothing else fails.
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
