"""Two fits at once, in two threads, and of two clients, change nothing in one another."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from distributed import Client
from distributed.utils import get_mp_context

from tests.faults.work import WORK, Rows, assert_same_bits, expected, lazy

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

PAIRS = [("newton", "network, two replicas"), ("gram", "LogisticRegressionCV")]


def found(name, folder):
    return WORK[name](Rows(*lazy(), folder))


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("pair", PAIRS)
def test_two_fits_in_two_threads(pair, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        fits = {name: pool.submit(found, name, tmp_path) for name in pair}
    for name, fit in fits.items():
        assert_same_bits(fit.result(), expected(name, tmp_path))


def found_by_a_client_of_its_own(address, name, folder):
    with Client(address):
        return found(name, folder)


@pytest.mark.parametrize("pair", PAIRS)
def test_two_fits_of_two_clients(pair, cluster, tmp_path):
    arguments = [(cluster.scheduler_address, name, tmp_path) for name in pair]
    with ProcessPoolExecutor(2, mp_context=get_mp_context()) as pool:
        fits = [pool.submit(found_by_a_client_of_its_own, *each) for each in arguments]
    for name, fit in zip(pair, fits, strict=True):
        assert_same_bits(fit.result(), expected(name, tmp_path))
