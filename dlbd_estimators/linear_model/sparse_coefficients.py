"""Storage of ``coef_`` as a sparse matrix, without the zeros."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted


class SparseCoefficients:
    """Mixin that adds ``sparsify`` and ``densify``, as in scikit-learn's linear classifiers."""

    coef_: Any

    def sparsify(self) -> Self:
        """Convert ``coef_`` to a sparse matrix, which is smaller if most coefficients are zero.

        Returns
        -------
        self
            The fitted estimator, with the same predictions.
        """
        check_is_fitted(self)
        self.coef_ = sparse.csr_matrix(self.coef_)
        return self

    def densify(self) -> Self:
        """Convert ``coef_`` back to a dense array.

        Returns
        -------
        self
            The fitted estimator, with the same predictions.
        """
        check_is_fitted(self)
        self.coef_ = dense(self.coef_)
        return self


def dense(coef: Any) -> Any:
    """Return coefficients as a dense array, whether they are dense or sparse."""
    return np.asarray(coef.toarray() if sparse.issparse(coef) else coef)
