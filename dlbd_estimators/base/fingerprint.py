"""What a fit is of, in words: its parameters and its data, for a checkpoint to be held against.

It has to be the same in another process, on another day and with other workers, and another one
where anything differs that changes the model. So Dask's names of arrays are no part of it: those of
delayed functions are drawn at random, and those of a stored array say nothing of what was written
there since. Instead rows are looked at: a checksum of some blocks, spread evenly over all (at least
four, and at most 128, as many as come to 256 MiB; of small data all). That is a fraction of a pass,
and works for whatever rows come from. The number of all rows, the cut into blocks and, of
classifiers, the weights of all classes come with it. Other rows in a block that was not looked at,
of the same number, go unnoticed.
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

#: By label, as text.
Fingerprint = dict[str, str]

#: Do not change the way of a fit: how many steps it may make is the driver's.
_WITHOUT_EFFECT = ("checkpoint", "max_iter", "n_jobs", "verbose")
_LOOKED_AT_NBYTES = 2**28
_FEWEST_BLOCKS, _MOST_BLOCKS = 4, 128
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def of_parameters(estimator: Any) -> Fingerprint:
    """Return the class, its parameters and the version of this package.

    Raises
    ------
    ValueError
        A parameter says something else each time that it is asked, or cannot be told from
        another one.
    """
    found = {"estimator": type(estimator).__name__, "dlbd_estimators": __version__}
    for name, value in sorted(estimator.get_params(deep=False).items()):
        if hasattr(value, "__next__"):
            raise ValueError(
                f"checkpoint needs parameters that mean the same in the next fit, but {name} is an "
                f"iterator, which is used up by this one: {value!r}. Pass {name}=list(...)."
            )
        if draws_anew(value):
            raise ValueError(
                f"checkpoint needs parameters that mean the same in the next fit, but "
                f"{name}={value!r} draws other rows each time. Give it a random_state."
            )
        if name in _WITHOUT_EFFECT:
            continue
        try:
            found[f"parameter {name}"] = text_of(value)
        except Nameless as error:
            raise ValueError(
                f"checkpoint needs parameters that can be told from those of another fit, but "
                f"{name}={value!r} {error}. Pass a name of scikit-learn's, or a function that is "
                f"defined by a def of its own, outside of all functions."
            ) from error
    return found


def of_data(executor: Executor, blocks: Blocks) -> Fingerprint:
    """Return what the data are, after a look at some of the blocks."""
    looked_at = _spread(blocks)
    checksums = executor.map_reduce(
        RowChecksumKernel(),
        None,
        # Labels are not known yet, and these blocks are not what passes of the fit will read.
        replace(blocks, encoding=Encoding(raw=True), read_again=False),
        name="checkpoint-rows",
        indices=looked_at,
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
            for index, each in zip(looked_at, checksums, strict=True)
        },
    }


class Nameless(ValueError):
    """Nothing tells a function or an object that is called like one from another."""


def draws_anew(splitter: Any) -> bool:
    """Tell whether a splitter gives other rows each time that it is asked."""
    return (
        (hasattr(splitter, "split") or hasattr(splitter, "split_arrays"))
        and getattr(splitter, "random_state", 0) is None
        and getattr(splitter, "shuffle", True) is not False
    )


def text_of(value: Any) -> str:
    """Return a value as text that is the same in each process.

    Raises
    ------
    Nameless
        Another one would have the same text.
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
    number = float(value)  # scikit-learn does not tell 1 from 1.0 either
    return repr(int(number) if number.is_integer() else number)


def _of_object(value: Any) -> str:
    if is_dask_collection(value) or isinstance(value, np.random.RandomState):
        # Their texts hold names and places that are others each time. Where the RandomState
        # stood is in the checkpoint; rows of folds are looked at with the data.
        return type(value).__name__
    if isinstance(value, FunctionType):
        return _of_function(value)
    if isinstance(value, functools.partial):
        return f"partial {text_of([value.func, value.args, value.keywords])}"
    text = _ADDRESS.sub("", repr(value))
    if hasattr(value, "_score_func"):  # a scorer of scikit-learn
        return f"{text} of {text_of(value._score_func)}"
    if callable(value) and not isinstance(value, type | BuiltinFunctionType):
        raise Nameless("is an object whose text does not tell what calling it does")
    return text


def _of_function(function: FunctionType) -> str:
    """Return a function's name and a checksum of its code, which may have been edited since."""
    name = f"{function.__module__}.{function.__qualname__}"
    if "<" in name:
        raise Nameless("is a lambda, or was made by another function, or holds one that was")
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


def differences(there: Mapping[str, str], here: Mapping[str, str]) -> list[str]:
    """Return a line for each label of a fingerprint that has another text in another one."""
    return [
        f"{label}: {there.get(label, 'nothing'):.200} there, {text:.200} here"
        for label, text in here.items()
        if there.get(label) != text
    ]


def _spread(blocks: Blocks) -> list[int]:
    n_blocks, nbytes = blocks.n_blocks, blocks.block_nbytes or _LOOKED_AT_NBYTES
    n_looked_at = max(_FEWEST_BLOCKS, _LOOKED_AT_NBYTES // max(nbytes, 1))
    n_looked_at = min(n_blocks, n_looked_at, _MOST_BLOCKS)
    return sorted({int(each) for each in np.linspace(0, n_blocks - 1, n_looked_at)})
