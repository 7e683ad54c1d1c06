"""The description of a data set: the group's ``dlbd`` attribute, format version 1."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.default_names import default_names, given_names
from storage.errors import MetadataCorrupt, UnsupportedVersion
from storage.metadata import shortened
from storage.sparse_rows import MAX_COLUMNS

__all__ = ["ATTRIBUTE", "FORMAT_VERSION", "HASHED_VERSION", "SPARSE_VERSION", "Label", "Schema"]

ATTRIBUTE = "dlbd"
FORMAT_VERSION = 1
#: Version of data sets whose X is sparse, so that older releases ask for an upgrade.
SPARSE_VERSION = 2
#: Version of data sets with hashes, to which an older release would append rows without hashes.
HASHED_VERSION = 3

Label = str | int | float | bool


@dataclass(frozen=True)
class Schema:
    """Names and provenance of a data set; the arrays' own metadata holds shapes and dtypes.

    Attributes
    ----------
    dataset_id : str
        Random identity of this version of the data set. The manifest repeats it. Readers compare
        both, to notice that a data set was overwritten after it was opened.
    n_samples, n_features : int
        Shape of X.
    block_rows : int
        Rows of a block, a whole number of X's chunks.
    feature_names : tuple of str
        One name for each column of X.
    target : str, tuple of str or None
        Name of y, or one name for each column of y.
    classes : tuple or None
        The label that each integer code of y stands for: ``y == i`` means ``classes[i]``.
    source : str or None
        Where the data came from, in words.
    shuffle_seed : int or None
        Seed with which the rows were shuffled before they were stored.
    created : str
        Time of writing, ISO 8601, UTC.
    sparse : bool
        Whether X holds the rows of a sparse matrix.
    hashed : bool
        Whether hashes are stored of values that no two rows may share; not if X is sparse.
    """

    dataset_id: str
    n_samples: int
    n_features: int
    block_rows: int
    feature_names: tuple[str, ...]
    target: str | tuple[str, ...] | None
    classes: tuple[Label, ...] | None
    source: str | None
    shuffle_seed: int | None
    created: str
    sparse: bool = False
    hashed: bool = False

    def to_attribute(self) -> dict[str, Any]:
        """Return the JSON form, which begins with the version."""
        fields = dict(vars(self))  # not asdict, which copies millions of names one by one
        hashed = fields.pop("hashed")
        if fields.pop("sparse"):
            # There may be millions of default names.
            named = given_names(self.feature_names)
            names = self.feature_names if named else None
            return {"version": SPARSE_VERSION, **fields, "feature_names": names}
        return {"version": HASHED_VERSION if hashed else FORMAT_VERSION, **fields}

    @classmethod
    def from_attribute(cls, attribute: Any, path: str) -> Schema:
        """Return the schema of the data set at `path` after a check of every field.

        Raises
        ------
        UnsupportedVersion
            When a newer release wrote it.
        MetadataCorrupt
            When a field is missing or is of another type.
        """
        fields = attribute if isinstance(attribute, Mapping) else {}
        version = fields.get("version")
        if type(version) is int and version > HASHED_VERSION:
            raise UnsupportedVersion(
                f"{path} has format version {shortened(version)}, this release reads up to "
                f"{HASHED_VERSION}: upgrade dlbd-estimators to open it"
            )
        try:
            known = (FORMAT_VERSION, SPARSE_VERSION, HASHED_VERSION)
            if type(version) is not int or version not in known:
                raise ValueError(f"version is {shortened(version)}")
            sparse = version == SPARSE_VERSION
            n_features = _typed(fields, "n_features", int)
            given = _typed(fields, "feature_names", list, *([type(None)] if sparse else []))
            if given is not None:
                names = _each(given, str)
            elif n_features <= MAX_COLUMNS:
                names = default_names(n_features)
            else:
                raise ValueError(f"n_features is {shortened(n_features)}")
            schema = cls(
                dataset_id=_typed(fields, "dataset_id", str),
                n_samples=_typed(fields, "n_samples", int),
                n_features=n_features,
                block_rows=_typed(fields, "block_rows", int),
                feature_names=names,
                target=_target(_typed(fields, "target", str, list, type(None))),
                classes=_classes(_typed(fields, "classes", list, type(None))),
                source=_typed(fields, "source", str, type(None)),
                shuffle_seed=_typed(fields, "shuffle_seed", int, type(None)),
                created=_typed(fields, "created", str),
                sparse=sparse,
                hashed=version == HASHED_VERSION,
            )
            if len(schema.feature_names) != schema.n_features:
                raise ValueError(f"{len(schema.feature_names)} feature_names, {schema.n_features=}")
            if min(schema.n_samples, schema.n_features, schema.block_rows) < 1:
                raise ValueError("a size is below 1")
            # Half of a surrogate pair is valid JSON, but cannot be printed.
            texts = dict(vars(schema), feature_names=given)
            json.dumps(texts, ensure_ascii=False).encode()
        except (KeyError, TypeError, ValueError) as error:
            raise MetadataCorrupt(
                f"the {ATTRIBUTE!r} attribute of {path}/zarr.json is damaged ({error}): "
                f"restore the file from a copy, or write the data set again"
            ) from error
        return schema


def _typed(fields: Mapping[str, Any], name: str, *types: type) -> Any:
    value = fields[name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise TypeError(f"{name} is {shortened(value)}")
    return value


def _each(values: list[Any], *types: type) -> Any:
    for value in values:
        if type(value) not in types:
            raise TypeError(f"a name or a label is {shortened(value)}")
    return tuple(values)


def _target(value: Any) -> Any:
    return _each(value, str) if isinstance(value, list) else value


def _classes(values: list[Any] | None) -> tuple[Label, ...] | None:
    if values is None:
        return None
    classes: tuple[Label, ...] = _each(values, str, int, float, bool)
    if not classes or len(set(classes)) < len(classes):
        raise ValueError("classes are not one or more distinct labels")
    return classes
