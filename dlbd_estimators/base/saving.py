"""Models in files that hold no code: estimators, transformers and pipelines of these.

A file is what :mod:`dlbd_estimators.engine.packed_file` says, so it is whole or not loaded at all.
Its facts are the versions that wrote it, and the model by
:mod:`dlbd_estimators.base.saved_values`. Classes are looked up by their names in a closed list.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import sklearn

from dlbd_estimators.base import versions
from dlbd_estimators.base.saved_values import Facts, Values, refused
from dlbd_estimators.engine.folders import Folder, folder_at
from dlbd_estimators.engine.packed_file import MODEL, pack, unpack
from dlbd_estimators.exceptions import ModelDamaged

_PACKAGE = __name__.partition(".")[0]
#: The public rooms whose classes a file may name. They stand above this one, which imports none of
#: them before a file or a user's model asks for it.
_ROOMS = ("compose", "linear_model", "model_selection", "neural_network", "preprocessing")
#: Of scikit-learn: what pipelines and transformers of columns are made of, and hold no code.
_SCIKIT_LEARN = {
    "sklearn.compose.make_column_selector",
    "sklearn.impute.MissingIndicator",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing.FunctionTransformer",
}


def save(estimator: Any, url: str | os.PathLike[str]) -> None:
    """Write a model to a file that holds no code.

    The file has the parameters and all fitted attributes, ``history_`` among them: numbers and text
    as JSON, and arrays as bytes. :func:`load` gives back an estimator that predicts the same bits,
    and whose ``partial_fit`` or ``warm_start`` goes on. Callbacks are left out.

    Parameters
    ----------
    estimator : estimator, transformer or Pipeline
        One of this package, or scikit-learn's ``Pipeline`` of these.
    url : str or path-like
        A path, or a URL that fsspec knows, such as ``"s3://bucket/late.model"``. Folders are made.
        What is there already is replaced once the new file is complete.

    Raises
    ------
    TypeError
        It holds something else: a function, or an estimator of another package. The message names
        it, and other ways to save it.
    OSError
        The file cannot be written. What was there before is as it was.

    See Also
    --------
    load : Read it back.
    to_sklearn : Estimators for those who do not have this package.

    Examples
    --------
    >>> import numpy as np
    >>> import dlbd_estimators
    >>> from sklearn.pipeline import make_pipeline
    >>> from dlbd_estimators.preprocessing import StandardScaler
    >>> X = np.random.default_rng(0).normal(size=(100, 3))
    >>> model = make_pipeline(StandardScaler(), dlbd_estimators.Ridge()).fit(X, X[:, 0])
    >>> dlbd_estimators.save(model, "ridge.model")
    >>> loaded = dlbd_estimators.load("ridge.model")
    >>> bool((loaded.predict(X) == model.predict(X)).all())
    True
    """
    name = type(estimator).__name__
    if hasattr(estimator, "best_estimator_"):
        raise TypeError(
            f"Of a {name}, save best_estimator_, the model that it has chosen: "
            f"save(search.best_estimator_, ...)."
        )
    if _name_of(type(estimator)) is None:
        raise refused(estimator, "What is to be saved")
    facts = Facts(_name_of)
    written = {
        "dlbd_estimators": versions.__version__,
        "sklearn": sklearn.__version__,
        "model": facts.of(estimator, name),
    }
    parts = pack(written, facts.arrays, MODEL)
    folder, name = _place(url, make=True)
    folder.write(name, parts)


def load(url: str | os.PathLike[str]) -> Any:
    """Read a model that :func:`save` wrote.

    Nothing in the file is run: it names classes of this package, and holds numbers, text and
    arrays. So files of people you do not know are safe to load.

    Parameters
    ----------
    url : str or path-like
        A path, or a URL that fsspec knows.

    Returns
    -------
    estimator, transformer or Pipeline
        As it was saved.

    Raises
    ------
    ModelDamaged
        The file is not as it was written, or is no such file. It is a ValueError, too.
    FileNotFoundError
        It is not there.
    OSError
        It cannot be read.

    Warns
    -----
    InconsistentVersionWarning
        Another version of this package or of scikit-learn wrote it.

    Examples
    --------
    >>> import numpy as np
    >>> import dlbd_estimators
    >>> X = np.arange(12.0).reshape(6, 2)
    >>> dlbd_estimators.Ridge(alpha=3.0).fit(X, X[:, 0]).save("ridge.model")
    >>> dlbd_estimators.load("ridge.model")
    Ridge(alpha=3.0)
    """
    folder, name = _place(url, make=False)
    said = ""
    try:
        facts, arrays = unpack(folder.read(name, MODEL), MODEL)
        written = (str(facts["dlbd_estimators"]), str(facts["sklearn"]))
        if written != (versions.__version__, sklearn.__version__):
            said = f" (written by dlbd_estimators {written[0]} and scikit-learn {written[1]})"
        model = Values(arrays, _class_of).of(facts["model"])
    except (
        ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise ModelDamaged(
            f"{os.fspath(url)!r} cannot be loaded as a model{said}: {error}. Save the model again, "
            f"or take another copy of the file."
        ) from error
    except IsADirectoryError as error:
        raise IsADirectoryError(
            f"{os.fspath(url)!r} is a folder, not the file of a model."
        ) from error
    versions.warn_of_others(type(model).__name__, written)
    return model


def check_place(url: str | os.PathLike[str]) -> None:
    """Make sure that a model can be saved there, as far as that can be known before.

    Parameters
    ----------
    url : str or path-like
        Where :func:`save` will write. Folders are made.

    Raises
    ------
    OSError
        It cannot.
    """
    folder, name = _place(url, make=True)
    folder.check(name)


class Savable:
    """Mixin: the method :meth:`save`.

    Attributes
    ----------
    _saved_as : dict of str to type
        Attributes that hold data classes, and which.
    """

    _saved_as: ClassVar[Mapping[str, Any]] = {}

    def save(self, url: str | os.PathLike[str]) -> None:
        """Write this estimator to a file that holds no code; ``dlbd_estimators.load`` reads it.

        Parameters
        ----------
        url : str or path-like
            A path, or a URL that fsspec knows.

        Raises
        ------
        TypeError
            A parameter is something that such a file cannot hold, as a function is.
        OSError
            The file cannot be written. What was there before is as it was.

        See Also
        --------
        dlbd_estimators.save : For whole pipelines; an example.
        """
        save(self, url)


def _place(url: str | os.PathLike[str], *, make: bool) -> tuple[Folder, str]:
    """Return the folder of a file, and its name there."""
    path = os.path.expanduser(os.fsdecode(url))
    if "://" not in path:
        path = os.path.abspath(path)
    parent, _, name = path.rpartition("/")
    if not name:
        raise ValueError(f"{os.fspath(url)!r} is no name of a file.")
    return folder_at(parent or "/", make=make), name


def _name_of(kind: type) -> str | None:
    """Return the public name of a class that a file may name, or None."""
    package, _, rest = kind.__module__.partition(".")
    room = rest.partition(".")[0]
    if package == _PACKAGE and room in _ROOMS:
        name = f"{package}.{room}.{kind.__name__}"
    else:
        name = next((each for each in _SCIKIT_LEARN if each.endswith(f".{kind.__name__}")), "")
    return name if name and _found(name) is kind else None


def _class_of(name: str) -> type:
    """Return the class of a public name.

    Raises
    ------
    ValueError
        A file may not name it.
    """
    package, room, *_ = (*str(name).split("."), "")
    known = name in _SCIKIT_LEARN or (package == _PACKAGE and room in _ROOMS)
    kind = _found(name) if known else None
    if not isinstance(kind, type):
        raise ValueError(f"there is no estimator {name!r:.100}")
    return kind


def _found(name: str) -> Any:
    room, _, last = name.rpartition(".")
    module = import_module(room) if room.count(".") == 1 else None
    return getattr(module, last, None) if last in getattr(module, "__all__", ()) else None
