"""The errors of this package; each is also the builtin error that a caller would catch.

ValueError, TypeError
`-- InvalidParameter      a parameter of an estimator is of the wrong type or out of range
ValueError
|-- CheckpointMismatch    a checkpoint is of other data or parameters; the message lists them
|-- CheckpointDamaged     no checkpoint of a folder is as it was written
|-- ModelDamaged          the file of a saved model is not as it was written
|-- LengthMismatch        X, y or sample_weight have different numbers of rows
`-- BadBlock              one block cannot be used; the message names block, row and column
    `-- NonFiniteValues   NaN or infinity in X, y or sample_weight
MemoryError
|-- BlockTooLarge         a block does not fit beside another in a worker
|-- MatrixTooLarge        a solver's matrix of all pairs of parameters does not fit in a worker
`-- DenseTooLarge         sparse rows do not fit in memory once they are dense
FloatingPointError, ValueError
`-- Diverged              the loss or a parameter is no longer finite; names the step or epoch
RuntimeError
`-- WorkersLost           the workers that read a block died again and again
TimeoutError
`-- ClusterError          a cluster that a fit waits for has been gone for too long
    `-- NoWorkers         it has no worker that may take a task
ImportError
`-- MissingPackage        workers or the scheduler cannot import what a task needs

One of them is a warning: ParameterWithoutEffect, a UserWarning.
"""

from __future__ import annotations


class InvalidParameter(ValueError, TypeError):
    """A parameter of an estimator is of the wrong type or out of range."""


class ParameterWithoutEffect(UserWarning):
    """A parameter of scikit-learn has no effect here. It is shown once for a class and process."""


class CheckpointMismatch(ValueError):
    """A checkpoint is of another fit: of other data, or with other parameters."""


class CheckpointDamaged(ValueError):
    """A checkpoint is not as it was written, and there is no whole one before it."""


class ModelDamaged(ValueError):
    """The file of a saved model is not as it was written, or is no such file."""


class LengthMismatch(ValueError):
    """X, y or sample_weight have different numbers of rows."""


class BadBlock(ValueError):
    """One block of the data cannot be used."""


class NonFiniteValues(BadBlock):
    """NaN or infinity in X, y or sample_weight."""


class BlockTooLarge(MemoryError):
    """A block is too large for the memory of a worker."""


class MatrixTooLarge(MemoryError):
    """A matrix that a solver needs is too large for the memory of a worker."""


class DenseTooLarge(MemoryError):
    """A sparse matrix would not fit in memory once it is dense."""


class Diverged(FloatingPointError, ValueError):
    """The loss or a parameter became infinite or NaN in training, on finite data."""


class WorkersLost(RuntimeError):
    """Each worker that read a certain block died."""


class ClusterError(TimeoutError):
    """A cluster has left a fit waiting for longer than is configured, or was lost meanwhile."""


class NoWorkers(ClusterError):
    """A cluster has no worker that may take a task, and none came in time."""


class MissingPackage(ImportError):
    """Workers or the scheduler cannot import what a task needs."""
