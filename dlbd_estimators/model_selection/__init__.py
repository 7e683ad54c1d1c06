"""Split data into training rows and test rows, and search for parameters. Lazy data stay lazy.

Rows are chosen within every block, so that sorted data are split fairly, too. scikit-learn itself
splits NumPy arrays and pandas frames, so the rows are the same as with scikit-learn. The searches
fit many candidates in shared readings of the data.
"""

from __future__ import annotations

from dlbd_estimators.model_selection.folds import KFold, ShuffleSplit
from dlbd_estimators.model_selection.grid_search import GridSearchCV
from dlbd_estimators.model_selection.randomized_search import RandomizedSearchCV
from dlbd_estimators.model_selection.split import train_test_split

__all__ = ["GridSearchCV", "KFold", "RandomizedSearchCV", "ShuffleSplit", "train_test_split"]
