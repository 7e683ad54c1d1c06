"""Convert fitted estimators to scikit-learn's own classes, for skops, ONNX or a server."""

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
from dlbd_estimators.base.xarray_input import AcceptsXarray

#: Not copied: in these attributes scikit-learn keeps callbacks, which belong to a single fit.
_CALLBACKS = ("_skl_callbacks", *ONLY_WITHIN_A_FIT)


def to_sklearn(estimator: Any) -> Any:
    """Return a fitted estimator as one of scikit-learn's own classes.

    Each estimator of this package becomes scikit-learn's class of the same name, also inside a
    ``Pipeline``, a ``ColumnTransformer``, a ``FeatureUnion`` or a search, which may be nested.
    Objects of other packages are copied. The result predicts (or transforms) the same, except for
    rounding, and does not need this package: scikit-learn, skops and ONNX converters handle it as
    scikit-learn's own.

    Parameters
    ----------
    estimator : estimator
        The fitted estimator.

    Returns
    -------
    estimator
        A new estimator, which shares no data with the one passed. It has those parameters and
        attributes that scikit-learn's class has, too; the method ``to_sklearn`` of each estimator
        lists the exceptions. Callbacks are left out. A ``Blockwise`` becomes the transformer that
        it wraps.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        The estimator is not fitted.
    TypeError
        The argument is not an estimator, or holds an object of this package that has no class of
        the same name in scikit-learn.

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
class SklearnCounterpart:
    """Describes how to convert a model to its counterpart, scikit-learn's class of the same name.

    The model's class holds the description in ``_sklearn_counterpart``. Classes that are subclasses
    of their counterpart, such as the transformers, need none: all their attributes except
    ``n_passes_`` are those of scikit-learn.

    Parameters
    ----------
    path : str
        Module and name of scikit-learn's class. It is imported when it is needed.
    attributes : tuple of str
        Fitted attributes that scikit-learn's class has, too. ``n_features_in_`` and
        ``feature_names_in_`` are always included.
    not_copied : tuple of str
        Parameters that are not copied: they have another meaning in scikit-learn.
    adapt : callable, optional
        Changes the dict of the copied parameters in place, where scikit-learn needs other values.
    complete : callable, optional
        Sets the private attributes that scikit-learn needs, on the converted fitted model.
    """

    path: str
    attributes: tuple[str, ...]
    not_copied: tuple[str, ...] = ()
    adapt: Callable[[dict[str, Any]], None] | None = None
    complete: Callable[[Any], None] | None = None

    def model(self) -> Any:
        """Import scikit-learn's class."""
        module, _, name = self.path.rpartition(".")
        return getattr(import_module(module), name)


def _has_counterpart(estimator: Any) -> bool:
    return estimator._sklearn_counterpart is not None or _own_base(type(estimator)) is not None


def _own_base(cls: type) -> type | None:
    """Return the base class of a class that is scikit-learn's and has the same name, if any."""
    names = {each.__name__ for each in cls.__mro__ if not _is_sklearns(each)}
    return next(
        (each for each in cls.__mro__ if _is_sklearns(each) and each.__name__ in names), None
    )


def _is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).split(".")[0] == __name__.split(".")[0]


def _is_sklearns(cls: type) -> bool:
    return cls.__module__.split(".")[0] == "sklearn"


class ToSklearnMixin(AcceptsXarray, Savable, Versioned):
    """Mixin with :meth:`save`, and :meth:`to_sklearn` for classes with a counterpart there."""

    _sklearn_counterpart: ClassVar[SklearnCounterpart | None] = None

    @available_if(_has_counterpart)
    def to_sklearn(self) -> Any:
        """Return the fitted estimator as scikit-learn's class of the same name.

        The result predicts (or transforms) the same, except for rounding, and does not need this
        package: scikit-learn, skops and ONNX converters handle it as scikit-learn's own. It shares
        no data with this estimator.

        Returns
        -------
        estimator
            It has those parameters and fitted attributes that scikit-learn's class has, too.
            Parameters that have another meaning in scikit-learn keep scikit-learn's default, which
            matters only for a new ``fit``: ``solver`` of the linear models (but ``"saga"`` for a
            logistic regression with an l1 penalty, which ``"lbfgs"`` cannot fit), and ``tol`` of
            LinearRegression.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.

        See Also
        --------
        dlbd_estimators.to_sklearn : Convert whole pipelines.
        """
        return to_sklearn(self)

    def _wrapped(self) -> Any:
        """Return the object to convert instead of this one; None to convert this one."""
        return None


class _Copies:
    """Copies objects, with scikit-learn's classes instead of the classes of this package.

    An estimator that occurs twice, as in ``transformers_`` and in a dict by name, is copied once.
    """

    def __init__(self) -> None:
        self._made: dict[int, Any] = {}

    def of(self, value: Any, where: str) -> Any:
        """Return a copy of a value; error messages give its place as ``where``."""
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
        counterpart = estimator._sklearn_counterpart
        model = counterpart.model() if counterpart else _own_base(type(estimator))
        if model is None:
            return self._other(estimator, where)
        parameters = _parameters(estimator, counterpart, model)
        new = model(**{key: self.of(each, f"{where}.{key}") for key, each in parameters.items()})
        attributes = _attributes(estimator, counterpart)
        self._fill(new, vars(estimator), attributes, where)
        if attributes and counterpart and counterpart.complete:
            counterpart.complete(new)
        return new

    def _fill(self, new: Any, state: Mapping[str, Any], names: Iterable[str], where: str) -> None:
        for name in names:
            if name not in _CALLBACKS:
                vars(new)[name] = self.of(state[name], f"{where}.{name}")

    def _other(self, value: Any, where: str) -> Any:
        """Convert an object whose class derives from its counterpart, as splitters do."""
        base = _own_base(type(value))
        if base is None:
            raise TypeError(
                f"{where} is {value!r} of {__name__.split('.')[0]}, which has no namesake in "
                f"scikit-learn, so it cannot be converted. Use an object of scikit-learn's "
                f"instead, or convert only the fitted part that predicts, such as best_estimator_ "
                f"of a search."
            )
        new: Any = object.__new__(base)
        self._fill(new, vars(value), vars(value), where)
        return new


def _parameters(
    estimator: Any, counterpart: SklearnCounterpart | None, model: type
) -> dict[str, Any]:
    known = signature(model).parameters
    ours = estimator.get_params(deep=False)
    parameters = {key: value for key, value in ours.items() if key in known}
    if counterpart:
        for key in counterpart.not_copied:
            parameters.pop(key, None)
        if counterpart.adapt:
            counterpart.adapt(parameters)
    return parameters


def _attributes(estimator: Any, counterpart: SklearnCounterpart | None) -> list[str]:
    present = vars(estimator)
    if counterpart is None:
        parameters = estimator.get_params(deep=False)
        return [each for each in present if each not in parameters and each != "n_passes_"]
    wanted = (*counterpart.attributes, "n_features_in_", "feature_names_in_")
    return [each for each in wanted if each in present]
