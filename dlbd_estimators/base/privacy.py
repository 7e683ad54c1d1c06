"""The parameters of differentially private training, and the budget that a model has spent."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dlbd_estimators.base.privacy_accountant import Release
from dlbd_estimators.base.user_warnings import warn_user
from dlbd_estimators.exceptions import InvalidParameter

#: A declared number of rows that is wrong by more than this factor gives a warning.
_WRONG = 2.0


@dataclass(frozen=True, kw_only=True)
class DifferentialPrivacy:
    """State how much a fitted model may reveal about a single row of its training data.

    A training is (epsilon, delta)-differentially private if for all data sets D and D' that differ
    by one added or removed row, and for all sets S of models,
    ``P(model of D in S) <= exp(epsilon) P(model of D' in S) + delta``. To achieve this, the
    gradient of each row is clipped, and Gaussian noise is added to each sum of gradients. All that
    is known about the rows in advance must be declared here: it must not be computed from them.

    Parameters
    ----------
    epsilon : float
        The budget of one ``fit``, or of all calls of ``partial_fit`` together; greater than 0. The
        smaller it is, the more private is the model.
    delta : float
        Probability with which the bound ``exp(epsilon)`` may fail, greater than 0 and less than
        ``1 / n_samples``.
    n_samples : int
        Number of rows, as far as it is public: round it. The true number may differ a little. It
        determines the noise, the sampling rate and the length of steps.
    max_gradient_norm : float, default=1.0
        Largest Euclidean norm of the gradient of a row; longer gradients are shortened to it. It
        must not be chosen from the rows.
    classes : sequence, optional
        All class labels, for a classifier: which labels occur is a fact about the rows. None for
        regressions, for several labels per row, and if ``partial_fit`` is called with ``classes``.
    seed : int, optional
        Seed of the noise and of the sampling, for tests. **The model is then not private**:
        anyone who knows the seed can subtract the noise. None draws a new secret seed from the
        operating system in each fit.

    Raises
    ------
    InvalidParameter
        A value is out of range. It is a ValueError and a TypeError.

    See Also
    --------
    dlbd_estimators.MLPClassifier : Noisy mini-batches; its parameter ``privacy``.
    dlbd_estimators.LogisticRegression : Noisy full gradients; its parameter ``privacy``.

    Notes
    -----
    ``docs/privacy.md`` explains what is promised and what is not. The budget is computed by the
    package dp-accounting: ``pip install "dlbd-estimators[privacy]"``.

    References
    ----------
    Dwork, McSherry, Nissim and Smith, "Calibrating noise to sensitivity in private data analysis",
    TCC 2006. Abadi et al., "Deep learning with differential privacy", CCS 2016.

    Examples
    --------
    >>> import numpy as np
    >>> from dlbd_estimators import DifferentialPrivacy, LogisticRegression
    >>> X = np.random.default_rng(0).normal(size=(2000, 3))
    >>> y = X[:, 0] > 0
    >>> privacy = DifferentialPrivacy(
    ...     epsilon=1.0, delta=1e-5, n_samples=2000, max_gradient_norm=2.0, classes=[False, True]
    ... )
    >>> model = LogisticRegression(privacy=privacy).fit(X, y)
    >>> model.score(X, y) > 0.9
    True
    >>> round(model.privacy_spent_.epsilon, 6)
    1.0
    """

    epsilon: float
    delta: float
    n_samples: int
    max_gradient_norm: float = 1.0
    classes: Any = None
    seed: int | None = None

    def __post_init__(self) -> None:
        _check(self, "epsilon", "a finite number greater than 0", _is_positive(self.epsilon))
        count = _is_integer(self.n_samples) and self.n_samples > 0
        _check(self, "n_samples", "an integer of at least 1", count)
        small = _is_positive(self.delta) and self.delta * self.n_samples < 1
        # A training that publishes a random row is (0, 1 / n_samples)-private.
        allowed = f"greater than 0 and less than 1 / n_samples = {1 / self.n_samples:g}"
        _check(self, "delta", allowed, small)
        allowed = "a finite number greater than 0"
        _check(self, "max_gradient_norm", allowed, _is_positive(self.max_gradient_norm))
        seed = self.seed is None or (_is_integer(self.seed) and self.seed >= 0)
        _check(self, "seed", "an integer of at least 0, or None", seed)
        if self.classes is not None:
            # As a tuple, so that the object can be compared with another, and copied.
            labels = np.unique(np.asarray(self.classes))
            _check(self, "classes", "at least two different labels", len(labels) > 1)
            object.__setattr__(self, "classes", tuple(labels.tolist()))

    def warn_of_seed(self) -> None:
        """Warn that the noise can be subtracted, if its seed is fixed.

        Warns
        -----
        UserWarning
            The seed is fixed.
        """
        if self.seed is not None:
            warn_user(
                f"DifferentialPrivacy(seed={self.seed}) gives the same noise in each fit, and "
                f"anyone who knows the seed can subtract it: this model is NOT private. Leave "
                f"seed out, except in tests.",
                UserWarning,
            )

    def warn_of_size(self, n_rows: int, effect: str) -> None:
        """Warn if the declared number of rows is far from the true one.

        Parameters
        ----------
        n_rows : int
            The true number of rows.
        effect : str
            What follows for the training; the end of a sentence.

        Warns
        -----
        UserWarning
            The declared number is wrong by more than a factor of two.
        """
        if not self.n_samples / _WRONG <= n_rows <= self.n_samples * _WRONG:
            warn_user(
                f"DifferentialPrivacy(n_samples={self.n_samples}), but X has {n_rows} rows. The "
                f"training is private all the same, but {effect}. (Do not publish this warning: "
                f"it counts rows.)",
                UserWarning,
            )


@dataclass(frozen=True, kw_only=True)
class PrivacySpent:
    """The privacy budget that a model has spent.

    Attributes
    ----------
    epsilon, delta : float
        The training until now is (epsilon, delta)-differentially private, if one row is added to
        the data or removed from them. With a fixed seed it is not.
    releases : tuple of Release
        What was computed from the rows: steps of the same kind are counted together.
    """

    epsilon: float
    delta: float
    releases: tuple[Release, ...] = field(repr=False)


def _check(privacy: DifferentialPrivacy, name: str, allowed: str, valid: bool) -> None:
    if not valid:
        raise InvalidParameter(
            f"{name} of DifferentialPrivacy must be {allowed}. Got {getattr(privacy, name)!r} "
            f"instead."
        )


def _is_positive(value: Any) -> bool:
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return is_number and bool(np.isfinite(float(value))) and float(value) > 0


def _is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)
