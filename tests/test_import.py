"""What an import brings along: no more than what everyone needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: What every estimator rests on.
BASE = "import sklearn.linear_model, dask.array"
NEVER = (
    "bokeh", "dask.dataframe", "distributed", "fsspec", "IPython", "matplotlib", "pandas.plotting",
    "prometheus_client", "pyarrow.dataset", "pyarrow.parquet", "rich", "skops", "sklearn.ensemble",
    "sklearn.neural_network", "tornado", "xarray", "zarr",
)  # fmt: skip
NETWORKS = (
    "dlbd_estimators.engine.rounds", "dlbd_estimators.kernels.learner",
    "dlbd_estimators.kernels.network", "dlbd_estimators.neural_network",
    "dlbd_estimators.solvers.stochastic.one_epoch",
)  # fmt: skip


def imported_by(code):
    """Modules that some code imports, beyond those that every estimator rests on."""
    program = (
        f"import sys\n{BASE}\nbefore = set(sys.modules)\n{code}\n"
        f"print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def below(modules, names):
    return [each for each in modules if any(f"{each}.".startswith(f"{name}.") for name in names)]


def test_the_package_itself_brings_nothing():
    assert imported_by("import dlbd_estimators") == ["dlbd_estimators"]


@pytest.mark.parametrize(
    ("code", "more"),
    [
        ("from dlbd_estimators import Lasso, LogisticRegression, Ridge", NETWORKS),
        ("from dlbd_estimators import MLPClassifier", ("dlbd_estimators.linear_model.logistic",)),
        ("import dlbd_estimators.solvers, dlbd_estimators.engine.threads", NETWORKS),
    ],
)
def test_an_estimator_brings_this_package_alone(code, more):
    found = imported_by(code)
    assert below(found, (*NEVER, *more)) == []
    # dask.task_spec: of the graphs that blocks are read from.
    assert {each.split(".")[0] for each in found} <= {"dlbd_estimators", "dask"}
    assert [each for each in found if each.startswith("dask")] in ([], ["dask.task_spec"])


@pytest.mark.parametrize(
    "code",
    [
        "from dlbd_estimators.preprocessing import OneHotEncoder, SimpleImputer, StandardScaler",
        "from dlbd_estimators.compose import ColumnTransformer",
        "from dlbd_estimators.model_selection import KFold, train_test_split",
        "from dlbd_estimators.metrics import log_loss, r2_score",
        "import dlbd_estimators.monitoring",
    ],
)
def test_what_stands_around_them_brings_no_frames_and_no_cluster(code):
    assert below(imported_by(code), NEVER) == []


def test_scikit_learn_is_not_imported_where_a_worker_unpickles_a_kernel():
    program = "import sys, dlbd_estimators.kernels.kernel; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=240)
