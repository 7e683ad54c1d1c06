"""Passes for fits whose data are partly in the memory of this process, and partly lazy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlbd_estimators.blocks.sequence import BlockSequence
from dlbd_estimators.engine.bundle import BundleResult
from dlbd_estimators.engine.cluster import ClusterExecutor
from dlbd_estimators.engine.reduction_tree import Node
from dlbd_estimators.engine.rounds import LocalTraining, TrainedReplica
from dlbd_estimators.engine.threads import ThreadExecutor
from dlbd_estimators.kernels.kernel import PassKernel
from dlbd_estimators.kernels.learner import Learner


class MixedExecutor(ClusterExecutor):
    """Runs passes over lazy data on a cluster, and over arrays in memory on threads here.

    So arrays in memory never leave the process. The bits are the same in both places.

    Parameters
    ----------
    client : distributed.Client
        The client that was active when the fit began; also an attribute.
    """

    def __init__(self, client: Any) -> None:
        super().__init__(client)
        self._here = ThreadExecutor()

    def close(self) -> None:
        self._here.close()
        super().close()

    def _run(
        self,
        kernel: PassKernel[Any, Any],
        parameters: Any,
        blocks: BlockSequence,
        indices: Sequence[int],
        name: str,
        features: bool,
    ) -> dict[Node, BundleResult[Any]]:
        where = self._here._run if blocks.in_memory else super()._run
        return where(kernel, parameters, blocks, indices, name, features)

    def _run_round(
        self, trainings: Sequence[LocalTraining], learner: Learner, name: str
    ) -> list[TrainedReplica]:
        here = trainings[0].blocks.in_memory
        where = self._here._run_round if here else super()._run_round
        return where(trainings, learner, name)
