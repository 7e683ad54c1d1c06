"""Dropout: gradients with a mask, what the masks are, and training with them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbd_estimators.kernels.dropout import Dropout, Mask
from dlbd_estimators.kernels.network import Workspace
from tests.inputs import flat, in_chunks, perceptron, task
from tests.kernels.test_network import avoid_kinks
from tests.strategies import networks, random_generators

RATES = st.sampled_from([0.0, 0.1, 0.5, 0.9])


@st.composite
def masked(draw):
    """A network with a mask of each hidden layer."""
    problem = draw(networks(dtypes=(np.float64,)))
    widths = problem.network.layers.units[1:-1]
    rates = tuple(draw(RATES) for _ in widths)
    masks = Dropout(rates, draw(st.integers(0, 9))).masks(
        (0, 0, 0), problem.block.n_rows, widths, np.float64
    )
    return problem, masks


def evaluated(problem, masks, parameters):
    block, network, _ = problem
    workspace = Workspace(network.layers, block.n_rows, np.float64)
    parts = network.layers.unpack(parameters)
    return network.value_and_gradient(block, *parts, workspace, 1.0, masks), workspace.gradient


def plainly(problem, masks, parameters):
    """The loss by torch.nn.Dropout's formula: zero, or divided by 1 - p, after the activation."""
    block, network, _ = problem
    coefs, intercepts = network.layers.unpack(parameters)
    a = block.X.astype(np.float64)
    for layer, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        a = a @ coef + intercept
        if layer < len(coefs) - 1:
            network.activation.apply(a)
            if masks[layer] is not None:
                a = np.where(masks[layer].factors > 0, a / masks[layer].keep, 0.0)
    return network.loss.evaluate(block.y, a, block.weight, 0).value * network.scale


@given(masked())
def test_value_is_the_formula(case):
    problem, masks = case
    value, _ = evaluated(problem, masks, problem.parameters)
    expected = plainly(problem, masks, problem.parameters)
    assert value == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(masked(), random_generators())
def test_gradient_with_masks_is_the_central_difference_of_the_value(case, rng):
    problem, masks = case
    avoid_kinks(problem, 1e-3)
    flat_parameters, h = problem.parameters, 1e-6
    # Masks make hidden layers see other numbers, so kinks are looked for at both ends, too.
    value, gradient = evaluated(problem, masks, flat_parameters)
    for _ in range(3):
        direction = rng.normal(size=len(gradient))
        direction /= np.linalg.norm(direction)
        up, down = (
            evaluated(problem, masks, flat_parameters + sign * h * direction)[0] for sign in (1, -1)
        )
        if problem.network.activation.name == "relu" and any(masks):
            bend = abs(up + down - 2 * value)
            if bend > 1e-3 * h:  # a kink between both ends
                continue
        allowed = 1e-6 * (1.0 + np.linalg.norm(gradient) + abs(value))
        assert direction @ gradient == pytest.approx((up - down) / (2 * h), rel=0, abs=allowed)


@given(st.floats(0.05, 0.9), st.integers(0, 99))
def test_masks_keep_the_stated_share_and_the_mean(rate, seed):
    (mask, none) = Dropout((rate, 0.0), seed).masks((1, 2, 3), 200, (50, 4), np.float32)
    assert none is None
    assert isinstance(mask, Mask)
    assert mask.factors.dtype == np.float32
    kept = mask.factors > 0
    np.testing.assert_allclose(mask.factors[kept], 1.0 / (1.0 - rate), rtol=1e-6)
    # Six standard deviations of the mean of 10,000 independent outputs.
    assert abs(kept.mean() - (1.0 - rate)) < 6 * np.sqrt(rate * (1.0 - rate) / kept.size)


def test_each_place_has_its_own_masks():
    def factors(*place):
        return Dropout((0.5,), 0).masks(place, 20, (20,), np.float64)[0].factors

    same, others = factors(1, 2, 3), [factors(0, 2, 3), factors(1, 0, 3), factors(1, 2, 0)]
    np.testing.assert_array_equal(same, factors(1, 2, 3))
    assert all((other != same).any() for other in others)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("lazy", [False, True])
def test_training_with_dropout_repeats_and_continues_with_the_same_bits(lazy, tmp_path):
    rows = task("classes", n=120)
    rows = in_chunks(30, *rows) if lazy else rows
    options = {"dropout": 0.5, "n_replicas": 2 if lazy else 1, "batch_size": 20}
    whole = perceptron("classes", max_iter=4, **options).fit(*rows)
    perceptron("classes", max_iter=2, checkpoint=tmp_path, **options).fit(*rows)
    resumed = perceptron("classes", max_iter=4, checkpoint=tmp_path, **options).fit(*rows)
    np.testing.assert_array_equal(flat(resumed), flat(whole))
    without = perceptron("classes", max_iter=4, **{**options, "dropout": [0.0]}).fit(*rows)
    assert (flat(without) != flat(whole)).any()
    plain = perceptron("classes", max_iter=4, **{**options, "dropout": 0.0}).fit(*rows)
    np.testing.assert_array_equal(flat(without), flat(plain))


@pytest.mark.parametrize(
    "dropout", [1.0, -0.1, True, "half", (0.5, 0.5), [], [np.nan], [[0.5]], None]
)
def test_a_rate_out_of_range_is_refused(dropout):
    with pytest.raises(ValueError, match=r"'dropout' parameter .* hidden layers"):
        perceptron("classes", dropout=dropout).fit(*task("classes", n=60))


def test_full_passes_have_no_dropout():
    with pytest.raises(ValueError, match=r"dropout=0\.5 needs mini-batches"):
        perceptron("classes", dropout=0.5, solver="lbfgs").fit(*task("classes", n=60))
