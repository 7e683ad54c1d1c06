"""Coefficients most of which are zero, held without the zeros."""

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
        self.coef_ = self._dense_coef()
        return self

    def _dense_coef(self) -> Any:
        return np.asarray(self.coef_.toarray() if sparse.issparse(self.coef_) else self.coef_)
