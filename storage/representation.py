"""The text form of a data set, which ``repr`` returns."""

from __future__ import annotations

from collections.abc import Iterable

from storage.arrays import StoredArrays

__all__ = ["as_text"]

_NAMES_SHOWN = 6
_VERSIONS_SHOWN = 4


def as_text(data: StoredArrays, more: Iterable[tuple[str, str]] = ()) -> str:
    """Describe a data set in a few lines of text; `more` are names and values to add."""
    x = data.layouts["X"]
    blocks = data.X.numblocks[0]
    block_rows = min(data.schema.block_rows, data.n_samples)
    row_nbytes = data.nbytes // data.n_samples
    sparse = data.schema.sparse
    kind = f"{x.dtype}, sparse" if sparse else x.dtype
    decoded = "" if sparse else f"{_size(data.nbytes)} decoded, "
    of_block = "" if sparse else f", {_size(block_rows * row_nbytes)}"
    of_chunk = "" if sparse else f", {_size(x.chunk_nbytes)}"
    chosen = "" if data.columns is None else f" of {data.schema.n_features:,} stored,"
    lines = [
        ("rows", f"{data.n_samples:,}"),
        ("features", f"{data.n_features:,}{chosen} {kind}: {_names(data)}"),
        ("values", _values(data)),
        ("y", _y(data)),
        ("sample_weight", _dtype_of(data, "sample_weight")),
        ("size", f"{decoded}{_size(data.nbytes_stored)} stored"),
        ("blocks", f"{blocks:,} of {block_rows:,} rows{of_block}"),
        ("chunks", f"{x.n_chunks:,} of {x.chunk_rows:,} rows of X{of_chunk}"),
        ("NaN", _nan(data)),
        ("source", _source(data)),
        *_versions(data),
        *more,
    ]
    width = max(len(name) for name, _ in lines)
    body = "\n".join(f"  {name:<{width}}  {value}" for name, value in lines if value)
    return f"Dataset {data.store.location}\n{body}"


def _names(data: StoredArrays) -> str:
    shown = ", ".join(data.feature_names[:_NAMES_SHOWN])
    return f"{shown}, ..." if data.n_features > _NAMES_SHOWN else shown


def _dtype_of(data: StoredArrays, name: str) -> str:
    return data.layouts[name].dtype if name in data.layouts else ""


def _values(data: StoredArrays) -> str:
    """Describe the stored values of a sparse X; nothing if their number is not known."""
    nnz = data.manifest.nnz
    if nnz is None:
        return ""
    share = nnz / (data.n_samples * data.schema.n_features)
    return f"{nnz:,} stored, {100 * share:.3g} % of all"


def _y(data: StoredArrays) -> str:
    layout = data.layouts["y"]
    target = ", ".join([data.target] if isinstance(data.target, str) else data.target or ())
    outputs = f" x {layout.row_shape[0]}" if layout.row_shape else ""
    classes = f", {len(data.classes)} classes" if data.classes else ""
    return f"{target or '(unnamed)'} {layout.dtype}{outputs}{classes}"


def _nan(data: StoredArrays) -> str:
    counts = {name: data.manifest.n_nan(name) for name in data.layouts}
    found = ", ".join(f"{count:,} in {name}" for name, count in counts.items() if count)
    return found or "none"


def _source(data: StoredArrays) -> str:
    seed = data.schema.shuffle_seed
    shuffled = "" if seed is None else f"shuffled with seed {seed}"
    written = f"written {data.schema.created}"
    return "; ".join(part for part in (data.schema.source, shuffled, written) if part)


def _versions(data: StoredArrays) -> list[tuple[str, str]]:
    """Return lines for the newest versions; none if no rows were appended."""
    if len(data.versions) == 1:
        return []
    lines = [("version", f"{data.version} of {len(data.versions)}")]
    shown = data.versions[-_VERSIONS_SHOWN:]
    if len(shown) < len(data.versions):
        lines.append(("", "..."))
    for version in shown:
        rows = f"{version.number}: {version.n_added:,} rows, {version.n_samples:,} in all"
        source = "" if version.source is None else f"; {version.source}"
        lines.append(("", f"{rows}; written {version.created}{source}"))
    return lines


def _size(nbytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if nbytes < 1024:
            return f"{nbytes:.0f} {unit}" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    return f"{nbytes:.1f} TiB"
