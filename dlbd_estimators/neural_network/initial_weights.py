"""The parameters with which training begins: random ones, or those of the last fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.kernels.network import Layers
from dlbd_estimators.neural_network.parameters import Settings


def initial_parameters(
    layers: Layers, settings: Settings, random_state: np.random.RandomState
) -> FloatArray:
    """Draw random initial parameters as scikit-learn does (Glorot and Bengio 2010)."""
    coefs, intercepts = [], []
    for fan_in, fan_out in layers.shapes:
        bound = np.sqrt(settings.activation.initial_factor / (fan_in + fan_out))
        coefs.append(random_state.uniform(-bound, bound, (fan_in, fan_out)))
        intercepts.append(random_state.uniform(-bound, bound, fan_out))
    return layers.pack(coefs, intercepts)


def last_parameters(estimator: Any, layers: Layers) -> FloatArray:
    """Return the parameters of an estimator's last fit.

    Raises
    ------
    ValueError
        The last fit had layers of other shapes.
    """
    shapes = [coef.shape for coef in estimator.coefs_]
    if shapes != layers.shapes:
        raise ValueError(
            f"The last fit had layers of shapes {shapes}, but these data and "
            f"hidden_layer_sizes={estimator.hidden_layer_sizes} need {layers.shapes}. Fit a new "
            f"estimator."
        )
    return layers.pack(estimator.coefs_, estimator.intercepts_)
