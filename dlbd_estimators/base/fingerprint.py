"""The fingerprint of a fit: its parameters and its data as text, to compare with a checkpoint.

The fingerprint of a fit must be the same in another process, on another day and with other workers.
It must change if anything changes that affects the model. So it does not contain Dask's names of
arrays: the names of delayed functions are random, and the name of a stored array does not change
when the stored data change. Instead it contains checksums of some blocks, spread evenly over all
blocks: as many as come to 256 MiB, but at least 4 and at most 128 (small data: all blocks). Reading
them is a fraction of a pass, and works for data of any source. The fingerprint also contains the
number of all rows, the division into blocks and, for classifiers, the weights of all classes. It
does not detect other rows, of the same number, in a block without a checksum.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral, Real
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any
from zlib import crc32

import numpy as np
from dask.base import is_dask_collection
from numpy.typing import NDArray

from dlbd_estimators.base.versions import __version__
from dlbd_estimators.blocks.block import Blocks, Encoding
from dlbd_estimators.engine.executor import Executor
from dlbd_estimators.kernels.row_checksum import RowChecksumKernel, checksum

#: Texts by label.
Fingerprint = dict[str, str]

#: Parameters that do not change the steps of a fit; ``max_iter`` only limits their number.
_WITHOUT_EFFECT = ("checkpoint", "max_iter", "n_jobs", "verbose")
_SAMPLED_NBYTES = 2**28
_FEWEST_BLOCKS, _MOST_BLOCKS = 4, 128
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def of_parameters(estimator: Any) -> Fingerprint:
    """Return the class of an estimator, its parameters and the version of this package, as text.

    Raises
    ------
    ValueError
        A parameter gives other values each time it is used, or no text identifies it.
    """
    found = {"estimator": type(estimator).__name__, "dlbd_estimators": __version__}
    for name, value in sorted(estimator.get_params(deep=False).items()):
        if hasattr(value, "__next__"):
            raise ValueError(
                f"checkpoint needs parameters that mean the same in the next fit, but {name} is an "
                f"iterator, which this fit uses up: {value!r}. Pass {name}=list(...)."
            )
        if is_unseeded_splitter(value):
            raise ValueError(
                f"checkpoint needs parameters that mean the same in the next fit, but "
                f"{name}={value!r} draws other rows each time. Give it a random_state."
            )
        if name in _WITHOUT_EFFECT:
            continue
        try:
            found[f"parameter {name}"] = text_of(value)
        except NotIdentifiable as error:
            raise ValueError(
                f"checkpoint needs parameters that can be compared with those of another fit, but "
                f"{name}={value!r} {error}. Pass a name that scikit-learn knows, or a function "
                f"that is defined by def at the top level of a module."
            ) from error
    return found


def of_data(executor: Executor, blocks: Blocks) -> Fingerprint:
    """Return the shape, names and types of the data, and checksums of some blocks."""
    sampled = _sampled_blocks(blocks)
    checksums = executor.map_reduce(
        RowChecksumKernel(),
        None,
        # raw: the classes are not known yet. read_again: do not keep these blocks for the passes of
        # the fit, which read other ones.
        replace(blocks, encoding=Encoding(raw=True), read_again=False),
        name="checkpoint-rows",
        indices=sampled,
    ).partial
    names, sizes = blocks.feature_names, blocks.sizes
    return {
        "number of rows": "not known" if sizes is None else str(sum(sizes)),
        "number of columns": str(blocks.n_features),
        "names of columns": "none" if names is None else text_of(np.asarray(names)),
        "precision": str(blocks.dtype),
        "number of blocks": str(blocks.n_blocks),
        "rows of each block": "not known" if sizes is None else text_of(np.asarray(sizes)),
        "shape of a row of y": str(blocks.y_shape),
        **{
            f"rows in {blocks.where(index)}": f"checksum {each:08x}"
            for index, each in zip(sampled, checksums, strict=True)
        },
    }


class NotIdentifiable(ValueError):
    """The text of a function or of another callable object does not identify it."""


def is_unseeded_splitter(splitter: Any) -> bool:
    """Return whether a splitter selects other rows each time it is used."""
    return (
        (hasattr(splitter, "split") or hasattr(splitter, "split_arrays"))
        and getattr(splitter, "random_state", 0) is None
        and getattr(splitter, "shuffle", True) is not False
    )


def text_of(value: Any) -> str:
    """Return a value as text that is the same in each process.

    Raises
    ------
    NotIdentifiable
        Other values can have the same text.
    """
    if isinstance(value, np.ndarray):
        return _of_array(value)
    if isinstance(value, np.generic):
        return text_of(value.item())
    if isinstance(value, Mapping):
        pairs = sorted(f"{text_of(key)}: {text_of(each)}" for key, each in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, Real) and not isinstance(value, bool):
        return _of_number(value)
    return _of_object(value)


def _of_array(array: NDArray[Any]) -> str:
    if array.ndim == 0:
        return text_of(array.item())
    return f"{array.dtype} array of shape {array.shape}, checksum {checksum(array):08x}"


def _of_number(value: Real) -> str:
    if isinstance(value, Integral):
        return repr(int(value))
    number = float(value)  # 1 and 1.0 are equal, as in scikit-learn
    return repr(int(number) if number.is_integer() else number)


def _of_object(value: Any) -> str:
    if is_dask_collection(value) or isinstance(value, np.random.RandomState):
        # Their reprs contain names and addresses that differ between processes. The checkpoint
        # holds the state of a RandomState, and checksums of the data cover the rows of folds.
        return type(value).__name__
    if isinstance(value, FunctionType):
        return _of_function(value)
    if isinstance(value, functools.partial):
        return f"partial {text_of([value.func, value.args, value.keywords])}"
    text = _ADDRESS.sub("", repr(value))
    if hasattr(value, "_score_func"):  # a scorer of scikit-learn
        return f"{text} of {text_of(value._score_func)}"
    if callable(value) and not isinstance(value, type | BuiltinFunctionType):
        raise NotIdentifiable("is a callable object whose repr does not identify what it does")
    return text


def _of_function(function: FunctionType) -> str:
    """Return the name of a function and a checksum of its code, which changes with each edit."""
    name = f"{function.__module__}.{function.__qualname__}"
    if "<" in name:
        raise NotIdentifiable(
            "is a lambda or a function defined inside another one, or contains such a function"
        )
    defaults = _ADDRESS.sub("", repr((function.__defaults__, function.__kwdefaults__)))
    code = crc32(defaults.encode() + _of_code(function.__code__))
    return f"{name}, checksum of code {code:08x}"


def _of_code(code: CodeType) -> bytes:
    parts = [code.co_code, repr(code.co_names).encode()]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            parts.append(_of_code(constant))
        elif isinstance(constant, frozenset):  # in another order in each process
            parts.append(repr(sorted(map(repr, constant))).encode())
        else:
            parts.append(repr(constant).encode())
    return b"".join(parts)


def differences(saved: Mapping[str, str], current: Mapping[str, str]) -> list[str]:
    """Return one line for each label whose text in a checkpoint differs from the current one."""
    return [
        f"{label}: {saved.get(label, 'nothing'):.200} in the checkpoint, {text:.200} in this fit"
        for label, text in current.items()
        if saved.get(label) != text
    ]


def _sampled_blocks(blocks: Blocks) -> list[int]:
    n_blocks, nbytes = blocks.n_blocks, blocks.block_nbytes or _SAMPLED_NBYTES
    n_sampled = max(_FEWEST_BLOCKS, _SAMPLED_NBYTES // max(nbytes, 1))
    n_sampled = min(n_blocks, n_sampled, _MOST_BLOCKS)
    return sorted({int(each) for each in np.linspace(0, n_blocks - 1, n_sampled)})
