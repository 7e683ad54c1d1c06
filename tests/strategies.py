"""Hypothesis strategies for blocks, losses, packings, networks and cuts into blocks."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from dlbd_estimators.kernels import losses as package
from dlbd_estimators.kernels.activations import ACTIVATIONS
from dlbd_estimators.kernels.kernel import Block
from dlbd_estimators.kernels.losses import (
    HalfBinomialLoss,
    HalfMultinomialLoss,
    HalfPoissonDeviance,
    HalfSquaredError,
    Loss,
)
from dlbd_estimators.kernels.network import Layers, Network
from dlbd_estimators.kernels.packing import Packing

DTYPES = (np.float32, np.float64)
#: All that the package has.
LOSSES = [getattr(package, name) for name in package.__all__ if name not in ("Loss", "Pointwise")]
#: Those that networks are trained with; `tests/kernels/plain_network.py` has their formulas.
NETWORK_LOSSES = [HalfSquaredError, HalfPoissonDeviance, HalfBinomialLoss, HalfMultinomialLoss]


class Problem(NamedTuple):
    """A block, a loss that fits its targets, and parameters to evaluate it at."""

    block: Block
    loss: Loss
    packing: Packing
    parameters: np.ndarray


class NetworkProblem(NamedTuple):
    """A block, a network whose loss fits its targets, and parameters to evaluate it at."""

    block: Block
    network: Network
    parameters: np.ndarray


def random_generators():
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


@st.composite
def cuts(draw, length, *, empty=True):
    """Sizes of consecutive blocks that add up to `length`: one-row and empty ones among them."""
    places = draw(st.lists(st.integers(0, length), max_size=7))
    edges = [0, *sorted(places if empty else set(places) - {0, length}), length]
    return tuple(stop - start for start, stop in pairwise(edges))


@st.composite
def features(draw, n_rows, n_features, dtypes=DTYPES):
    """Columns of different means, in either memory order."""
    rng = draw(random_generators())
    X = rng.normal(size=(n_rows, n_features)) + draw(st.sampled_from([0.0, 3.0]))
    X = X.astype(draw(st.sampled_from(dtypes)))
    return np.asarray(X, order=draw(st.sampled_from("CF")))


@st.composite
def weights(draw, n_rows, *, integer=False):
    """No weights, or weights with zeros among them, but not only zeros."""
    if not integer and draw(st.booleans()):
        return None
    rng = draw(random_generators())
    weight = rng.integers(0, 4, n_rows) * (1.0 if integer else rng.uniform(0.1, 2.0))
    if n_rows and not weight.any():
        weight[rng.integers(n_rows)] = 1.0
    return np.asarray(weight, dtype=np.float64)


@st.composite
def targets(draw, loss, n_rows, n_outputs):
    rng = draw(random_generators())
    if isinstance(loss, HalfPoissonDeviance):
        return rng.poisson(2.0, (n_rows, n_outputs)).astype(np.float64)
    if isinstance(loss, HalfBinomialLoss) and n_outputs > 1:  # labels of their own
        return rng.integers(0, 2, (n_rows, n_outputs)).astype(np.float64)
    if isinstance(loss, HalfBinomialLoss | HalfMultinomialLoss):
        n_classes = 2 if isinstance(loss, HalfBinomialLoss) else n_outputs
        return rng.integers(0, n_classes, n_rows).astype(np.float64)
    return rng.normal(size=(n_rows, n_outputs))


@st.composite
def losses(draw, kinds=LOSSES):
    """A loss, of all that the package has, and a number of outputs it may have."""
    loss = draw(st.sampled_from(kinds))()
    smallest = 2 if isinstance(loss, HalfMultinomialLoss) else 1
    return loss, draw(st.integers(smallest, 4))


def linear_losses():
    """The losses of linear models: their curvature is bounded, and labels are not several."""
    return losses().filter(
        lambda case: (
            case[0].curvature_bound < np.inf
            and not (isinstance(case[0], HalfBinomialLoss) and case[1] > 1)
        )
    )


@st.composite
def problems(draw, min_rows=1, max_rows=60, max_features=5, dtypes=DTYPES, integer_weights=False):
    """A small linear problem of any loss, dtype, memory order and weights."""
    loss, n_outputs = draw(linear_losses())
    n_rows = draw(st.integers(min_rows, max_rows))
    n_features = draw(st.integers(1, max_features))
    block = Block(
        draw(features(n_rows, n_features, dtypes)),
        draw(targets(loss, n_rows, n_outputs)),
        draw(weights(n_rows, integer=integer_weights)),
    )
    packing = Packing(n_outputs, n_features, draw(st.booleans()))
    rng = draw(random_generators())
    scale = draw(st.sampled_from([0.0, 0.5, 3.0]))
    return Problem(block, loss, packing, scale * rng.normal(size=packing.size))


@st.composite
def networks(draw, min_rows=1, max_rows=20, dtypes=DTYPES, integer_weights=False):
    """A small perceptron of any activation, loss, depth, dtype and weights, and rows for it."""
    loss, n_outputs = draw(losses(NETWORK_LOSSES))
    n_rows, n_features = draw(st.integers(min_rows, max_rows)), draw(st.integers(1, 5))
    hidden = draw(st.lists(st.integers(1, 5), max_size=3))
    layers = Layers((n_features, *hidden, n_outputs))
    activation = ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))]
    X = draw(features(n_rows, n_features, dtypes))
    block = Block(
        X,
        draw(targets(loss, n_rows, n_outputs)),
        draw(weights(n_rows, integer=integer_weights or draw(st.booleans()))),
    )
    # Coefs as large as keep a layer's outputs about as large as its inputs.
    rng = draw(random_generators())
    size = [np.full(a * b, a**-0.5) for a, b in layers.shapes]
    parameters = rng.normal(size=layers.size)
    parameters *= np.concatenate([*size, np.ones(layers.size - layers.n_weights)])
    alpha = draw(st.sampled_from([0.0, 0.3]))
    return NetworkProblem(
        block, Network(layers, activation, loss, alpha), parameters.astype(X.dtype)
    )


@st.composite
def raw_predictions(draw, n_rows, n_outputs):
    """Raw predictions, extreme ones among them."""
    sizes = st.sampled_from([1.0, 1.0, 40.0, 800.0, 1e8, 1e150])
    rng = draw(random_generators())
    raw = rng.normal(size=(n_rows, n_outputs)) * draw(sizes)
    if n_rows:
        raw[rng.integers(n_rows)] *= draw(sizes)
        raw[rng.integers(n_rows)] = 0.0
    return raw


def rows_of(block: Block, rows) -> Block:
    """The block of some rows: a slice, a mask or positions."""
    weight = None if block.weight is None else block.weight[rows]
    return Block(block.X[rows], block.y[rows], weight)


def pieces(block: Block, sizes) -> list[Block]:
    """The consecutive blocks of these sizes."""
    edges = np.cumsum([0, *sizes])
    return [rows_of(block, slice(start, stop)) for start, stop in pairwise(edges)]


def in_dtype(block: Block, dtype) -> Block:
    """The block with all its arrays in one precision, as networks take it."""
    weight = None if block.weight is None else block.weight.astype(dtype)
    return Block(block.X.astype(dtype), block.y.astype(dtype), weight)
