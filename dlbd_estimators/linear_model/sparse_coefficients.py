"""Coefficients held as a sparse matrix, without the zeros."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted


class SparseCoefficients:
    """Mixin: ``coef_`` as a sparse matrix and back, as in scikit-learn's linear classifiers."""

    coef_: Any

    def sparsify(self) -> Self:
        """Hold ``coef_`` as a sparse matrix, which is smaller where most of it is zero.

        Returns
        -------
        self
            The fitted estimator, with the same predictions.
        """
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self) -> Self:
        """Hold ``coef_`` as an array again.

        Returns
        -------
        self
            The fitted estimator, with the same predictions.
        """
        check_is_fitted(self)
        self.coef_ = dense(self.coef_)
        return self


def dense(coef: Any) -> Any:
    """Return coefficients as an array, whether they are held with or without the zeros."""
    return np.asarray(coef.toarray() if sparse.issparse(coef) else coef)
