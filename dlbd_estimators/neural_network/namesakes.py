"""How the perceptrons become scikit-learn's.

scikit-learn's perceptrons keep some state in private attributes, without which they fail. There is
no public way to set it; the attributes are set on the instance, and no private module is imported.
Tests predict and train on with every kind of target, so that a release that renames them is
noticed.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from dlbd_estimators.base.to_sklearn import Namesake

_ATTRIBUTES = (
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


def _complete_regressor(model: Any) -> None:
    # For partial_fit; the optimiser itself begins anew.
    model._random_state = check_random_state(deepcopy(model.random_state))
    model._no_improvement_count = 0


def _complete_classifier(model: Any) -> None:
    from sklearn.preprocessing import LabelBinarizer

    _complete_regressor(model)
    several_labels = model.out_activation_ == "logistic" and model.n_outputs_ > 1
    # Of several labels it is fitted to a matrix. Classes come twice, because all different they
    # look like a regression to it.
    shown = np.eye(model.n_outputs_, dtype=int) if several_labels else np.tile(model.classes_, 2)
    model._label_binarizer = LabelBinarizer().fit(shown)


CLASSIFIER = Namesake(
    "sklearn.neural_network.MLPClassifier", _ATTRIBUTES, complete=_complete_classifier
)
REGRESSOR = Namesake(
    "sklearn.neural_network.MLPRegressor", _ATTRIBUTES, complete=_complete_regressor
)
