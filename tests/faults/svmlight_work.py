"""Ingest svmlight files that a fault can strike: each block of lines is read through a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
from scipy import sparse
from sklearn.datasets import dump_svmlight_file

import storage
from storage.ingestion import svmlight_source
from storage.ingestion.svmlight_files import SVMLightBlock, SVMLightRows

N_PARTS = 12


@dataclass(frozen=True)
class _Struck(SVMLightBlock):
    """A block whose labels go through a function when they are read."""

    read: Callable = np.asarray

    def rows(self, rules) -> SVMLightRows:
        rows = super().rows(rules)
        return rows._replace(labels=self.read(rows.labels))


def ingest_svmlight(
    X: sparse.csr_array, y: np.ndarray, path: Path, read: Callable | None, **sizes: int
) -> storage.Dataset:
    """Write rows to a file beside `path`, and ingest it; each of twelve parts is read twice."""
    file = path.with_name(f"rows-of-{path.name}.svm")
    dump_svmlight_file(X, y, str(file), zero_based=False)
    cut = svmlight_source.svmlight_blocks

    def struck(*arguments):
        return [
            _Struck(block.filesystem, block.path, block.start, block.stop, read or np.asarray)
            for block in cut(*arguments)
        ]

    with patch.object(svmlight_source, "svmlight_blocks", struck):
        return storage.ingest(
            file,
            path,
            svmlight=storage.SVMLightFormat(n_features=X.shape[1]),
            partition_nbytes=-(-file.stat().st_size // N_PARTS),
            **sizes,
        )
