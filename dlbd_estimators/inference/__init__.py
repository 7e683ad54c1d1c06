"""Standard errors, tests and confidence intervals of the coefficients of a linear model."""

from __future__ import annotations

from dlbd_estimators.linear_model.inference.standard_errors import coefficient_table
from dlbd_estimators.linear_model.inference.table import CoefficientTable, WaldTest

__all__ = ["CoefficientTable", "WaldTest", "coefficient_table"]
