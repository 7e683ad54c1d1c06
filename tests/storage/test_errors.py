"""Errors cross process boundaries and are caught as the builtins they are."""

from __future__ import annotations

import pickle

import pytest

import storage
from storage import errors

CHUNK = errors.ChunkCorrupt("/data/d", "X", 3, (30, 40), "X/c.3.0", "the file is missing")
MESSAGES = [
    error("told so")
    for error in vars(errors).values()
    if isinstance(error, type)
    and issubclass(error, errors.StorageError)
    and error not in {errors.ChunkCorrupt, errors.DatasetCorrupt}
]


def test_every_error_is_exported():
    assert {type(each).__name__ for each in [CHUNK, *MESSAGES]} < set(storage.__all__)


@pytest.mark.parametrize("error", [CHUNK, *MESSAGES], ids=lambda error: type(error).__name__)
def test_pickle_keeps_all(error):
    error.add_note("while reading")
    # distributed imports tblib, which pickles notes itself; workers elsewhere may not.
    reduced = error.__reduce__()
    assert reduced[2]["__notes__"] == ["while reading"]
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.__notes__ == ["while reading"]
    state = {name: value for name, value in vars(error).items() if name != "chunks"}
    assert {name: vars(copy)[name] for name in state} == state


def test_pickle_keeps_the_damaged_chunks():
    error = errors.DatasetCorrupt.from_chunks("/data/d", [CHUNK] * 25, 100)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert [chunk.rows for chunk in copy.chunks] == [(30, 40)] * 25


def test_message_says_where_what_and_what_to_do():
    assert "chunk 3 of array 'X' (rows 30 to 39, X/c.3.0) of /data/d" in str(CHUNK)
    assert "the file is missing" in str(CHUNK)
    assert "(storage.repair), restore this file from a copy" in str(CHUNK)
    many = errors.DatasetCorrupt.from_chunks("/data/d", [CHUNK] * 25, 100)
    assert str(many).startswith("25 of 100 chunks of /data/d are damaged")
    assert "and 5 more" in str(many)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.DatasetExists, FileExistsError),
        (errors.DatasetNotFound, FileNotFoundError),
        (errors.NotADataset, ValueError),
        (errors.DatasetIncomplete, ValueError),
        (errors.DatasetReplaced, RuntimeError),
        (errors.UnsupportedVersion, ValueError),
        (errors.UnsupportedURL, NotImplementedError),
        (errors.DatasetCorrupt, OSError),
        (errors.MetadataCorrupt, ValueError),
        (errors.ChunkCorrupt, OSError),
    ],
)
def test_each_is_a_builtin_too(error, builtin):
    assert issubclass(error, builtin)
    assert issubclass(error, storage.StorageError)
    assert getattr(storage, error.__name__) is error
    assert error.__name__ in (errors.__doc__ or "")
