"""Data sets with mutated files."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pandas as pd
import pytest

import storage
from storage import opening
from storage.blocks import ExpectedChunks
from storage.store import Store
from tests.fuzz import cases
from tests.fuzz.mutations import mutated_bytes, mutated_text
from tests.storage.edited_metadata import signed_again, signed_manifest, signed_record

FRAME = pd.DataFrame(
    {
        "carrier": ["AA", "UA", None, "DL"] * 5,
        "when": ["2020-02-29", "2021-01-01", "2022-12-31", "1999-01-01"] * 5,
        "late": [True, False] * 10,
        "delay": np.arange(20.0),
        "on_time": ["yes", "no"] * 10,
    }
)
METADATA = ("zarr.json", "X/zarr.json", "y/zarr.json", "ingest.json")
MANIFESTS = ("manifest.json", "versions/2.json")
EVERY_FILE = (*METADATA, *MANIFESTS, "X/c.0.0", "y/c.0")


class Files(Store):
    """Files in memory."""

    location = url = "files in memory"

    def __init__(self, files):
        self.files = files

    def read(self, key, limit=None):
        if key not in self.files:
            raise FileNotFoundError(key)
        return np.frombuffer(self.files[key], np.uint8)

    def read_start(self, key, nbytes):
        return self.read(key)[:nbytes].tobytes()

    def write(self, key, parts, *, durable=False):
        raise NotImplementedError

    def make_folder(self, key):
        raise NotImplementedError

    def kind(self):
        return "place"

    def identity(self):
        return None

    def for_zarr(self):
        raise NotImplementedError


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("made") / "d"
    columns = {
        "when": storage.Column("datetime"),
        "carrier": storage.Column("category", missing="impute"),
        "delay": storage.Column("number", minimum=0, maximum=30, out_of_range="clip"),
    }
    carriers = pd.DataFrame(
        {"carrier": ["AA", "UA"], "planes": [900, None], "hub": ["DFW", "ORD"], "old": [True, None]}
    )
    data = storage.ingest(
        FRAME[:12],
        path,
        target="on_time",
        columns=columns,
        joins=[storage.Join(carriers, on="carrier", unmatched="keep")],
        rows=storage.HashSplit("delay"),
    )
    data = storage.append(data, FRAME[12:])
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in data.path.rglob("*")
        if file.is_file()
    }


def read_all(files):
    """Return everything that a reader can learn from the files of a data set."""
    data = opening._open(Files(files), None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        facts = [data.schema, data.layouts, repr(data)]
        for name in data.layouts:
            reader, entries = data.reader(name), data.manifest.arrays[name]
            expected = ExpectedChunks(reader, entries)
            facts += [reader(expected[i,]).tolist() for i in range(expected.numblocks[0])]
        facts += [data.versions, data.since(1).n_samples, data.quality_of(2)]
        facts += [data.quality, repr(data.quality), data.quality.class_balance]
        encoded = data.encode(FRAME)
        facts += [encoded.X.tolist(), encoded.y.tolist(), encoded.kept.tolist()]
    return facts


def mutated(random, written, key):
    content = written[key]
    # A manifest is not parsed as JSON, so that only a mutation of its bytes leaves it readable.
    if key.endswith(".json") and random.random() < (0.2 if key in MANIFESTS else 0.8):
        return mutated_text(random, json.loads(content))
    return mutated_bytes(random, content)


def signed(written, key, content):
    """Return all files with this content of one of them, and right checksums."""
    if key in MANIFESTS:
        return {**written, key: signed_manifest(content)}
    files = {**written, key: signed_record(content) if key == "ingest.json" else content}
    listed = {name: files[name] for name in METADATA}
    return {**files, "manifest.json": signed_again(written["manifest.json"], listed)}


def test_a_mutated_file_is_noticed_or_changes_nothing(written):
    truth = repr(read_all(written))
    for case, random in cases(1500):
        key = random.choice(EVERY_FILE)
        files = {**written, key: mutated(random, written, key)}
        if random.random() < 0.02:
            del files[key]
        try:
            found = repr(read_all(files))
        except storage.StorageError:
            continue
        except Exception as error:
            error.add_note(f"{case}: {key}")
            raise
        assert found == truth, f"{case}: {key} changes what is read"


def test_a_mutated_file_with_right_checksums_is_refused_or_valid(written):
    n_valid = 0
    for case, random in cases(1100):
        key = random.choice((*METADATA, *MANIFESTS))
        files = signed(written, key, mutated(random, written, key))
        try:
            read_all(files)
            n_valid += 1
        except storage.StorageError:
            continue
        except Exception as error:
            error.add_note(f"{case}: {key}")
            raise
    assert n_valid
