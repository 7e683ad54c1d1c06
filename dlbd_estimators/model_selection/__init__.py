"""Split data into training rows and test rows, and search for parameters. Lazy data stay lazy.

Rows are chosen within every block, so that each part of sorted data represents all rows. NumPy
arrays and pandas frames are split by scikit-learn itself, so they give the same rows as there. The
searches fit many candidates in shared passes over the data.
"""

from __future__ import annotations

from dlbd_estimators.model_selection.folds import KFold, ShuffleSplit
from dlbd_estimators.model_selection.grid_search import GridSearchCV
from dlbd_estimators.model_selection.randomized_search import RandomizedSearchCV
from dlbd_estimators.model_selection.split import train_test_split

__all__ = ["GridSearchCV", "KFold", "RandomizedSearchCV", "ShuffleSplit", "train_test_split"]
