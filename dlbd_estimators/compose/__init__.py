"""Transformers of several kinds of columns, lazy on Dask collections."""

from dlbd_estimators.compose.column_transformer import ColumnTransformer, make_column_transformer

__all__ = ["ColumnTransformer", "make_column_transformer"]
