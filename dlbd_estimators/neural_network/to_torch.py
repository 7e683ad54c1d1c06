"""Convert fitted perceptrons to PyTorch."""

from __future__ import annotations

from typing import Any

from sklearn.utils.validation import check_is_fitted

from dlbd_estimators.kernels.arrays import FloatArray
from dlbd_estimators.neural_network.parameters import dropout_rates

#: PyTorch's names of the activations; the identity needs no module.
_MODULES = {"logistic": "Sigmoid", "tanh": "Tanh", "relu": "ReLU"}


class ToTorchMixin:
    """Mixin with :meth:`to_torch`."""

    coefs_: list[FloatArray]
    intercepts_: list[FloatArray]
    _network: Any

    def to_torch(self) -> Any:
        """Return the fitted network as a ``torch.nn.Sequential``, on the CPU.

        It takes a tensor of shape (n_samples, n_features) in the precision of ``coefs_``, and
        returns the raw predictions that the losses of PyTorch take:

        =========================== ================================= =========================
        targets                     output                            loss
        =========================== ================================= =========================
        two classes                 logit of ``classes_[1]``          ``BCEWithLogitsLoss``
        several labels per row      a logit for each label            ``BCEWithLogitsLoss``
        three or more classes       logits, before the softmax        ``CrossEntropyLoss``
        numbers                     what :meth:`predict` returns      ``MSELoss``
        numbers, ``loss="poisson"`` log of what ``predict`` returns   ``PoissonNLLLoss``
        =========================== ================================= =========================

        The result has one column for two classes and for a single target. It shares no data with
        this estimator, does not need this package, and can be trained further. PyTorch's random
        numbers are not used.

        Returns
        -------
        torch.nn.Sequential
            ``Linear`` layers, each hidden one with its activation, and with ``Dropout`` if this
            estimator has it. The network is in evaluation mode (``eval()``), where dropout does
            nothing.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.
        ImportError
            PyTorch is not installed.

        See Also
        --------
        dlbd_estimators.to_sklearn : Convert to scikit-learn's class of the same name.
        """
        check_is_fitted(self)
        try:
            import torch
        except ImportError as error:
            raise ImportError(
                "to_torch needs PyTorch, which cannot be imported here. Install it: pip install "
                "torch"
            ) from error
        activation = _MODULES.get(self._network.activation.name)
        n_hidden = len(self.coefs_) - 1
        rates = dropout_rates(self, n_hidden) or (0.0,) * n_hidden
        layers = [
            _linear(torch, coef, intercept)
            for coef, intercept in zip(self.coefs_, self.intercepts_, strict=True)
        ]
        modules: list[Any] = []
        for layer, rate in zip(layers[:-1], rates, strict=True):
            modules.append(layer)
            if activation is not None:
                modules.append(getattr(torch.nn, activation)())
            if rate > 0.0:
                modules.append(torch.nn.Dropout(rate))
        modules.append(layers[-1])
        return torch.nn.Sequential(*modules).eval()


def _linear(torch: Any, coef: FloatArray, intercept: FloatArray) -> Any:
    """Return a layer of PyTorch, whose weights are stored as (outputs, inputs)."""
    weight, bias = torch.from_numpy(coef.T.copy()), torch.from_numpy(intercept.copy())
    # `skip_init` draws no initial weights, which would advance the user's random generator.
    layer = torch.nn.utils.skip_init(torch.nn.Linear, *coef.shape, dtype=weight.dtype)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer
