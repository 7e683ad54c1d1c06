"""Data sets from strangers: each is refused by a typed error, at once and in little memory."""

from __future__ import annotations

import json
import os
import shutil
import tracemalloc

import dask.array as da
import numpy as np
import pandas as pd
import pytest

import storage
from tests.storage.edited_metadata import signed_again, signed_record

FRAME = pd.DataFrame({"carrier": ["AA", "UA", "AA", "DL"] * 5, "delay": np.arange(20.0)})
METADATA = ("zarr.json", "X/zarr.json", "y/zarr.json", "ingest.json")
EVERY_FILE = (*METADATA, "manifest.json", "X/c.0.0", "y/c.0")
MOST_NBYTES = 200 * 10**6


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return storage.ingest(FRAME, tmp_path_factory.mktemp("made") / "d", target="delay").path


@pytest.fixture
def data(made, tmp_path):
    shutil.copytree(made, tmp_path / "d")
    return storage.open_dataset(tmp_path / "d")


def use(path):
    """Do everything that reads a data set."""
    data = storage.open_dataset(path)
    data.X.compute(scheduler="synchronous")
    data.y.compute(scheduler="synchronous")
    _ = data.quality
    data.encode(FRAME)
    data.verify()


def refused(path, match=None):
    tracemalloc.start()
    try:
        with pytest.raises(storage.StorageError, match=match) as caught:
            use(path)
        assert tracemalloc.get_traced_memory()[1] < MOST_NBYTES
    finally:
        tracemalloc.stop()
    assert len(str(caught.value)) < 2000


def put(data, key, content):
    """Replace a file, and fix all checksums."""
    if key == "ingest.json":
        content = signed_record(content)
    (data.path / key).write_bytes(content)
    manifest = data.path / "manifest.json"
    files = {name: (data.path / name).read_bytes() for name in METADATA}
    manifest.write_bytes(signed_again(manifest.read_bytes(), files))


def edit(data, key, change):
    content = json.loads((data.path / key).read_bytes())
    change(content)
    text = json.dumps(content, indent=1)
    put(data, key, text.encode())


@pytest.mark.parametrize("key", EVERY_FILE)
def test_a_pipe_is_not_waited_for(data, key):
    (data.path / key).unlink()
    os.mkfifo(data.path / key)
    refused(data.path, "pipe")


@pytest.mark.parametrize("key", EVERY_FILE)
def test_a_folder_is_no_file(data, key):
    (data.path / key).unlink()
    (data.path / key).mkdir()
    refused(data.path)


@pytest.mark.parametrize("key", EVERY_FILE)
@pytest.mark.parametrize("target", ["/dev/zero", "outside", "inside"])
def test_links_are_not_followed(data, key, target, tmp_path):
    path = data.path / key
    outside = tmp_path / "outside"
    inside = path.with_name("moved")
    content = path.read_bytes()
    path.unlink()
    outside.write_bytes(content)
    inside.write_bytes(content)
    path.symlink_to({"outside": outside, "inside": inside}.get(target, target))
    refused(data.path, "is a link")


def test_a_linked_folder_is_not_entered_but_a_data_set_may_be_reached_by_a_link(data, tmp_path):
    (tmp_path / "link").symlink_to(data.path)
    use(tmp_path / "link")
    (data.path / "X").rename(tmp_path / "X")
    (data.path / "X").symlink_to(tmp_path / "X")
    refused(data.path, "is a link")


@pytest.mark.parametrize("key", EVERY_FILE)
@pytest.mark.parametrize("nbytes", [5 * 10**8, 10**12])
def test_a_file_of_any_length(data, key, nbytes):
    os.truncate(data.path / key, nbytes)  # the file takes no space on the disk
    refused(data.path, "bytes|changed")


@pytest.mark.parametrize("key", METADATA)
@pytest.mark.parametrize(
    "text",
    [
        b"[" * 200_000,
        b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
        b'{"a": [' + b"[" * 900 + b"]" * 900 + b"]}",
        b'{"a": "' + b"x" * 2 * 10**7 + b'"}',
        b'{"a": [' + b"{}," * 10**6 + b"1]}",
        b'{"a": ' + b"9" * 10**5 + b"}",
        b'{"a": 1e400, "b": NaN}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\xff\xfe"}',
        '{"a": 1}'.encode("utf-16"),
        b"{}",
        b"null",
        b"",
    ],
    ids=lambda text: text[:10].decode("latin1"),
)
def test_json_that_is_too_much(data, key, text):
    if key == "ingest.json":
        text = b"\n" + text
    put(data, key, text)
    refused(data.path)


def schema(**changes):
    return "zarr.json", lambda group: group["attributes"]["dlbd"].update(changes)


def rows(n_samples, **more):
    """The same number of rows everywhere; 20 are stored."""

    def change(data):
        for name in ("X", "y"):
            edit(data, f"{name}/zarr.json", lambda array: array["shape"].__setitem__(0, n_samples))
        edit(data, *schema(n_samples=n_samples, **more))

    return change


@pytest.mark.parametrize("n_samples", [10**12, 2**62, 10**300, 1.0, -1, 0, True, "20", None])
def test_numbers_of_rows(data, n_samples):
    rows(n_samples)(data)
    refused(data.path)


def test_one_chunk_of_any_number_of_rows(data):
    def widen(array):
        array["chunk_grid"]["configuration"]["chunk_shape"][0] = 10**12

    for name in ("X", "y"):
        edit(data, f"{name}/zarr.json", widen)
    rows(10**12, block_rows=10**12)(data)
    refused(data.path, "bytes")


@pytest.mark.parametrize(
    ("key", "change"),
    [
        schema(version=True),
        schema(version=10**4000),
        schema(block_rows=10**15),
        schema(feature_names=[1, 2, 3]),
        schema(feature_names=["a", "b", "\ud800"]),
        schema(target=["delay"]),
        schema(target=[[]]),
        schema(classes=["no", "yes"]),
        schema(classes=[[]]),
        schema(source=[]),
        schema(dataset_id="\ud800"),
        ("X/zarr.json", lambda array: array.update(shape=[20, 3.0])),
        ("X/zarr.json", lambda array: array.update(shape=[[20], 3])),
        ("X/zarr.json", lambda array: array.update(shape=[20])),
        ("X/zarr.json", lambda array: array.update(shape=[20] + [1] * 1000)),
        ("X/zarr.json", lambda array: array.update(data_type="object")),
        ("X/zarr.json", lambda array: array.update(data_type=["i4", "f8"])),
        ("X/zarr.json", lambda array: array.update(data_type="float32")),
        ("y/zarr.json", lambda array: array.update(data_type="x" * 10**6)),
        ("y/zarr.json", lambda array: array.update(codecs=[1, 2, 3])),
        ("ingest.json", lambda record: record["quality"].update(target="other")),
        ("ingest.json", lambda record: record["quality"].update(n_rows=10**400)),
        ("ingest.json", lambda record: record["quality"].update(n_malformed=3)),
        ("ingest.json", lambda record: record["quality"]["columns"]["delay"].update(mean=None)),
        ("ingest.json", lambda record: record["quality"]["columns"]["delay"].update(
            kind="datetime", maximum=1e300)),
        ("ingest.json", lambda record: record["recipe"]["features"].clear()),
        ("ingest.json", lambda record: record["recipe"]["features"][0].update(categories=[{}])),
        ("ingest.json", lambda record: record["recipe"]["features"][0].update(categories=["AA"])),
        ("ingest.json", lambda record: record["recipe"]["features"][0].update(categories=None)),
        ("ingest.json", lambda record: record["recipe"]["target"].update(fill="much")),
        ("ingest.json", lambda record: record["recipe"]["target"]["column"].update(kind=[])),
        ("ingest.json", lambda record: record["recipe"]["target"]["column"].update(kind=None)),
        ("ingest.json", lambda record: record.update(rows={"by": "HashSplit", "column": 3})),
        ("ingest.json", lambda record: record.update(rows={"by": []})),
    ],
)  # fmt: skip
def test_fields(data, key, change):
    edit(data, key, change)
    refused(data.path)


@pytest.mark.parametrize("key", ["X/c.0.0", "y/c.0"])
@pytest.mark.parametrize("field", [0, 1, 2, 3, 4, 8, 12])
def test_the_header_of_a_chunk(data, key, field):
    path = data.path / key
    content = bytearray(path.read_bytes())
    content[field : field + 4] = b"\xff" * 4
    path.write_bytes(content)
    refused(data.path)


def test_names_that_do_not_fit_are_refused_before_a_chunk_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"names of columns.*at most"):
        storage.create_dataset(tmp_path / "d", np.eye(2), np.arange(2), source="x" * 2**24)
    assert not (tmp_path / "d").exists()


def test_a_block_that_cannot_be_allocated(data):
    reader = data.reader("X")
    huge = type(reader)(reader.store, reader.dataset_id, reader.layout, 2**46)
    with pytest.raises(storage.BlockTooLarge, match="does not fit into memory"):
        huge._empty(0, 2**46, np.empty)


def test_codes_without_a_class(tmp_path):
    data = storage.create_dataset(tmp_path / "d", np.eye(3), np.arange(3), classes=["a", "b", "c"])
    group = tmp_path / "d" / "zarr.json"
    content = group.read_bytes().replace(b'"c"', b'"d"')
    text = json.loads(content)
    text["attributes"]["dlbd"]["classes"] = ["a", "b"]
    content = json.dumps(text).encode()
    group.write_bytes(content)
    manifest = tmp_path / "d" / "manifest.json"
    files = {key: (tmp_path / "d" / key).read_bytes() for key in data.manifest.files}
    manifest.write_bytes(signed_again(manifest.read_bytes(), files))
    with pytest.raises(storage.DatasetCorrupt, match="names 2 classes"):
        storage.open_dataset(data.path).labels.compute(scheduler="synchronous")


def test_more_chunks_than_a_manifest_lists_are_refused_before_a_chunk_is_written(tmp_path):
    X = da.zeros((2_000_000, 1), chunks=10**6)
    with pytest.raises(ValueError, match=r"would have 4,000,000.*chunk_nbytes"):
        storage.create_dataset(tmp_path / "d", X, X[:, 0], chunk_nbytes=8, block_nbytes=16)
    assert not (tmp_path / "d").exists()
