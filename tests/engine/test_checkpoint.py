"""Checkpoints as files: what is read is what was written, or an error says what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as of_numpy

from dlbd_estimators.engine.checkpoint import CheckpointFolder
from dlbd_estimators.engine.packed_file import pack, unpack
from dlbd_estimators.exceptions import CheckpointDamaged

DTYPES = st.sampled_from(["?", "<i8", "<u4", "<f4", "<f8", ">f8"])
ARRAYS = of_numpy.arrays(DTYPES, of_numpy.array_shapes(min_dims=0, max_side=4, min_side=0))
FACTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def written(facts, arrays):
    return b"".join(pack(facts, arrays))


@given(FACTS, st.lists(ARRAYS, max_size=3), st.booleans())
def test_facts_and_arrays_come_back_bit_by_bit(facts, arrays, transposed):
    arrays = [each.T if transposed else each for each in arrays]
    again, found = unpack(written(facts, arrays))
    assert repr(again) == repr(facts)
    for each, other in zip(found, arrays, strict=True):
        assert (each.dtype, each.shape) == (other.dtype, other.shape)
        assert each.tobytes() == other.tobytes()
        assert each.flags.c_contiguous == other.flags.c_contiguous
        assert each.flags.f_contiguous == other.flags.f_contiguous
        assert each.flags.writeable
        assert each.flags.aligned


def test_bytes_that_were_changed_are_refused(rng):
    whole = written({"C": 1.0}, [rng.normal(size=20), np.arange(3)])
    for _ in range(300):
        data = bytearray(whole)
        place, length = rng.integers(len(data)), int(rng.integers(1, 9))
        match rng.integers(4):
            case 0:  # torn
                del data[place:]
            case 1:
                data[place] ^= 1 << rng.integers(8)
            case 2:
                data[place:place] = rng.bytes(length)
            case 3:
                data[place : place + length] = bytes(length)
        if data != whole:
            with pytest.raises(CheckpointDamaged):
                unpack(bytes(data))


def hostile(header, arrays=b""):
    """Whatever it says, its lengths and its checksum are right."""
    if not isinstance(header, bytes):
        header = json.dumps(header).encode()
    digest = hashlib.sha256(header + arrays).digest()
    lengths = b"".join(len(each).to_bytes(8, "little") for each in (header, arrays))
    return b"dlbd-estimators checkpoint 1\n" + lengths + digest + header + arrays


def array(**more):
    return {"facts": 0, "arrays": [{"dtype": "<f8", "shape": [1], "order": "C", **more}]}


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{", b"[" * 200_000, b"1" * 10_000, b"\xff", b"null", [], {"facts": 1},
        {"facts": 1, "arrays": 1}, {"facts": 1, "arrays": [1]}, {"facts": 1, "arrays": [{}]},
        array(dtype="O"), array(dtype="V8"), array(dtype="f8,f8"), array(dtype="no"),
        array(dtype="<U2"), array(shape=[10**15]), array(shape=[-1]), array(shape=[1e400]),
        array(shape=[-1, -1]), array(shape=[2]), array(shape=[0]),
        array(order="A"),
    ],
    ids=lambda header: f"{header!r:.60}",
)  # fmt: skip
def test_a_header_that_lies_is_refused(header):
    with pytest.raises(CheckpointDamaged):
        unpack(hostile(header, bytes(8)))


def test_a_length_that_lies_takes_no_memory(tmp_path):
    name = tmp_path / "00000001.checkpoint"
    name.write_bytes(b"dlbd-estimators checkpoint 1\n" + (2**62).to_bytes(8, "little") * 2)
    with pytest.raises(CheckpointDamaged, match="does not begin"):
        CheckpointFolder(str(tmp_path)).read(1)
    with name.open("ab") as file:
        file.write(bytes(32))
    with pytest.raises(CheckpointDamaged, match="shorter or longer"):
        CheckpointFolder(str(tmp_path)).read(1)


def test_what_is_no_file_is_refused(tmp_path):
    folder = CheckpointFolder(str(tmp_path))
    os.mkfifo(tmp_path / "00000001.checkpoint")
    (tmp_path / "00000002.checkpoint").mkdir()
    (tmp_path / "00000003.checkpoint").symlink_to(tmp_path / "nowhere")
    assert folder.numbers() == [3, 2, 1]
    for number in folder.numbers():
        with pytest.raises(CheckpointDamaged):
            folder.read(number)


@pytest.fixture(params=["folder", "object store"])
def folder(request, tmp_path):
    if request.param == "folder":
        return CheckpointFolder(str(tmp_path / "deep" / "fit"))
    return CheckpointFolder(f"memory://{uuid.uuid4().hex}/fit")


def test_the_last_two_are_kept(folder, rng):
    assert folder.numbers() == []
    arrays = [rng.normal(size=3) for _ in range(5)]
    for number, each in enumerate(arrays):
        folder.write(number, {"number": number}, [each])
        assert folder.numbers() == [number, number - 1][: number + 1]
    facts, found = CheckpointFolder(folder.url).read(4)
    assert facts == {"number": 4}
    np.testing.assert_array_equal(found, arrays[-1:])
    # The last was damaged: the one before is gone on from, and the last is written again.
    folder.write(4, {"number": "again"}, [])
    assert folder.numbers() == [4, 3]
    assert folder.read(4) == ({"number": "again"}, [])
    folder.write(3, {"number": "again"}, [])
    assert folder.numbers() == [3]


def test_files_of_others_stay(tmp_path):
    for name in ("notes.txt", "1.checkpoint", "00000001.checkpoint.writing"):
        (tmp_path / name).touch()
    folder = CheckpointFolder(str(tmp_path))
    assert folder.numbers() == []
    folder.write(3, None, [])
    left = {"notes.txt", "1.checkpoint", "00000003.checkpoint"}
    assert {each.name for each in tmp_path.iterdir()} == left


def test_a_full_disk_leaves_those_before_as_they_were(tmp_path):
    folder = CheckpointFolder(str(tmp_path))
    folder.write(1, "whole", [np.arange(10.0)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            folder.write(2, "more", [np.arange(10_000.0)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [each.name for each in tmp_path.iterdir()] == ["00000001.checkpoint"]
    assert folder.read(1)[0] == "whole"


def test_half_a_file_under_its_first_name_is_not_taken_for_one(tmp_path):
    folder = CheckpointFolder(str(tmp_path))
    folder.write(1, "whole", [np.arange(10.0)])
    data = written("half", [np.arange(10.0)])
    (tmp_path / "00000002.checkpoint.writing").write_bytes(data[: len(data) // 2])
    assert folder.numbers() == [1]
    folder.write(2, "next", [])
    assert folder.numbers() == [2, 1]
    assert len(list(tmp_path.iterdir())) == 2
