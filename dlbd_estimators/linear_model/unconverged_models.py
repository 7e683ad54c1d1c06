"""Warn of models of a search whose coefficients and scores are not those of minimisers."""

from __future__ import annotations

from dataclasses import dataclass, field

from sklearn.exceptions import ConvergenceWarning

from dlbd_estimators.base.callbacks import FitTask
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.solvers import Solution
from dlbd_estimators.solvers.smooth.logistic_search import LogisticSearch
from dlbd_estimators.solvers.smooth.logistic_search_state import LogisticSearchState

#: Largest number of pairs of values that a message names.
_MOST_NAMED = 10


def warn_of_unconverged(task: FitTask, solver: LogisticSearch, solution: Solution) -> None:
    """Warn once of all models of a search that did not converge, and name their values of C.

    Parameters
    ----------
    task : FitTask
        The fit of the search.
    solver : LogisticSearch
        The search.
    solution : Solution
        The end of the search. If the search ended before its models were accurate, nothing is
        reported here: the fit itself has warned, or a callback has stopped it.

    Warns
    -----
    ConvergenceWarning
        At least one model did not converge.
    """
    state = solution.state
    if not isinstance(state, LogisticSearchState) or (state.chosen is None and not state.averaged):
        return
    values = solver.unconverged_values(state)
    if not values:
        return
    message = (
        f"Models did not converge for these values of C: {values}. Their coefficients and scores "
        f"are those of the last step. With so weak a penalty, separable classes have no finite "
        f"optimum or a very distant one, and rounding decides the coefficients of nearly collinear "
        f"columns. Leave out these values of C."
    )
    task.warn(task.status, message, ConvergenceWarning)


@dataclass
class UnconvergedModels:
    """The warnings of separate fits, of which one warning is made.

    Attributes
    ----------
    reasons : dict of (float, float) to list of (str, type)
        Texts and classes of the warnings, by the values of C and l1_ratio.
    """

    reasons: dict[tuple[float, float], list[tuple[str, type[Warning]]]] = field(
        default_factory=dict
    )

    def add(
        self, C: float, l1_ratio: float, _status: str, message: str, category: type[Warning]
    ) -> None:
        """Keep the warning of a fit."""
        self.reasons.setdefault((C, l1_ratio), []).append((message, category))

    def warn(self) -> None:
        """Warn once, if a fit has warned: name the values, and repeat the first text."""
        if not self.reasons:
            return
        [(message, category), *_] = next(iter(self.reasons.values()))
        values = list(self.reasons)
        named = "; ".join(f"C={C:g}, l1_ratio={l1_ratio:g}" for C, l1_ratio in values[:_MOST_NAMED])
        more = f"; and {len(values) - _MOST_NAMED} more" if len(values) > _MOST_NAMED else ""
        warn_user(f"Models did not converge for {named}{more}. The first one: {message}", category)
