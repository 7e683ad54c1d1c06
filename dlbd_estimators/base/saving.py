"""Save and load models in files that hold no code: estimators, transformers, pipelines of these.

:mod:`dlbd_estimators.engine.packed_file` describes the format; a damaged file is never loaded. The
facts of a file are the versions that wrote it, and the model as encoded by
:mod:`dlbd_estimators.base.saved_values`. A file can only name classes of a fixed list.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar

import sklearn

from dlbd_estimators.base import versions
from dlbd_estimators.base.loaded_values import check_counts
from dlbd_estimators.base.saved_values import ValueDecoder, ValueEncoder, cannot_save
from dlbd_estimators.engine.credentials import without_credentials
from dlbd_estimators.engine.folders import Folder, folder_at
from dlbd_estimators.engine.packed_file import MODEL, pack, unpack
from dlbd_estimators.exceptions import ModelDamaged

_PACKAGE = __name__.partition(".")[0]
#: The public subpackages whose classes a file may name. They import this module, which imports them
#: only when a file or a model needs one of them.
_SUBPACKAGES = ("compose", "linear_model", "model_selection", "neural_network", "preprocessing")
#: Classes of scikit-learn in pipelines and column transformers; their instances hold no code.
_SCIKIT_LEARN = {
    "sklearn.compose.make_column_selector",
    "sklearn.impute.MissingIndicator",
    "sklearn.pipeline.Pipeline",
    "sklearn.preprocessing.FunctionTransformer",
}


def save(estimator: Any, url: str | os.PathLike[str]) -> None:
    """Write a model to a file that holds no code.

    The file holds the parameters and all fitted attributes, including ``history_``: numbers and
    text as JSON, and arrays as bytes. :func:`load` returns an estimator with bitwise identical
    predictions, which ``partial_fit`` or ``warm_start`` can train further. Callbacks are not saved.

    Parameters
    ----------
    estimator : estimator, transformer or Pipeline
        An object of this package, or scikit-learn's ``Pipeline`` of such objects.
    url : str or path-like
        A path, or a URL such as ``"s3://bucket/late.model"``. ``s3://``, ``gs://`` and ``az://``
        need the extra ``cloud`` and read the environment variables of data sets, unless a package
        of fsspec is installed for the scheme (s3fs, gcsfs, adlfs). Other URLs are those of fsspec.
        Missing folders are created. An existing file is replaced once the new file is complete.

    Raises
    ------
    TypeError
        The estimator holds something that the file cannot hold: a function, or an estimator of
        another package. The message names it, and other ways to save the model.
    OSError
        The file cannot be written. An existing file is unchanged.
    ImportError, ValueError
        No package that is installed opens the URL.

    See Also
    --------
    load : Read the file.
    to_sklearn : Convert to scikit-learn's classes, for users without this package.

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
            f"A {name} cannot be saved. Save best_estimator_, the model that it has chosen: "
            f"save(search.best_estimator_, ...)."
        )
    if _name_of(type(estimator)) is None:
        raise cannot_save(estimator, "The model to save")
    facts = ValueEncoder(_name_of)
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

    Loading runs no code from the file, which only names classes of this package, and holds numbers,
    text and arrays. So files from unknown sources are safe to load.

    Parameters
    ----------
    url : str or path-like
        A path or a URL, as for :func:`save`.

    Returns
    -------
    estimator, transformer or Pipeline
        The model as it was saved.

    Raises
    ------
    ModelDamaged
        The file is damaged, or is not a saved model. This error is also a ValueError.
    FileNotFoundError
        The file does not exist.
    OSError
        The file cannot be read.
    ImportError, ValueError
        No package that is installed opens the URL.

    Warns
    -----
    InconsistentVersionWarning
        Another version of this package or of scikit-learn wrote the file.

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
    origin = ""
    try:
        facts, arrays = unpack(folder.read(name, MODEL), MODEL)
        written = (str(facts["dlbd_estimators"]), str(facts["sklearn"]))
        if written != (versions.__version__, sklearn.__version__):
            origin = f" (written by dlbd_estimators {written[0]} and scikit-learn {written[1]})"
        model = ValueDecoder(arrays, _class_of).of(facts["model"])
        if _name_of(type(model)) is None:
            raise ValueError(f"it holds a {type(model).__name__}, not a model")
    except (
        ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise ModelDamaged(
            f"{_shown(url)} cannot be loaded as a model{origin}: {error}. Save the model "
            f"again, or use another copy of the file."
        ) from error
    except IsADirectoryError as error:
        raise IsADirectoryError(f"{_shown(url)} is a folder, not the file of a model.") from error
    versions.warn_of_others(type(model).__name__, written)
    return model


def check_place(url: str | os.PathLike[str]) -> None:
    """Check that a model can be saved at a URL, as far as this can be known before writing.

    Parameters
    ----------
    url : str or path-like
        Where :func:`save` will write. Missing folders are created.

    Raises
    ------
    OSError
        A file cannot be written there.
    """
    folder, name = _place(url, make=True)
    folder.check(name)


class Savable:
    """Mixin with the method :meth:`save`.

    Attributes
    ----------
    _saved_as : dict of str to type
        The data class of each attribute that holds an instance of one.
    """

    _saved_as: ClassVar[Mapping[str, Any]] = {}

    def _check_loaded(self) -> None:
        """Check the attributes that a file has set; a subclass adds what it knows about its own.

        Raises
        ------
        ValueError, TypeError, LookupError, AttributeError
            They do not fit together.
        """
        check_counts(self)

    def save(self, url: str | os.PathLike[str]) -> None:
        """Write this estimator to a file that holds no code; ``dlbd_estimators.load`` reads it.

        Parameters
        ----------
        url : str or path-like
            A path or a URL, as for :func:`save`.

        Raises
        ------
        TypeError
            The file cannot hold a parameter or attribute, for example a function.
        OSError
            The file cannot be written. An existing file is unchanged.

        See Also
        --------
        dlbd_estimators.save : Save whole pipelines; with an example.
        """
        save(self, url)


def _place(url: str | os.PathLike[str], *, make: bool) -> tuple[Folder, str]:
    """Return the folder of a file, and the name of the file in it."""
    path = os.path.expanduser(os.fsdecode(url))
    if "://" not in path:
        path = os.path.abspath(path)
    parent, _, name = path.rpartition("/")
    if not name:
        raise ValueError(f"{_shown(url)} does not end with the name of a file.")
    return folder_at(parent or "/", make=make), name


def _shown(url: str | os.PathLike[str]) -> str:
    return repr(without_credentials(os.fsdecode(url)))


def _name_of(kind: type) -> str | None:
    """Return the public name of a class, or None if a file may not name the class."""
    package, _, rest = kind.__module__.partition(".")
    subpackage = rest.partition(".")[0]
    if package == _PACKAGE and subpackage in _SUBPACKAGES:
        name = f"{package}.{subpackage}.{kind.__name__}"
    else:
        name = next((entry for entry in _SCIKIT_LEARN if entry.endswith(f".{kind.__name__}")), "")
    return name if name and _public_object(name) is kind else None


def _class_of(name: str) -> type:
    """Return the class with a public name.

    Raises
    ------
    ValueError
        There is no such class, or a file may not name it.
    """
    package, subpackage, *_ = (*str(name).split("."), "")
    known = name in _SCIKIT_LEARN or (package == _PACKAGE and subpackage in _SUBPACKAGES)
    kind = _public_object(name) if known else None
    if not isinstance(kind, type):
        raise ValueError(f"there is no estimator {name!r:.100}")
    return kind


def _public_object(name: str) -> Any:
    subpackage, _, last = name.rpartition(".")
    module = import_module(subpackage) if subpackage.count(".") == 1 else None
    return getattr(module, last, None) if last in getattr(module, "__all__", ()) else None
