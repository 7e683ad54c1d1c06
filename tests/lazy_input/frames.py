"""What is done to Dask data frames, by one name an operation."""

from __future__ import annotations

import dask.dataframe as dd
import pandas as pd

from tests.lazy_input.sources import COLUMNS, FEATURES, KEYS, TABLE


def flat(frame):
    """Make a column of the index again, where it was one."""
    return frame.reset_index() if frame.index.name in COLUMNS else frame


def positive(frame):
    return frame[frame.a > 0]


def first_rows(frame):
    return frame[frame["n"] < 100] if "n" in frame.columns else frame


def isin(frame):
    return frame[frame.g.isin(["p", "r"])]


def query(frame):
    return frame.query("b > -0.5")


def loc(frame):
    return frame.loc[30:180]


def loc_mask(frame):
    return frame.loc[frame.c < 0.7]


def assign(frame):
    return frame.assign(a=frame.a + frame.b)


def centre(frame):
    return frame.assign(b=frame.b - frame.b.mean(), y=frame.y - frame.y.mean())


def standardise(frame):
    return frame.assign(c=(frame.c - frame.c.min()) / frame.c.std())


def above_mean(frame):
    return frame[frame.a > frame.a.mean()]


def where(frame):
    return frame.assign(c=frame.c.where(frame.c > 0, 0.5 * frame.c))


def clip(frame):
    return frame.assign(a=frame.a.clip(-1.0, 1.0))


def fill_mean(frame):
    return frame.fillna({"m": frame.m.mean()})


def dropna(frame):
    return frame.dropna(subset=["m"])


def fill_forward(frame):
    return frame.assign(m=frame.m.ffill())


def cumsum(frame):
    return frame.assign(b=frame.b.cumsum() / 10)


def shift(frame):
    return frame.assign(c=frame.c.shift(1).fillna(0.0))


def merge_pandas(frame):
    return flat(frame).merge(KEYS, on="k").drop(columns="z")


def merge_frame(frame):
    right = dd.from_pandas(KEYS, npartitions=3)
    return (
        flat(frame).merge(right, on="k", how="left").rename(columns={"z": "b", "b": "z"})[COLUMNS]
    )


def merge_hash(frame):
    right = dd.from_pandas(KEYS, npartitions=3)
    return flat(frame).merge(right, on="k", broadcast=False).drop(columns="z")


def merge_index(frame):
    right = dd.from_pandas(KEYS.set_index("k"), npartitions=2)
    return flat(frame).merge(right, left_on="k", right_index=True).drop(columns="z")


def join_own_means(frame):
    frame = flat(frame)
    means = frame.groupby("k").a.mean().rename("z").reset_index()
    return frame.merge(means, on="k").assign(a=lambda f: f.a - f.z).drop(columns="z")


def group_transform(frame):
    frame = flat(frame)
    means = frame.groupby("k").a.transform("mean", meta=("a", "f8"))
    return frame.assign(a=frame.a - means)


def set_index(frame):
    return flat(frame).set_index("k")


def set_index_row(frame):
    return flat(frame).set_index("n")


def set_index_sorted(frame):
    return flat(frame).set_index("n", sorted=True)


def sort_values(frame):
    return flat(frame).sort_values("k")


def sort_row(frame):
    return flat(frame).sort_values("n", ascending=False)


def shuffle(frame):
    return flat(frame).shuffle("k")


def shuffle_tasks(frame):
    return flat(frame).shuffle("k", shuffle_method="tasks")


def fewer(frame):
    return frame.repartition(npartitions=2)


def more(frame):
    return frame.repartition(npartitions=9)


def by_size(frame):
    return frame.repartition(partition_size="6kB")


def concat(frame):
    frame = flat(frame)
    return dd.concat([frame[frame.a > 0], frame[frame.a <= 0]])


def concat_other(frame):
    other = TABLE.assign(n=TABLE["n"] + 10_000).tail(60)
    return dd.concat([flat(frame), dd.from_pandas(other, npartitions=2)])


def random_split(frame):
    return frame.random_split([0.8, 0.2], random_state=3)[0]


def sample(frame):
    return frame.sample(frac=0.7, random_state=5)


def choose_columns(frame):
    return frame[[each for each in reversed(COLUMNS) if each in frame.columns]]


def rename(frame):
    return frame.rename(columns={"a": "c", "c": "a"})


def nullable(frame):
    return frame.astype({"a": "Float64", "i": "Int64", "y": "Float64"})


def arrow(frame):
    return frame.astype({"b": "double[pyarrow]", "i": "int64[pyarrow]", "w": "double[pyarrow]"})


def single(frame):
    return frame.astype(dict.fromkeys(FEATURES, "float32"))


def boolean(frame):
    return frame.assign(c=frame.c > 0)


def nullable_boolean(frame):
    return frame.assign(c=(frame.c > 0).astype("boolean"))


def category(frame):
    return frame.astype({"g": "category"})


def reset_index(frame):
    return flat(frame).reset_index(drop=True)


def drop_duplicates(frame):
    return frame.drop_duplicates()


def drop_duplicates_shuffled(frame):
    return flat(frame).drop_duplicates(split_out=3)


def double(block):
    return block.assign(a=2 * block.a)


def map_partitions(frame):
    return frame.map_partitions(double)


def backwards(block):
    return block.iloc[::-1]


def map_backwards(frame):
    return frame.map_partitions(backwards)


def persist(frame):
    return frame.persist()


def explode(frame):
    """Every row twice, but for its number."""
    pairs = frame.map_partitions(_pairs, meta=frame._meta.astype({"n": object}))
    return pairs.explode("n").astype({"n": "int64"})


def _pairs(block):
    numbers = block["n"].to_numpy()
    lists = pd.Series([[each, each + 1_000_000] for each in numbers], index=block.index)
    return block.assign(n=lists.astype(object))


def as_promised_integers(frame):
    """Floats in a frame that says integers."""
    return frame.map_partitions(_same, meta=frame._meta.astype({"c": "int64"}))


def _same(block):
    return block


def two_partitions(frame):
    return frame.partitions[:2]


#: What brings rows together in an order that Dask leaves to chance.
CHANCE = {
    merge_frame, merge_hash, merge_index, join_own_means, group_transform, set_index, sort_values,
    shuffle, drop_duplicates_shuffled,
}  # fmt: skip
#: What depends on the order, so that after the above Dask itself gives other rows each time.
#: (A transform of groups is brought together with its frame by labels, which repeat after a merge:
#: Dask takes those that are equal in the order of two shuffles, or fails where this differs.)
ORDERED = {random_split, sample, cumsum, shift, fill_forward, loc, group_transform}
#: What settles the order again.
SETTLES = {persist, set_index_row, sort_row}
OPERATIONS = {
    each.__name__: each
    for each in (
        positive, first_rows, isin, query, loc, loc_mask, assign, centre, standardise, above_mean,
        where, clip, fill_mean, dropna, fill_forward, cumsum, shift, merge_pandas, merge_frame,
        merge_hash, merge_index, join_own_means, group_transform, set_index, set_index_row,
        set_index_sorted, sort_values, sort_row, shuffle, shuffle_tasks, fewer, more, by_size,
        concat, concat_other, random_split, sample, choose_columns, rename, nullable, arrow,
        single, boolean, nullable_boolean, category, reset_index, drop_duplicates,
        drop_duplicates_shuffled, map_partitions, map_backwards, persist, two_partitions, explode,
        as_promised_integers,
    )
}  # fmt: skip


def left_to_chance(names):
    """Tell whether Dask leaves the order of the rows to chance after these operations."""
    chance = False
    for name in names:
        operation = OPERATIONS[name]
        chance = (chance or operation in CHANCE) and operation not in SETTLES
    return chance


def has_one_answer(names):
    """Tell whether Dask gives the same rows at each computation of these operations."""
    return not any(
        OPERATIONS[name] in ORDERED and left_to_chance(names[:position])
        for position, name in enumerate(names)
    )
