"""Pure NumPy maths: pointwise losses, penalties, and kernels that sum them over a block.

Nothing here knows where the rows come from or who asks: a kernel takes one
:class:`~dlbd_estimators.kernels.kernel.Block` and parameters, and returns a
partial, that is *sums* over the rows of the block.
"""
