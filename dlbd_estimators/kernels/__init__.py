"""Pure NumPy maths: pointwise losses, penalties, and kernels that sum them over a block.

This package does not read data or schedule work: a kernel takes one
:class:`~dlbd_estimators.kernels.kernel.Block` and parameters, and returns a
partial result (a *partial*), which holds *sums* over the rows of the block.
"""
