"""Splits of data into rows to train on and rows to test on, lazy where the data are; and searches.

Rows are chosen within every block, so that sorted data are split fairly too. NumPy arrays and
pandas frames are split by scikit-learn itself, to its very rows. The searches fit what candidates
have in common once.
"""

from __future__ import annotations

from dlbd_estimators.model_selection.folds import KFold, ShuffleSplit
from dlbd_estimators.model_selection.grid_search import GridSearchCV
from dlbd_estimators.model_selection.randomized_search import RandomizedSearchCV
from dlbd_estimators.model_selection.split import train_test_split

__all__ = ["GridSearchCV", "KFold", "RandomizedSearchCV", "ShuffleSplit", "train_test_split"]
