"""Credentials in URLs are in no message, no event and no checkpoint."""

from __future__ import annotations

import fsspec
import numpy as np
import pytest

from dlbd_estimators import LogisticRegression, load
from dlbd_estimators.exceptions import CheckpointDamaged, ModelDamaged
from dlbd_estimators.monitoring import listening

SECRET = "hunter2"
X = np.random.default_rng(0).normal(size=(30, 3))
Y = (X[:, 0] > 0).astype(int)
URL = f"memory://me:{SECRET}@host"


def test_a_model():
    with fsspec.open(f"{URL}/a.model", "wb") as file:
        file.write(b"nothing")
    with pytest.raises(ModelDamaged, match=r"\*\*\*@host") as caught:
        load(f"{URL}/a.model")
    assert SECRET not in str(caught.value)


def test_a_checkpoint():
    model, events = LogisticRegression(checkpoint=f"{URL}/fit"), []
    with listening(events.append):
        model.fit(X, Y)
    assert "***@host" in events[0]["parameters"]["checkpoint"]
    assert SECRET not in repr(events)
    files = fsspec.filesystem("memory").glob(f"{URL}/fit/*.checkpoint")
    for path in files:
        content = fsspec.filesystem("memory").cat_file(path)
        assert SECRET.encode() not in content
        fsspec.filesystem("memory").pipe_file(path, content[:-1])
    with pytest.raises(CheckpointDamaged, match=r"\*\*\*@host") as caught:
        model.fit(X, Y)
    assert SECRET not in str(caught.value)
