"""What drop-in means: scikit-learn's own tests pass with our classes in place of its."""

from __future__ import annotations

import pytest

from tests.drop_in.reasons import reason
from tests.drop_in.run import FILES, run

pytestmark = pytest.mark.long


@pytest.mark.timeout(900)
def test_scikit_learns_tests_pass_but_for_reasons_that_are_written_down(tmp_path):
    """All but the slowest; ``benchmarks/scikit_learn_tests.py`` runs those too."""
    found = run(tmp_path / "outcomes.json", slow=False)
    assert found.unexpected == {}
    assert found.outdated == []
    assert set(found.counts) == set(FILES)
    assert found.share > 0.85  # 0.90 with the slowest


def test_reasons_are_found_by_function_or_by_parameters():
    file = "linear_model/tests/test_base.py"
    assert reason(f"{file}::test_raises_value_error_if_positive_and_sparse") is not None
    assert reason(f"{file}::test_inplace_data_preprocessing[42-True-None]") is not None
    assert reason(f"{file}::test_inplace_data_preprocessing[42-True-csr_matrix]") is None
    assert reason("linear_model/tests/test_sag.py::test_sag") is None
