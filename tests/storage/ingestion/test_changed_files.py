"""Files that are changed between two readings: nothing is stored, and the error names the file."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest

import storage
from storage import Column

N = 2_000


def table(seed, n=N):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x0": rng.integers(1, 9, n) * 1.0, "x1": rng.integers(0, 2, n) * 1.0})


def write(path, rows):
    if path.suffix == ".parquet":
        rows.to_parquet(path, index=False, row_group_size=500)
    elif path.suffix == ".arrow":
        pyarrow.feather.write_feather(pa.Table.from_pandas(rows), str(path))
    elif path.suffix == ".npy":
        np.save(path, rows.to_numpy())
    elif path.suffix == ".svm":
        path.write_text("".join(f"{y} 1:{x}\n" for x, y in rows.to_numpy().tolist()))
    else:
        rows.to_csv(path, index=False)


def replaced(path):
    write(path.with_name(f"new{path.name}"), table(1))
    os.replace(path.with_name(f"new{path.name}"), path)


def rewritten(path):
    write(path, table(1))


def longer(path):
    write(path, table(1, 2 * N))


def cut(path):
    os.truncate(path, path.stat().st_size // 2)


def changing(path, change):
    """Return a listener that changes a file between the passes, once."""

    def listener(now):
        if now.stage == "count" and now.done == now.total and not changed:
            changed.append(path)
            change(path)

    changed = []
    return listener


def options(name):
    # The mean is imputed, so that Parquet files are read twice, too.
    impute = {"x0": Column("number", missing="impute")}
    return {} if name.endswith(".svm") else {"target": "x1", "columns": impute}


@pytest.mark.parametrize("change", [replaced, rewritten, longer, cut])
@pytest.mark.parametrize("name", ["a.csv.gz", "a.parquet", "a.arrow", "a.npy", "a.svm"])
def test_rows_of_two_states_of_a_file_are_not_mixed(tmp_path, name, change):
    path = tmp_path / name
    write(path, table(0))
    match = rf"{name} was changed or deleted while it was read, so that rows of both states"
    with (
        storage.listening(changing(path, change)),
        pytest.raises(storage.InvalidData, match=match) as error,
    ):
        storage.ingest(path, tmp_path / "d", partition_nbytes=9_000, **options(name))
    assert any("Nothing was stored at" in note for note in error.value.__notes__)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ["a.csv.gz", "a.npy", "a.svm"])
def test_rows_of_two_states_of_a_file_are_not_appended(tmp_path, name):
    path = tmp_path / name
    write(path, table(0))
    data = storage.ingest(path, tmp_path / "d", **options(name))
    with (
        storage.listening(changing(path, rewritten)),
        pytest.raises(storage.InvalidData, match=f"{name} was changed or deleted"),
    ):
        storage.append(data, path)
    assert storage.open_dataset(tmp_path / "d").version == 1
    assert storage.append(data, path).n_samples == 2 * N


def test_keys_are_compared_in_the_rows_that_are_stored(tmp_path):
    path = tmp_path / "a.csv"
    write(path, table(0).drop_duplicates("x0"))

    def rewritten_once(now):
        if now.stage == "compare" and now.done == now.total:
            write(path, table(0))

    keys = {"x0": Column("number", duplicates="error")}
    with (
        storage.listening(rewritten_once),
        pytest.raises(storage.InvalidData, match=r"a\.csv was changed or deleted"),
    ):
        storage.ingest(path, tmp_path / "d", target="x1", columns=keys)


def test_a_csv_file_that_is_read_once_may_grow(tmp_path):
    path = tmp_path / "a.csv"
    rows = table(0).assign(x0=lambda frame: frame["x0"].cumsum() / 7)  # rows of digits are not kept
    write(path, rows)
    with storage.listening(changing(path, longer)):
        data = storage.ingest(path, tmp_path / "d", target="x1", partition_nbytes=9_000)
    np.testing.assert_array_equal(data.X.compute()[:, 0], rows["x0"])


def test_files_that_are_added_to_a_folder_do_not_matter(tmp_path):
    folder = tmp_path / "tables"
    folder.mkdir()
    write(folder / "a.csv.gz", table(0))
    with storage.listening(changing(folder / "b.csv.gz", rewritten)):
        data = storage.ingest(str(folder / "*.csv.gz"), tmp_path / "d", target="x1")
    assert data.n_samples == N
