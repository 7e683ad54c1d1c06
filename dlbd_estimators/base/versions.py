"""The version of this package, and a warning for estimators that other versions saved."""

from __future__ import annotations

from typing import Any

import sklearn
import sklearn.exceptions

from dlbd_estimators.base.user_warnings import warn_user

#: Must be the same as in ``pyproject.toml``.
__version__ = "0.1.0"

_OURS, _THEIRS = "_dlbd_estimators_version", "_sklearn_version"
#: Attributes in which scikit-learn keeps callbacks and their tasks during a fit.
ONLY_WITHIN_A_FIT = ("_callback_fit_ctx", "_parent_callback_ctx", "_skl_callbacks_to_teardown")


class InconsistentVersionWarning(sklearn.exceptions.InconsistentVersionWarning):
    """An estimator was saved by other versions than those that load it.

    A filter for scikit-learn's warning of the same name applies to this one, too.

    Parameters
    ----------
    estimator_name : str
        Class of the estimator.
    current_version, original_version : str
        Versions of this package: the one in use, and the one that saved the estimator.
    current_sklearn_version, original_sklearn_version : str
        Versions of scikit-learn: the one in use, and the one that saved the estimator.
    """

    def __init__(
        self,
        *,
        estimator_name: str,
        current_version: str,
        original_version: str,
        current_sklearn_version: str,
        original_sklearn_version: str,
    ) -> None:
        super().__init__(
            estimator_name=estimator_name,
            current_sklearn_version=current_sklearn_version,
            original_sklearn_version=original_sklearn_version,
        )
        self.current_version = current_version
        self.original_version = original_version

    def __str__(self) -> str:
        return (
            f"{self.estimator_name} was saved by dlbd_estimators {self.original_version} with "
            f"scikit-learn {self.original_sklearn_version}, and is loaded by dlbd_estimators "
            f"{self.current_version} with scikit-learn {self.current_sklearn_version}: it may "
            f"fail, or predict something else. Fit it again, or load it with the versions that "
            f"wrote it."
        )


def warn_of_others(name: str, written: tuple[str, str]) -> None:
    """Warn if an estimator was saved by other versions than those in use.

    Parameters
    ----------
    name : str
        Name of the estimator's class.
    written : tuple of str
        Versions of this package and of scikit-learn that saved the estimator.
    """
    if written != (__version__, sklearn.__version__):
        warn_user(
            InconsistentVersionWarning(
                estimator_name=name,
                current_version=__version__,
                original_version=written[0],
                current_sklearn_version=sklearn.__version__,
                original_sklearn_version=written[1],
            )
        )


class Versioned:
    """Mixin that adds versions to the pickled state; it must precede scikit-learn's BaseEstimator.

    scikit-learn adds its version only for its own classes. The classes of this package depend on
    both versions, so both are added.
    """

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[assignment] # scikit-learn's
        # A model that a callback saves in the middle of a fit is not itself in a fit.
        state = {name: value for name, value in state.items() if name not in ONLY_WITHIN_A_FIT}
        return {**state, _OURS: __version__, _THEIRS: sklearn.__version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        written = (state.pop(_OURS, "of unknown version"), state.pop(_THEIRS, "of unknown version"))
        warn_of_others(type(self).__name__, written)
        super().__setstate__(state)  # type: ignore[misc] # scikit-learn's
