"""Parquet of Apache Spark is ingested with the same values, and Spark reads what is exported.

Java and pyspark are needed (`make test-spark` installs pyspark); without them the tests are
skipped.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import warnings
from decimal import Decimal

import dask.array as da
import numpy as np
import pandas as pd
import pytest

import storage
from dlbd_estimators.linear_model import LogisticRegression
from storage import Column
from storage.predictions import write_predictions

pytestmark = pytest.mark.spark

# Dask's to_parquet passes pandas a keyword that it deprecates.
EXPORTS = pytest.mark.filterwarnings("ignore:The inplace keyword:DeprecationWarning")


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    """A Spark session on one thread of this machine, in a time zone other than UTC."""
    with warnings.catch_warnings(action="ignore"):
        sql = pytest.importorskip("pyspark.sql", reason="pyspark is not installed: make test-spark")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("Spark needs Java, which is not installed")
    folder = tmp_path_factory.mktemp("spark")
    options = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": "512m",
        "spark.local.dir": str(folder),
        "spark.sql.warehouse.dir": str(folder),
        "spark.sql.session.timeZone": "America/New_York",
        "spark.sql.shuffle.partitions": "1",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        builder = sql.SparkSession.builder.master("local[1]").config(map=options)
        with warnings.catch_warnings(action="ignore"):
            session = builder.getOrCreate()
        gateway = session.sparkContext._gateway
        yield session
        session.stop()
        gateway.shutdown()
        gateway.proc.stdin.close()
        gateway.proc.wait()


UTC = dt.UTC
COLUMNS = {
    "tiny": ("tinyint", [-128, None, 127]),
    "small": ("smallint", [-32768, None, 32767]),
    "int": ("int", [-(2**31), None, 2**31 - 1]),
    "long": ("bigint", [-(2**53), None, 2**53]),
    "float": ("float", [1.5, None, -0.25]),
    "double": ("double", [0.1, None, 1e300]),
    "price": ("decimal(9, 2)", [Decimal("0.29"), None, Decimal("1234567.89")]),
    "sum": ("decimal(38, 10)", [Decimal("0.0000000001"), None, Decimal("-1234567.0123456789")]),
    "a.b": ("int", [1, 2, 3]),
    "with space": ("int", [1, 2, 3]),
    "flag": ("boolean", [True, None, False]),
    "text": ("string", ["é, \"q'", None, "b"]),
    "day": ("date", [dt.date(1, 1, 1), None, dt.date(9999, 12, 31)]),
    "instant": (
        "timestamp",
        [dt.datetime(2013, 7, 1, 12, 30, 15, tzinfo=UTC), None,
         dt.datetime(9999, 12, 30, 23, tzinfo=UTC)],
    ),
    "wall": ("timestamp_ntz", [dt.datetime.fromisoformat("2013-07-01T12:00"), None,
                               dt.datetime.fromisoformat("1500-01-01T00:00")]),
    "y": ("int", [0, 1, 2]),
}  # fmt: skip
PARTS = ("year", "month", "day", "hour", "second")
NUMBERS = [*COLUMNS][:10]


def frame_of(spark, columns=COLUMNS):
    schema = ", ".join(f"`{name}` {type_}" for name, (type_, _) in columns.items())
    return spark.createDataFrame(
        [*zip(*(values for _, values in columns.values()), strict=True)], schema
    )


def expected_rows():
    def floats(name):
        return [np.nan if each is None else float(each) for each in COLUMNS[name][1]]

    def parts(name):
        return [[np.nan if each is None else getattr(each, part, 0) for each in COLUMNS[name][1]]
                for part in PARTS]  # fmt: skip

    texts = [[np.nan if each is None else float(each == text) for each in COLUMNS["text"][1]]
             for text in sorted(filter(None, COLUMNS["text"][1]))]  # fmt: skip
    times = [each for name in ("day", "instant", "wall") for each in parts(name)]
    return np.array([*map(floats, NUMBERS), floats("flag"), *texts, *times]).T


def ingested(raw, out, **options):
    times = {name: Column(parts=PARTS) for name in ("day", "instant", "wall")}
    return storage.ingest(raw, out, target="y", columns=times, **options)


@pytest.mark.parametrize("times", ["INT96", "TIMESTAMP_MICROS", "TIMESTAMP_MILLIS"])
def test_values_of_all_types(spark, tmp_path, times):
    spark.conf.set("spark.sql.parquet.outputTimestampType", times)
    raw = tmp_path / "raw"
    frame_of(spark).write.parquet(str(raw))
    assert (raw / "_SUCCESS").exists()
    data = ingested(raw, tmp_path / "d")
    np.testing.assert_array_equal(data.X.compute(), expected_rows())
    assert data.y.compute().tolist() == [0, 1, 2]


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "zstd", "lz4", "lz4_raw"])
def test_any_codec_and_pages_of_both_versions(spark, tmp_path, codec):
    table = spark.range(5_000, numPartitions=1).selectExpr(
        "id as y", "cast(id % 7 as string) as few", "sqrt(id) as many"
    )
    version = "v2" if codec in ("zstd", "snappy") else "v1"
    table.write.option("compression", codec).option("parquet.writer.version", version).option(
        "parquet.block.size", 20_000
    ).parquet(str(tmp_path / "raw"))
    data = storage.ingest(tmp_path / "raw", tmp_path / "d", target="y", partition_nbytes=30_000)
    y = data.y.compute().astype(int)
    assert y.tolist() == [*range(5_000)]
    np.testing.assert_array_equal(data.X[:, -1].compute(), np.sqrt(y))
    np.testing.assert_array_equal(data.X[:, :-1].compute(), np.equal.outer(y % 7, np.arange(7)))


def test_a_folder_of_many_files_that_was_appended_to(spark, tmp_path):
    raw = str(tmp_path / "raw")
    table = spark.range(60, numPartitions=1).selectExpr("id as x", "id % 2 as y")
    table.repartition(20).write.parquet(raw)
    table.where("id < 0").write.mode("append").parquet(raw)  # a file without rows
    # Other types, in another order.
    others = spark.range(60, 70, numPartitions=1).selectExpr("id % 2 as y", "cast(id as int) as x")
    others.write.mode("append").parquet(raw)
    data = storage.ingest(raw, tmp_path / "d", target="y")
    assert sorted(data.X.compute()[:, 0]) == [*range(70)]
    np.testing.assert_array_equal(data.X.compute()[:, 0] % 2, data.y.compute())


def test_partition_columns(spark, tmp_path):
    raw = str(tmp_path / "raw")
    rows = [
        (1.0, 2019, 3_000_000_000, dt.date(2020, 1, 2), "a b"),
        (2.0, 2020, 5, None, "y:/%="),
        (3.0, 2020, 5, dt.date(2020, 1, 3), None),
    ]
    frame = spark.createDataFrame(rows, "y double, year int, id bigint, day date, k string")
    frame = frame.selectExpr("y", "y * 2 as x", "year", "id", "day", "k")
    frame.write.partitionBy("year", "id", "day", "k").parquet(raw)
    data = storage.ingest(
        raw, tmp_path / "d", target="y", columns={"day": Column("datetime", parts=["day"])}
    )
    assert data.feature_names == ("x", "year", "id", "day_day", "k_a b", "k_y:/%=")
    order = np.argsort(data.y.compute())
    nan = np.nan
    np.testing.assert_array_equal(
        data.X.compute()[order],
        [[2, 2019, 3e9, 2, 1, 0], [4, 2020, 5, nan, 0, 1], [6, 2020, 5, 3, nan, nan]],
    )


@pytest.mark.parametrize(
    "type_", ["array(1, 2)", "map('a', 1)", "struct(1 as a)", "cast('a' as binary)"]
)
def test_values_that_are_no_cells_are_refused(spark, tmp_path, type_):
    raw = str(tmp_path / "raw")
    spark.range(3).selectExpr("id as y", "id as x", f"{type_} as bad").write.parquet(raw)
    with pytest.raises(storage.InvalidData, match=r"column 'bad' of .*leave the column out"):
        storage.ingest(raw, tmp_path / "d", target="y")
    assert storage.ingest(raw, tmp_path / "d", target="y", features=["x"]).n_samples == 3


def rows_of(frame):
    return sorted(tuple(row) for row in frame.collect())


@EXPORTS
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_spark_reads_a_data_set(spark, tmp_path, dtype):
    frame = pd.DataFrame({
        "x.1": [1.5, np.nan, 3.0], "é k": ["a", "b", "a"], "late": [True, False, True],
    })  # fmt: skip
    data = storage.ingest(frame, tmp_path / "d", target="late", dtype=dtype)
    out = str(tmp_path / "out.parquet")
    data.to_dask_dataframe().to_parquet(out, write_index=False)
    found = spark.read.parquet(out)
    assert found.columns == [*data.feature_names, "late"] == ["x.1", "é k_a", "é k_b", "late"]
    kind = "float" if dtype == "float32" else "double"
    assert [type_ for _, type_ in found.dtypes] == [kind] * 3 + ["boolean"]
    # NaN is what a missing value is here; in Parquet, and so in Spark, it is null.
    expected = [(1.5, 1, 0, True), (None, 0, 1, False), (3, 1, 0, True)]
    assert [tuple(row) for row in found.collect()] == expected


@EXPORTS
def test_spark_reads_integers_labels_and_weights(spark, tmp_path):
    X = np.array([[1, 255], [2, 0]], np.uint8)
    data = storage.create_dataset(
        tmp_path / "d", X, np.array([1, 0]), np.array([0.5, 2.0]), target="k", classes=["a", "b"],
        feature_names=["i", "j"],
    )  # fmt: skip
    out = str(tmp_path / "out.parquet")
    data.to_dask_dataframe().to_parquet(out, write_index=False)
    found = spark.read.parquet(out)
    assert found.columns == ["i", "j", "k", "sample_weight"]
    assert rows_of(found) == [(1, 255, "b", 0.5), (2, 0, "a", 2.0)]


def test_spark_reads_predictions(spark, tmp_path, rng):
    X, y = rng.normal(size=(90, 2)), np.repeat(["early", "late", "on time"], 30)
    model = LogisticRegression().fit(X, y)
    out = str(tmp_path / "p.parquet")
    write_predictions({"prediction": model.predict(da.from_array(X, chunks=(40, 2)))}, out)
    assert rows_of(spark.read.parquet(out)) == sorted((each,) for each in model.predict(X))
