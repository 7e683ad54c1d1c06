"""The errors of this package; each one is also a subclass of the builtin error that fits it.

ValueError, TypeError
`-- InvalidParameter      a parameter of an estimator is of the wrong type or out of range
ValueError
|-- CheckpointMismatch    a checkpoint belongs to other data or parameters (the message lists them)
|-- CheckpointDamaged     all checkpoints in a folder are damaged
|-- ModelDamaged          a file is damaged, or is not a saved model
|-- PrivacyBudgetSpent    partial_fit would spend more than the budget of its DifferentialPrivacy
|-- LengthMismatch        X, y or sample_weight have different numbers of rows
`-- BadBlock              one block cannot be used; the message names block, row and column
    `-- NonFiniteValues   NaN or infinity in X, y or sample_weight
MemoryError
|-- BlockTooLarge         a block is too large for the memory of a worker
|-- MatrixTooLarge        a solver's matrix of all pairs of parameters does not fit in a worker
`-- DenseTooLarge         sparse rows do not fit in memory as a dense array
FloatingPointError, ValueError
`-- Diverged              loss or parameters no longer finite (the message names the step or epoch)
RuntimeError
|-- WorkersLost           all workers that read a certain block died
`-- UnencryptedCluster    Dask requires encryption, and connections to a cluster have none
TimeoutError
`-- ClusterError          a fit waited too long for its cluster, or lost it
    `-- NoWorkers         the cluster has no worker that can run a task
ImportError
`-- MissingPackage        workers or the scheduler cannot import a package that a task needs

ParameterWithoutEffect is a warning, a subclass of UserWarning.
"""

from __future__ import annotations


class InvalidParameter(ValueError, TypeError):
    """A parameter of an estimator is of the wrong type or out of range."""


class ParameterWithoutEffect(UserWarning):
    """A parameter of scikit-learn has no effect here. Shown once per class and process."""


class CheckpointMismatch(ValueError):
    """A checkpoint was written by another fit, with other data or other parameters."""


class CheckpointDamaged(ValueError):
    """A checkpoint is damaged, and there is no earlier one that is intact."""


class ModelDamaged(ValueError):
    """A file is damaged, or is not a saved model."""


class PrivacyBudgetSpent(ValueError):
    """A call of ``partial_fit`` would spend more than the privacy budget of the model."""


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
    """A sparse matrix would not fit in memory as a dense array."""


class Diverged(FloatingPointError, ValueError):
    """The loss or a parameter became infinite or NaN in training, although the data are finite."""


class WorkersLost(RuntimeError):
    """All workers that read a certain block died."""


class UnencryptedCluster(RuntimeError):
    """Dask's configuration requires encryption, and connections to a cluster have none."""


class ClusterError(TimeoutError):
    """A fit waited for its cluster for longer than configured, or lost the connection to it."""


class NoWorkers(ClusterError):
    """A cluster has no worker that can run a task, and no worker joined in time."""


class MissingPackage(ImportError):
    """Workers or the scheduler cannot import a package that a task needs."""
