"""create_dataset: what goes in comes out, bit for bit, or nothing happens."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

import storage
from tests.storage.strategies import as_input, datasets


def same_bits(stored, given_):
    stored, given_ = np.ascontiguousarray(stored), np.ascontiguousarray(given_)
    assert stored.dtype == given_.dtype
    assert stored.shape == given_.shape
    assert stored.tobytes() == given_.tobytes()


def leftovers(folder):
    return sorted(entry.name for entry in Path(folder).iterdir())


def small(n=100, p=3):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, p)), rng.standard_normal(n)


@given(data=st.data(), arrays=datasets(), chunk=st.integers(1, 4000), blocks=st.integers(1, 5))
def test_round_trip_is_exact_for_any_chunking_and_dtype(data, arrays, chunk, blocks):
    X, y, weight = arrays
    with tempfile.TemporaryDirectory() as folder:
        made = storage.create_dataset(
            Path(folder) / "d",
            data.draw(as_input(X)),
            data.draw(as_input(y)),
            None if weight is None else data.draw(as_input(weight)),
            chunk_nbytes=chunk,
            block_nbytes=chunk * blocks,
        )
        opened = storage.open_dataset(made.path)
        same_bits(opened.X.compute(), X)
        same_bits(opened.y.compute(), y)
        alone = zarr.open_group(made.path, mode="r")
        same_bits(alone["X"][:], X)
        same_bits(alone["y"][:], y)
        if weight is None:
            assert opened.sample_weight is None
            assert "sample_weight" not in alone
        else:
            same_bits(opened.sample_weight.compute(), weight)
            same_bits(alone["sample_weight"][:], weight)
        report = opened.verify()
        assert report.nan["X"] == np.isnan(X).sum()
        assert opened.X.chunks[0] == opened.y.chunks[0]
        assert leftovers(folder) == ["d"]


@pytest.mark.parametrize(
    ("given_dtype", "asked", "stored"),
    [
        (">f4", None, "float32"),
        (">i2", None, "int16"),
        ("int8", "float32", "float32"),
        ("bool", "float64", "float64"),
        ("float64", "float32", "float32"),
        ("float32", np.float64, "float64"),
    ],
)
def test_dtype_of_features(tmp_path, given_dtype, asked, stored):
    X = np.arange(12).reshape(6, 2).astype(given_dtype)
    data = storage.create_dataset(tmp_path / "d", X, np.zeros(6), dtype=asked)
    same_bits(data.X.compute(), X.astype(stored))
    assert data.dtype == np.dtype(stored)


def test_fortran_order_and_strided_input(tmp_path):
    X, y = small()
    data = storage.create_dataset(tmp_path / "d", np.asfortranarray(X)[::-2], y[::-2])
    same_bits(data.X.compute(), X[::-2])
    same_bits(data.y.compute(), y[::-2])


def test_pandas_names_its_own_columns(tmp_path):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, np.nan]})
    data = storage.create_dataset(tmp_path / "d", frame, pd.Series([0, 1]), target="late")
    assert data.feature_names == ("a", "b")
    assert data.target == "late"


def test_dask_dataframe_of_unknown_length(tmp_path):
    frame = pd.DataFrame({"a": np.arange(50.0), "b": np.arange(50) % 7})
    lazy = dd.from_pandas(frame, npartitions=4)
    lazy = lazy[lazy.b != 3]
    kept = frame[frame.b != 3]
    data = storage.create_dataset(
        tmp_path / "d", lazy[["a"]], lazy.b, block_nbytes=300, chunk_nbytes=100
    )
    same_bits(data.X.compute(), kept[["a"]].to_numpy())
    same_bits(data.y.compute(), kept.b.to_numpy())
    assert data.feature_names == ("a",)


def test_zarr_array_is_read_lazily(tmp_path):
    X, y = small()
    source = zarr.create_array(tmp_path / "x", shape=X.shape, chunks=(7, 2), dtype=X.dtype)
    source[:] = X
    data = storage.create_dataset(tmp_path / "d", source, y)
    same_bits(data.X.compute(), X)


def test_shared_source_of_both_arrays_is_computed_once(tmp_path):
    calls = []

    def load(block_id):
        calls.append(block_id)
        return np.full((10, 3), block_id[0], dtype=float)

    table = da.map_blocks(load, chunks=((10,) * 4, (3,)), dtype=float, meta=np.empty((0, 0)))
    calls.clear()
    storage.create_dataset(tmp_path / "d", table[:, :2], table[:, 2])
    assert len(calls) == 4


def test_schema_is_kept(tmp_path):
    X, y = small()
    codes = (y > 0).astype(np.int8)
    data = storage.create_dataset(
        tmp_path / "d",
        X,
        codes,
        feature_names=["a", "b", "ä"],
        target="late",
        classes=np.array(["no", "yes"]),
        source="made up",
        seed=np.int64(7),
    )
    schema = storage.open_dataset(data.url).schema
    assert schema.feature_names == ("a", "b", "ä")
    assert (schema.target, schema.classes) == ("late", ("no", "yes"))
    assert (schema.source, schema.shuffle_seed) == ("made up", 7)


X2, Y2 = np.zeros((4, 2)), np.zeros(4)
BAD = {
    "lengths": ((X2, np.zeros(5)), {}, ValueError, "X has 4, y has 5"),
    "weights": ((X2, Y2, np.ones(3)), {}, ValueError, "sample_weight has 3"),
    "no rows": ((X2[:0], Y2[:0]), {}, ValueError, "nothing to store"),
    "no columns": ((X2[:, :0], Y2), {}, ValueError, "nothing to store"),
    "X 1-D": ((Y2, Y2), {}, ValueError, "must be 2-D"),
    "y 3-D": ((X2, np.zeros((4, 1, 1))), {}, ValueError, "must be 1-D or 2-D"),
    "weight 2-D": ((X2, Y2, np.ones((4, 1))), {}, ValueError, "sample_weight .* must be 1-D"),
    "complex": ((X2 * 1j, Y2), {}, TypeError, "X has dtype complex128"),
    "object": ((X2.astype(object), Y2), {}, TypeError, "X has dtype object"),
    "text y": ((X2, np.array(list("abcd"))), {}, TypeError, "y has dtype <U1.*classes="),
    "dates": ((X2.astype("M8[s]"), Y2), {}, TypeError, "X has dtype datetime64"),
    "long": ((X2.astype(np.longdouble), Y2), {}, TypeError, "float64 first"),
    "masked": ((np.ma.masked_less(X2, 1), Y2), {}, TypeError, "X is masked"),
    "names": ((X2, Y2), {"feature_names": ["a"]}, ValueError, "1 names for 2 columns"),
    "repeated": ((X2, Y2), {"feature_names": ["a", "a"]}, ValueError, "a is repeated"),
    "one string": ((X2, Y2), {"feature_names": "ab"}, TypeError, "sequence of str"),
    "targets": ((X2, Y2), {"target": ["a", "b"]}, ValueError, "2 names for 1 columns of y"),
    "dtype": ((X2, Y2), {"dtype": "int32"}, ValueError, "ask for float32 or float64"),
    "float classes": ((X2, Y2), {"classes": ["a"]}, ValueError, "integer codes"),
    "codes": ((X2, np.arange(4)), {"classes": ["a", "b"]}, ValueError, "codes 0 to 3"),
    "sizes": ((X2, Y2), {"chunk_nbytes": 9, "block_nbytes": 8}, ValueError, "whole chunks"),
    "overflow": ((X2 + 1e300, Y2), {"dtype": "float32"}, ValueError, "too large for float32"),
    "unknown": (
        (da.from_array(X2, chunks=2)[da.arange(4, chunks=2) < 9], Y2[1:]),
        {}, ValueError, "X has 4, y has 3",
    ),
    "declared wrongly": (
        (da.map_blocks(lambda block: block[:-1], da.from_array(X2, chunks=(2, 2)), dtype=float,
                       meta=np.empty((0, 0)), chunks=((2, 2), (2,))), Y2),
        {}, ValueError, "declared wrongly",
    ),
    "dtype declared wrongly": (
        (X2, da.from_array(Y2, chunks=2).map_blocks(lambda y: y * 1j, meta=np.empty(0))),
        {}, TypeError, "y came with dtype complex128",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, case):
    arrays, options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        storage.create_dataset(tmp_path / "d", *arrays, **options)
    assert leftovers(tmp_path) == []


class TestFailureWhileWriting:
    def lazy_failing(self, error):
        def fail(block, block_id=None):
            if block_id[0] == 3:
                raise error
            return block

        X = da.ones((60, 3), chunks=(10, 3))
        return X.map_blocks(fail, meta=np.empty((0, 0))), np.zeros(60)

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_exception_in_a_block(self, tmp_path, overwrite):
        X, y = small()
        if overwrite:
            storage.create_dataset(tmp_path / "d", X, y)
        bad, zeros = self.lazy_failing(RuntimeError("no such partition"))
        with pytest.raises(RuntimeError, match="no such partition") as caught:
            storage.create_dataset(
                tmp_path / "d", bad, zeros, chunk_nbytes=100, block_nbytes=200, overwrite=overwrite
            )
        assert "Nothing was stored" in caught.value.__notes__[0]
        assert leftovers(tmp_path) == (["d"] if overwrite else [])
        if overwrite:
            same_bits(storage.open_dataset(tmp_path / "d").X.compute(), X)

    def test_keyboard_interrupt(self, tmp_path, monkeypatch):
        def interrupted(*_, **__):
            raise KeyboardInterrupt

        X, y = small()
        monkeypatch.setattr("storage.writer.write_chunk", interrupted)
        with pytest.raises(KeyboardInterrupt):
            storage.create_dataset(tmp_path / "d", X, y)
        assert leftovers(tmp_path) == []

    def test_disk_full_keeps_the_old_data_and_a_retry_works(self, tmp_path, monkeypatch):
        X, y = small()
        storage.create_dataset(tmp_path / "d", X, y)
        write, written = os.write, []

        def full(descriptor, data):
            written.append(len(data))
            if len(written) > 3:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, data)

        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full)
            with pytest.raises(OSError, match="No space left") as caught:
                storage.create_dataset(tmp_path / "d", X + 1, y, overwrite=True, chunk_nbytes=200)
        assert caught.value.errno == errno.ENOSPC
        assert str(tmp_path) in str(caught.value)
        assert leftovers(tmp_path) == ["d"]
        same_bits(storage.open_dataset(tmp_path / "d").X.compute(), X)
        data = storage.create_dataset(tmp_path / "d", X + 1, y, overwrite=True)
        same_bits(data.X.compute(), X + 1)

    def test_real_file_size_limit(self, tmp_path):
        # The kernel refuses the write itself, halfway through a chunk's file.
        script = textwrap.dedent("""
            import resource, signal, sys
            import numpy as np, storage
            X = np.random.default_rng(0).random((1000, 50))
            storage.create_dataset(sys.argv[1], X, X[:, 0], chunk_nbytes=2**14)
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))
            try:
                storage.create_dataset(sys.argv[1], X + 1, X[:, 0], overwrite=True)
            except OSError as error:
                print("failed with", error.errno)
            np.testing.assert_array_equal(storage.open_dataset(sys.argv[1]).X.compute(), X)
        """)
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "d")],
            capture_output=True, text=True, check=True, cwd=Path(storage.__file__).parents[1],
        )  # fmt: skip
        assert done.stdout.strip() == f"failed with {errno.EFBIG}"
        assert leftovers(tmp_path) == ["d"]

    def test_really_full_disk(self, tmp_path):
        mount = tmp_path / "disk"
        mount.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mount)]
        try:
            mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            mounted = False
        if not mounted:
            pytest.skip("mounting a small tmpfs needs root; the injected ENOSPC test still runs")
        try:
            X, y = small(5_000, 20)
            storage.create_dataset(mount / "d", X, y)
            with pytest.raises(OSError, match=r"No space left.*c\."):
                storage.create_dataset(
                    mount / "d",
                    np.vstack([X] * 3),
                    np.tile(y, 3),
                    overwrite=True,
                    chunk_nbytes=2**17,
                )
            assert leftovers(mount) == ["d"]
            same_bits(storage.open_dataset(mount / "d").X.compute(), X)
            storage.create_dataset(mount / "d", X + 1, y, overwrite=True)
        finally:
            subprocess.run(["umount", str(mount)], check=True)


def test_a_killed_writer_disturbs_no_retry(tmp_path):
    script = textwrap.dedent("""
        import os, signal, sys
        import numpy as np, storage
        import storage.manifest
        storage.manifest.Manifest.to_bytes = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        storage.create_dataset(sys.argv[1], np.ones((9, 2)), np.ones(9), overwrite=True)
    """)
    X, y = small()
    storage.create_dataset(tmp_path / "d", X, y)
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "d")],
        check=False, cwd=Path(storage.__file__).parents[1],
    )  # fmt: skip
    assert len(leftovers(tmp_path)) == 2
    same_bits(storage.open_dataset(tmp_path / "d").X.compute(), X)
    data = storage.create_dataset(tmp_path / "d", X + 1, y, overwrite=True)
    same_bits(data.X.compute(), X + 1)


def shifted(block):
    return block + 1


@pytest.mark.cluster
@pytest.mark.usefixtures("client")
def test_on_a_cluster_of_processes(tmp_path):
    X, y = small(2_000, 4)
    lazy = da.from_array(X, chunks=(300, 2)).map_blocks(shifted)
    data = storage.create_dataset(
        tmp_path / "d", lazy[lazy[:, 0] > 0], y[X[:, 0] > -1],
        chunk_nbytes=4_000, block_nbytes=16_000,
    )  # fmt: skip
    kept = (X + 1)[X[:, 0] > -1]
    same_bits(data.X.compute(), kept)
    assert data.verify().chunks == data.manifest.n_chunks
    victim = data.path / data.layouts["X"].key(1)
    victim.write_bytes(victim.read_bytes()[:-1])
    with pytest.raises(storage.ChunkCorrupt, match="chunk 1 of array 'X'"):
        data.X.compute()
    with pytest.raises(storage.DatasetCorrupt, match="chunk 1 of array 'X'"):
        data.verify()
