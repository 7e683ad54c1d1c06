"""Fitted estimators as scikit-learn's own classes, for skops, ONNX or a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any, ClassVar

from sklearn.base import BaseEstimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.saving import Savable
from dlbd_estimators.base.versions import ONLY_WITHIN_A_FIT, Versioned

#: Not copied: scikit-learn keeps callbacks in these, which belong to a fit here.
_CALLBACKS = ("_skl_callbacks", *ONLY_WITHIN_A_FIT)


def to_sklearn(estimator: Any) -> Any:
    """Return a fitted estimator as one of scikit-learn's own classes.

    Each estimator of this package becomes scikit-learn's class of the same name, wherever it is: in
    a ``Pipeline``, a ``ColumnTransformer``, a ``FeatureUnion``, a search, or in one another. What
    is not of this package is copied. The result predicts (or transforms) the same, except for
    rounding, and does not need this package: scikit-learn, skops and ONNX converters take it as
    their own.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    estimator
        It shares nothing with the one that was passed. A ``Blockwise`` becomes the transformer that
        it wraps. It has the parameters and attributes that scikit-learn's class has, too; the
        method ``to_sklearn`` of each estimator says what is left out. Callbacks are left out.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The estimator is not fitted.
    TypeError
        It is no estimator, or holds something of this package that has no namesake.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.pipeline import make_pipeline
    >>> from dlbd_estimators import Ridge, to_sklearn
    >>> from dlbd_estimators.preprocessing import StandardScaler
    >>> X = da.random.default_rng(0).normal(size=(100, 3), chunks=(20, 3))
    >>> model = make_pipeline(StandardScaler(), Ridge()).fit(X, X[:, 0])
    >>> type(to_sklearn(model)[-1]).__module__.split(".")[0]
    'sklearn'
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"to_sklearn takes a fitted estimator, transformer or pipeline, but got "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return _Copies().of(estimator, type(estimator).__name__)


@dataclass(frozen=True)
class Namesake:
    """How a model becomes scikit-learn's class of the same name.

    It stands with the model's class, as ``_namesake``. A class that derives from its namesake, as
    the transformers do, needs none: all that it holds is scikit-learn's but for ``n_passes_``.

    Parameters
    ----------
    path : str
        Module and name of scikit-learn's class, which is imported when it is asked for.
    attributes : tuple of str
        What a fit sets that scikit-learn's class has too. ``n_features_in_`` and
        ``feature_names_in_`` need not be named.
    not_theirs : tuple of str
        Parameters that mean something else there.
    adapt : callable, optional
        Changes the other parameters in place, where one of them needs another one there.
    complete : callable, optional
        Gives a fitted model what scikit-learn keeps in private attributes.
    """

    path: str
    attributes: tuple[str, ...]
    not_theirs: tuple[str, ...] = ()
    adapt: Callable[[dict[str, Any]], None] | None = None
    complete: Callable[[Any], None] | None = None

    def model(self) -> Any:
        """Import scikit-learn's class."""
        module, _, name = self.path.rpartition(".")
        return getattr(import_module(module), name)


def _has_namesake(estimator: Any) -> bool:
    return estimator._namesake is not None or _own_base(type(estimator)) is not None


def _own_base(cls: type) -> type | None:
    """Return scikit-learn's class that a class is derived from under the same name, if any."""
    names = {each.__name__ for each in cls.__mro__ if not _is_sklearns(each)}
    return next(
        (each for each in cls.__mro__ if _is_sklearns(each) and each.__name__ in names), None
    )


def _is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).split(".")[0] == __name__.split(".")[0]


def _is_sklearns(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "sklearn"


class ToSklearnMixin(Savable, Versioned):
    """Mixin: :meth:`to_sklearn`, for classes that have a namesake in scikit-learn, and files."""

    _namesake: ClassVar[Namesake | None] = None

    @available_if(_has_namesake)
    def to_sklearn(self) -> Any:
        """Return the fitted estimator as scikit-learn's class of the same name.

        It predicts (or transforms) the same, to the last rounding, and needs this package no
        more: scikit-learn, skops and ONNX converters take it as their own. Nothing is shared
        with this estimator.

        Returns
        -------
        estimator
            With all parameters that scikit-learn's class knows and all attributes that it has.
            Parameters that mean something else there are left at scikit-learn's default and
            matter for a new ``fit`` alone: ``solver`` of the linear models (``"saga"`` for a
            logistic regression with an l1 part, which ``"lbfgs"`` cannot fit), ``tol`` of
            LinearRegression.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.

        See Also
        --------
        dlbd_estimators.to_sklearn : For whole pipelines.
        """
        return to_sklearn(self)

    def _wrapped(self) -> Any:
        """Return what is converted in the place of a class without a namesake."""
        return None


class _Copies:
    """Copies with scikit-learn's classes in the place of ours.

    An estimator that is met twice, as in ``transformers_`` and its table by name, is one copy.
    """

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def of(self, value: Any, where: str) -> Any:
        """Return a copy of a value, which is found at this place."""
        if isinstance(value, BaseEstimator):
            if id(value) not in self._made:
                self._made[id(value)] = self._estimator(value, where)
            return self._made[id(value)]
        if type(value) in (list, tuple):
            return type(value)(self.of(each, f"{where}[{i}]") for i, each in enumerate(value))
        if isinstance(value, dict):
            new = copy(value)
            new.update({key: self.of(each, f"{where}[{key!r}]") for key, each in value.items()})
            return new
        if _is_ours(value):
            return self._other(value, where)
        return deepcopy(value)

    def _estimator(self, estimator: Any, where: str) -> Any:
        if not isinstance(estimator, ToSklearnMixin):
            own = _own_base(type(estimator)) if _is_ours(estimator) else None  # a search
            new: Any = object.__new__(own or type(estimator))
            names = [each for each in vars(estimator) if own is None or each != "n_passes_"]
            self._fill(new, vars(estimator), names, where)
            return new
        wrapped = estimator._wrapped()
        if wrapped is not None:
            return self.of(wrapped, where)
        namesake = estimator._namesake
        model = namesake.model() if namesake else _own_base(type(estimator))
        if model is None:
            return self._other(estimator, where)
        parameters = _parameters(estimator, namesake, model)
        new = model(**{key: self.of(each, f"{where}.{key}") for key, each in parameters.items()})
        attributes = _attributes(estimator, namesake)
        self._fill(new, vars(estimator), attributes, where)
        if attributes and namesake and namesake.complete:
            namesake.complete(new)
        return new

    def _fill(self, new: Any, state: Mapping[str, Any], names: Iterable[str], where: str) -> None:
        for name in names:
            if name not in _CALLBACKS:
                vars(new)[name] = self.of(state[name], f"{where}.{name}")

    def _other(self, value: Any, where: str) -> Any:
        """Return scikit-learn's object for one of ours that is no estimator: a splitter, say."""
        base = _own_base(type(value))
        if base is None:
            raise TypeError(
                f"{where} is {value!r} of {__name__.split('.')[0]}, which has no namesake in "
                f"scikit-learn, so it cannot be converted. Put scikit-learn's own there, or "
                f"convert only the fitted part that predicts, such as best_estimator_ of a search."
            )
        new: Any = object.__new__(base)
        self._fill(new, vars(value), vars(value), where)
        return new


def _parameters(estimator: Any, namesake: Namesake | None, model: type) -> dict[str, Any]:
    known = signature(model).parameters
    ours = estimator.get_params(deep=False)
    parameters = {key: value for key, value in ours.items() if key in known}
    if namesake:
        for key in namesake.not_theirs:
            parameters.pop(key, None)
        if namesake.adapt:
            namesake.adapt(parameters)
    return parameters


def _attributes(estimator: Any, namesake: Namesake | None) -> list[str]:
    present = vars(estimator)
    if namesake is None:
        parameters = estimator.get_params(deep=False)
        return [each for each in present if each not in parameters and each != "n_passes_"]
    wanted = (*namesake.attributes, "n_features_in_", "feature_names_in_")
    return [each for each in wanted if each in present]
