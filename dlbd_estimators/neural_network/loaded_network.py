"""Check that the fitted attributes of a perceptron that was read from a file fit together."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.base.loaded_values import check_classes, check_layers
from dlbd_estimators.solvers.state_checks import check_values


def check_network(model: Any) -> None:
    """Check the layers, the classes and the state of the training, if the model is fitted.

    Parameters
    ----------
    model : estimator
        The perceptron, as it was read.

    Raises
    ------
    ValueError, AttributeError
        Some of them are missing, not finite, or of other layers than the rest.
    """
    if not vars(model).keys() & {"coefs_", "intercepts_", "_network"}:
        return
    units = model._network.layers.units
    ends = (model.n_features_in_, model.n_layers_, model.n_outputs_)
    if ends != (units[0], len(units), units[-1]):
        raise ValueError(f"its layers have {units} units, for {ends[0]} features")
    check_layers(model.coefs_, model.intercepts_, units)
    if len({np.asarray(each).dtype for each in (*model.coefs_, *model.intercepts_)}) > 1:
        raise ValueError("its layers have several dtypes")
    if "classes_" in vars(model):
        check_classes(model, *((1, 2) if model.n_outputs_ == 1 else (model.n_outputs_,)))
    if "_training" in vars(model):
        check_values(model._training, {"n_parameters": model._network.layers.size})
