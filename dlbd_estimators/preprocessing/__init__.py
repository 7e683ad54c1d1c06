"""Transformers with scikit-learn's names and results, lazy on Dask arrays and data frames.

On data in memory every class works exactly as scikit-learn's. On Dask collections ``fit`` makes one
parallel pass and ``transform`` is lazy:

>>> import dask.array as da
>>> from dlbd_estimators.preprocessing import StandardScaler
>>> X = da.ones((1_000, 3), chunks=(100, 3))
>>> StandardScaler().fit_transform(X).shape
(1000, 3)
"""

from __future__ import annotations

from dlbd_estimators.preprocessing.blockwise import Blockwise
from dlbd_estimators.preprocessing.encoders import OneHotEncoder, OrdinalEncoder
from dlbd_estimators.preprocessing.imputer import SimpleImputer
from dlbd_estimators.preprocessing.scalers import MaxAbsScaler, MinMaxScaler
from dlbd_estimators.preprocessing.standard import StandardScaler

__all__ = [
    "Blockwise",
    "MaxAbsScaler",
    "MinMaxScaler",
    "OneHotEncoder",
    "OrdinalEncoder",
    "SimpleImputer",
    "StandardScaler",
]
