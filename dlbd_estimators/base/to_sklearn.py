"""The way out: what was fitted as scikit-learn's own classes, for skops, ONNX, a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy, deepcopy
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.base.versions import ONLY_WITHIN_A_FIT, Versioned

#: scikit-learn's classes, by the name they have here too.
_HOME = {
    "ColumnTransformer": "sklearn.compose",
    "ElasticNet": "sklearn.linear_model",
    "ElasticNetCV": "sklearn.linear_model",
    "Lasso": "sklearn.linear_model",
    "LassoCV": "sklearn.linear_model",
    "LinearRegression": "sklearn.linear_model",
    "LogisticRegression": "sklearn.linear_model",
    "MLPClassifier": "sklearn.neural_network",
    "MLPRegressor": "sklearn.neural_network",
    "MaxAbsScaler": "sklearn.preprocessing",
    "MinMaxScaler": "sklearn.preprocessing",
    "OneHotEncoder": "sklearn.preprocessing",
    "OrdinalEncoder": "sklearn.preprocessing",
    "Ridge": "sklearn.linear_model",
    "RidgeCV": "sklearn.linear_model",
    "SimpleImputer": "sklearn.impute",
    "StandardScaler": "sklearn.preprocessing",
}
_LINEAR = ("coef_", "intercept_", "n_iter_")
_LASSO_SEARCH = (*_LINEAR, "dual_gap_", "alpha_", "alphas_", "mse_path_")
_PERCEPTRON = (
    "best_loss_",
    "best_validation_score_",
    "classes_",
    "coefs_",
    "intercepts_",
    "loss_",
    "loss_curve_",
    "n_iter_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "t_",
    "validation_scores_",
)
#: What a fit leaves that scikit-learn's class has too. Transformers are scikit-learn's classes
#: themselves, and all but ``n_passes_`` is scikit-learn's.
_ATTRIBUTES = {
    "ElasticNet": (*_LINEAR, "dual_gap_"),
    "ElasticNetCV": (*_LASSO_SEARCH, "l1_ratio_"),
    "Lasso": (*_LINEAR, "dual_gap_"),
    "LassoCV": _LASSO_SEARCH,
    "LinearRegression": ("coef_", "intercept_", "rank_", "singular_"),
    "LogisticRegression": (*_LINEAR, "classes_"),
    "MLPClassifier": _PERCEPTRON,
    "MLPRegressor": _PERCEPTRON,
    "Ridge": _LINEAR,
    "RidgeCV": ("coef_", "intercept_", "alpha_", "best_score_", "cv_results_"),
}


#: What belongs to a fit here, not to what it leaves: scikit-learn keeps callbacks in these.
_CALLBACKS = ("_skl_callbacks", *ONLY_WITHIN_A_FIT)


def to_sklearn(estimator: Any) -> Any:
    """Return what was fitted as scikit-learn's own classes.

    Estimators of this package leave as scikit-learn's class of the same name, wherever they are:
    in a ``Pipeline``, a ``ColumnTransformer``, a ``FeatureUnion``, a search, in each other. What
    is not of this package is copied. The result predicts (or transforms) the same, to the last
    rounding, and needs this package no more: scikit-learn, skops and ONNX converters take it as
    their own.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    estimator
        Shares nothing with the one that was passed. A ``Blockwise`` leaves as the transformer
        that it wraps. Parameters and attributes are those that scikit-learn's class has too; see
        the method ``to_sklearn`` of each estimator for what is left out. Callbacks stay here.

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


def _has_home(estimator: Any) -> bool:
    return any(each.__name__ in _HOME for each in type(estimator).__mro__)


class Leaving(Versioned):
    """Mixin: :meth:`to_sklearn`, for classes that have a namesake in scikit-learn, and pickles."""

    @available_if(_has_home)
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
        """Return what leaves in the place of a class without a namesake."""
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
        if str(getattr(value, "__module__", "")).split(".")[0] == __name__.split(".")[0]:
            return self._namesake(value, where)
        return deepcopy(value)

    def _estimator(self, estimator: Any, where: str) -> Any:
        if not isinstance(estimator, Leaving):
            new: Any = object.__new__(type(estimator))
            self._fill(new, vars(estimator), vars(estimator), where)
            return new
        wrapped = estimator._wrapped()
        if wrapped is not None:
            return self.of(wrapped, where)
        name = next(each.__name__ for each in type(estimator).__mro__ if each.__name__ in _HOME)
        home = getattr(import_module(_HOME[name]), name)
        parameters = _parameters(estimator, name, home)
        model = home(**{key: self.of(each, f"{where}.{key}") for key, each in parameters.items()})
        attributes = _attributes(estimator, name)
        self._fill(model, vars(estimator), attributes, where)
        if attributes and name in _COMPLETE:
            _COMPLETE[name](model)
        return model

    def _fill(self, new: Any, state: Mapping[str, Any], names: Iterable[str], where: str) -> None:
        for name in names:
            if name not in _CALLBACKS:
                vars(new)[name] = self.of(state[name], f"{where}.{name}")

    def _namesake(self, value: Any, where: str) -> Any:
        """Return scikit-learn's object for one of ours that is no estimator: a splitter, say."""
        for home in type(value).__mro__:
            if home.__module__.startswith("sklearn.") and home.__name__ == type(value).__name__:
                new: Any = object.__new__(home)
                self._fill(new, vars(value), vars(value), where)
                return new
        raise TypeError(
            f"{where} is {value!r} of {__name__.split('.')[0]}, which has no namesake in "
            f"scikit-learn and cannot leave. Put scikit-learn's own there, or let the fitted "
            f"part that predicts leave alone, such as best_estimator_ of a search."
        )


def _parameters(estimator: Any, name: str, home: type) -> dict[str, Any]:
    known = signature(home).parameters
    ours = estimator.get_params(deep=False)
    parameters = {key: value for key, value in ours.items() if key in known}
    if _HOME[name] == "sklearn.linear_model":
        parameters.pop("solver", None)
    if name == "LinearRegression":
        parameters.pop("tol", None)
    if name == "LogisticRegression" and parameters.get("l1_ratio", 0.0) > 0.0:
        parameters["solver"] = "saga"
    return parameters


def _attributes(estimator: Any, name: str) -> list[str]:
    present = vars(estimator)
    if name not in _ATTRIBUTES:
        parameters = estimator.get_params(deep=False)
        return [each for each in present if each not in parameters and each != "n_passes_"]
    wanted = (*_ATTRIBUTES[name], "n_features_in_", "feature_names_in_")
    return [each for each in wanted if each in present]


# scikit-learn's perceptrons keep some state in private attributes, without which they fail.
# There is no public way to set it; the attributes are set on the instance, and no private
# module is imported. Tests predict and train on with every kind of target, so that a release
# that renames them is noticed.


def _complete_perceptron(model: Any) -> None:
    # For partial_fit; the optimiser itself begins anew.
    model._random_state = check_random_state(deepcopy(model.random_state))
    model._no_improvement_count = 0


def _complete_classifier(model: Any) -> None:
    from sklearn.preprocessing import LabelBinarizer

    _complete_perceptron(model)
    several_labels = model.out_activation_ == "logistic" and model.n_outputs_ > 1
    # Of several labels it is fitted to a matrix. Classes come twice, because all different they
    # look like a regression to it.
    shown = np.eye(model.n_outputs_, dtype=int) if several_labels else np.tile(model.classes_, 2)
    model._label_binarizer = LabelBinarizer().fit(shown)


_COMPLETE: dict[str, Callable[[Any], None]] = {
    "MLPClassifier": _complete_classifier,
    "MLPRegressor": _complete_perceptron,
}
