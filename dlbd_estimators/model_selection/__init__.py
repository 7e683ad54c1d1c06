"""Splits of data into rows to train on and rows to test on, lazy where the data are.

Rows are chosen within every block, so that sorted data are split fairly too. NumPy arrays and
pandas frames are split by scikit-learn itself, to its very rows.
"""

from __future__ import annotations

from dlbd_estimators.model_selection.folds import KFold, ShuffleSplit
from dlbd_estimators.model_selection.split import train_test_split

__all__ = ["KFold", "ShuffleSplit", "train_test_split"]
