"""The way out: a fitted estimator as scikit-learn's own class, for skops, ONNX, a server."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from inspect import signature
from typing import Any

import numpy as np
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

#: scikit-learn's classes, by the name they have here too.
_HOME = {
    "ElasticNet": "sklearn.linear_model",
    "Lasso": "sklearn.linear_model",
    "LinearRegression": "sklearn.linear_model",
    "LogisticRegression": "sklearn.linear_model",
    "MLPClassifier": "sklearn.neural_network",
    "MLPRegressor": "sklearn.neural_network",
    "MaxAbsScaler": "sklearn.preprocessing",
    "MinMaxScaler": "sklearn.preprocessing",
    "OneHotEncoder": "sklearn.preprocessing",
    "OrdinalEncoder": "sklearn.preprocessing",
    "Ridge": "sklearn.linear_model",
    "SimpleImputer": "sklearn.impute",
    "StandardScaler": "sklearn.preprocessing",
}
_LINEAR = ("coef_", "intercept_", "n_iter_")
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
    "Lasso": (*_LINEAR, "dual_gap_"),
    "LinearRegression": ("coef_", "intercept_", "rank_", "singular_"),
    "LogisticRegression": (*_LINEAR, "classes_"),
    "MLPClassifier": _PERCEPTRON,
    "MLPRegressor": _PERCEPTRON,
    "Ridge": _LINEAR,
}


def _has_home(estimator: Any) -> bool:
    return any(each.__name__ in _HOME for each in type(estimator).__mro__)


class Leaving:
    """Mixin: :meth:`to_sklearn`, for classes that have a namesake in scikit-learn."""

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
        """
        check_is_fitted(self)
        name = next(each.__name__ for each in type(self).__mro__ if each.__name__ in _HOME)
        home = getattr(import_module(_HOME[name]), name)
        model = home(**_parameters(self, name, home))
        for attribute in _attributes(self, name):
            setattr(model, attribute, deepcopy(getattr(self, attribute)))
        complete = _COMPLETE.get(name)
        if complete is not None:
            complete(model)
        return model


def _parameters(estimator: Any, name: str, home: type) -> dict[str, Any]:
    known = signature(home).parameters
    ours = estimator.get_params(deep=False)
    parameters = {key: deepcopy(value) for key, value in ours.items() if key in known}
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
