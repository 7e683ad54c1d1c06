"""Imports run strictly downward, from subpackage to subpackage: read off the source.

    linear_model, neural_network -> base -> solvers -> engine -> blocks -> kernels

A checker takes the directory that holds both packages and returns one line per violation, so that
each can be shown to see a broken tree before it is believed about the real one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("dlbd_estimators", "storage")
LONGEST_FILE = 350

# The subpackages (a folder, or a file beside them), and all that each may import of the
# package besides itself; a new one has to be put here. No two may import each other, so there are
# no circles. `exceptions` is below them all.
MAY_IMPORT = {
    "kernels": set(),
    "blocks": {"kernels"},
    "engine": {"blocks", "kernels"},
    "solvers": {"engine", "blocks", "kernels"},
    "solvers/smooth": {"solvers", "engine", "kernels"},
    "solvers/proximal": {"solvers/smooth", "solvers", "engine", "kernels"},
    "solvers/stochastic": {"solvers", "engine", "blocks", "kernels"},
    # Watches from the side: nothing below the estimators knows of it.
    "monitoring": {"engine"},
    "base/rows_by_number": {"engine", "blocks"},
    "base": {"base/rows_by_number", "monitoring", "solvers", "engine", "blocks", "kernels"},
    "linear_model": {
        "base", "solvers/proximal", "solvers/smooth", "solvers", "engine", "blocks", "kernels",
    },
    "neural_network": {"base", "solvers/stochastic", "solvers", "engine", "blocks", "kernels"},
    "preprocessing": {"base", "engine", "blocks", "kernels"},
    "metrics": {"base", "engine", "blocks", "kernels"},
    "model_selection": {"base", "engine", "blocks"},
    "compose": {"preprocessing", "blocks"},
    "plots": {"metrics", "preprocessing"},
    "reports": {"plots", "metrics"},
    "linear_model/inference": {"linear_model", "base", "solvers", "engine", "blocks", "kernels"},
    "inference": {"linear_model/inference"},  # its public door
    # A user of the public subpackages, as a script is: nothing imports it.
    "cli": {
        "linear_model", "neural_network", "preprocessing", "model_selection", "reports",
        "monitoring", "base", "engine",
    },
    "": {"linear_model", "neural_network", "base"},
    "exceptions": set(),
}  # fmt: skip
# The estimators' face: where Dask collections come in and go out.
MAY_IMPORT_DASK = {
    "base", "base/rows_by_number", "blocks", "compose", "metrics", "model_selection",
    "neural_network", "preprocessing",
}  # fmt: skip
# Executors and monitors read settings that a user keeps in Dask, the scheduler to use among them,
# and know names as Dask's pages do; these know of no graph and no collection.
DASK_SETTINGS = (
    "dask.config", "dask.get_annotations", "dask.system", "dask.base.get_scheduler",
    "dask.utils.key_split", "dask.utils.parse_bytes", "dask.utils.parse_timedelta",
)  # fmt: skip
# What computes Dask collections. Rows are read by passes of the engine, and by nothing else; what
# blocks of a pass share is computed where they are cut.
COMPUTES = {
    "compute", "persist", "compute_chunk_sizes", "get_sync", "get_async", "get_scheduler",
    "to_zarr", "to_hdf5", "to_parquet", "to_csv",
}  # fmt: skip
RUNS_GRAPHS = {"dask", "dask.threaded", "dask.local", "dask.multiprocessing"}  # by their `get`
# All else of dask.array is taken for a reduction, or for what may come to one.
MAKES_ROWS = {
    "Array",
    "arange",
    "asarray",
    "blockwise",
    "chunk",
    "core",
    "from_array",
    "from_zarr",
    "map_blocks",
}
# Not rows but one of them, by its number, where scikit-learn looks at what labels are. Names alone
# do not tell where NumPy's functions load a column: scikit-learn's tools ask for labels and
# predictions in one piece (base.rows_by_number, base.lazy_predictions).
MAY_COMPUTE = {
    "dlbd_estimators/base/rows_by_number/frames.py",
    "dlbd_estimators/blocks/shuffles.py",  # asks which scheduler there is, and runs nothing
    "dlbd_estimators/blocks/compute.py",  # what runs the tasks of one block
    "dlbd_estimators/blocks/rows_on_disk.py",  # runs what blocks share, for dask_blocks
    "dlbd_estimators/blocks/task_loader.py",  # reads one block by its tasks
}
MAY_BE_IMPORTED_BY_KERNELS = {"numpy", "scipy"} | sys.stdlib_module_names
SHAPELESS_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}


@dataclass(frozen=True)
class Import:
    path: Path  # relative to the directory that holds the packages
    line: int
    target: str  # absolute; of `from a import b`, "a.b"
    for_types: bool  # under `if TYPE_CHECKING`

    @property
    def root(self) -> str:
        return self.target.split(".")[0]

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.target}"


def sources(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        yield from (path.relative_to(root) for path in sorted((root / package).rglob("*.py")))


def imports(root: Path) -> Iterator[Import]:
    for path in sources(root):
        yield from _imports_below(ast.parse((root / path).read_text()), path, for_types=False)


def _imports_below(node: ast.AST, path: Path, *, for_types: bool) -> Iterator[Import]:
    for target in _targets(node, path):
        yield Import(path, node.lineno, target, for_types)
    for field, value in ast.iter_fields(node):
        # Only the body of `if TYPE_CHECKING` is unreal, not its else branch.
        unreal = for_types or (field == "body" and _is_type_checking(node))
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _imports_below(child, path, for_types=unreal)


def _targets(node: ast.AST, path: Path) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:  # path's own package is one level, so `.` drops the file's name
            package = path.parts[: len(path.parts) - node.level]
            base = ".".join([*package, *([base] if base else [])])
        return [f"{base}.{alias.name}" for alias in node.names]
    match node:  # a module named by a literal, wherever import_module comes from
        case ast.Call(
            func=ast.Name(id="__import__" | "import_module")
            | ast.Attribute(attr="__import__" | "import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
    return []


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def subpackage_of(parts: tuple[str, ...]) -> str:
    """Name the innermost subpackage that a file or a module of the package belongs to."""
    inside = [part.removesuffix(".py") for part in parts[1:]]
    for depth in range(len(inside), 0, -1):
        if "/".join(inside[:depth]) in MAY_IMPORT:
            return "/".join(inside[:depth])
    # What else stands at the top is an attribute of the package, or a file nobody has placed.
    return ""


def unplaced_modules(root: Path) -> list[str]:
    return [
        f"{path}: say in MAY_IMPORT what its subpackage may import"
        for path in sources(root)
        if path.parts[0] == "dlbd_estimators"
        and "/".join(path.parts[1:-1]) not in MAY_IMPORT.keys() - {""}
        and path.parts[1:] not in {("__init__.py",), ("exceptions.py",)}
    ]


def upward_imports(root: Path) -> list[str]:
    violations = []
    for found in imports(root):
        if found.path.parts[0] != "dlbd_estimators" or found.root != "dlbd_estimators":
            continue
        importer = subpackage_of(found.path.parts)
        imported = subpackage_of(tuple(found.target.split(".")))
        if imported not in MAY_IMPORT[importer] | {importer, "exceptions"}:
            violations.append(f"{found}: {importer} -> {imported}")
    return violations


def _reached(subpackage: str) -> set[str]:
    found: set[str] = set()
    waiting = [subpackage]
    while waiting:
        for below in MAY_IMPORT[waiting.pop()] - found:
            found.add(below)
            waiting.append(below)
    return found


def circles_of_files(root: Path) -> list[str]:
    """Find files that need each other, be it for types alone or only once a function runs."""
    files = {_module(path): path for path in sources(root)}
    below: dict[Path, set[Path]] = {path: set() for path in files.values()}
    for found in imports(root):
        parts = found.target.split(".")
        named = (".".join(parts[:depth]) for depth in range(len(parts), 1, -1))
        below[found.path].update([files[name] for name in named if name in files][:1])
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        return [" is imported by ".join(map(str, error.args[1]))]
    return []


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports_between_packages(root: Path) -> list[str]:
    return [
        str(found)
        for found in imports(root)
        if found.root in PACKAGES and found.root != found.path.parts[0]
    ]


def distributed_out_of_place(root: Path) -> list[str]:
    return [
        str(found)
        for found in imports(root)
        if (found.root == "distributed" or found.target.startswith("dask.distributed"))
        and not found.for_types
        and found.path.parts[:2] != ("dlbd_estimators", "monitoring")
        and found.path.parts != ("dlbd_estimators", "cli", "workers.py")
        and found.path.parts
        not in {
            ("dlbd_estimators", "engine", f"{name}.py")
            for name in (
                "cluster",
                "cluster_graphs",
                "inside_tasks",
                "message_streams",
                "task_results",
            )
        }
    ]


def dask_out_of_place(root: Path) -> list[str]:
    return [
        str(found)
        for found in imports(root)
        if found.root == "dask"
        and not found.target.startswith("dask.distributed")  # the checker above
        and found.path.parts[0] == "dlbd_estimators"
        and subpackage_of(found.path.parts) not in MAY_IMPORT_DASK
        and not (
            found.path.parts[1] in ("engine", "monitoring", "cli")
            and f"{found.target}.".startswith(tuple(f"{name}." for name in DASK_SETTINGS))
        )
    ]


def computing_outside_the_engine(root: Path) -> list[str]:
    """Find whatever names what computes a collection or reduces its rows, called or not.

    What is handed on, renamed or looked up by a string is called somewhere else.
    """
    return [
        f"{path}:{line} names {name}"
        for path in sources(root)
        if path.parts[0] == "dlbd_estimators"
        # The latter two run the tasks of one block, for the engine.
        and path.parts[1] != "engine"
        and path.parts[1:] not in {("blocks", "dask_blocks.py"), ("blocks", "row_functions.py")}
        and path.as_posix() not in MAY_COMPUTE
        for line, name in _names(ast.parse((root / path).read_text()), path)
        if _computes(name)
    ]


def _computes(name: str) -> bool:
    module, _, last = name.rpartition(".")
    if module == "dask.array":
        return last not in MAKES_ROWS
    return last in COMPUTES or (last == "get" and module in RUNS_GRAPHS)


def _names(tree: ast.AST, path: Path) -> Iterator[tuple[int, str]]:
    """Yield what is imported, attributes by their whole names, and what `getattr` looks up."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias, target in zip(node.names, _targets(node, path), strict=True):
                whole = alias.asname or isinstance(node, ast.ImportFrom)
                bound[alias.asname or alias.name.split(".")[0]] = (
                    target if whole else target.split(".")[0]
                )
                if isinstance(node, ast.ImportFrom):
                    yield node.lineno, target
    for node in ast.walk(tree):
        match node:
            case ast.Attribute():
                first, dot, rest = ast.unparse(node).partition(".")
                yield node.lineno, bound.get(first, first) + dot + rest
            case ast.Call(
                func=ast.Name(id="getattr" | "attrgetter" | "methodcaller")
                | ast.Attribute(attr="getattr_static" | "attrgetter" | "methodcaller"),
                args=arguments,
            ):
                for each in arguments:
                    if isinstance(each, ast.Constant):
                        yield node.lineno, str(each.value)


def impure_kernels(root: Path) -> list[str]:
    return [
        str(found)
        for found in imports(root)
        if found.path.parts[:2] == ("dlbd_estimators", "kernels")
        and found.root != "dlbd_estimators"  # upward_imports
        and found.root not in MAY_BE_IMPORTED_BY_KERNELS
    ]


def private_sklearn(root: Path) -> list[str]:
    return [
        str(found)
        for found in imports(root)
        if found.root == "sklearn"
        and any(
            part.startswith("_") and not part.endswith("__") for part in found.target.split(".")
        )
    ]


def shapeless_modules(root: Path) -> list[str]:
    return [
        str(path)
        for path in sources(root)
        if any(part.removesuffix(".py").lstrip("_") in SHAPELESS_NAMES for part in path.parts)
    ]


def long_files(root: Path) -> list[str]:
    lengths = {path: len((root / path).read_text().splitlines()) for path in sources(root)}
    return [f"{path}: {length} lines" for path, length in lengths.items() if length > LONGEST_FILE]


CHECKERS: tuple[Callable[[Path], list[str]], ...] = (
    unplaced_modules,
    upward_imports,
    circles_of_files,
    imports_between_packages,
    distributed_out_of_place,
    dask_out_of_place,
    computing_outside_the_engine,
    impure_kernels,
    private_sklearn,
    shapeless_modules,
    long_files,
)


@pytest.mark.parametrize("checker", CHECKERS)
def test_project(checker: Callable[[Path], list[str]]) -> None:
    assert checker(ROOT) == []


def test_no_two_subpackages_may_import_each_other() -> None:
    assert [subpackage for subpackage in MAY_IMPORT if subpackage in _reached(subpackage)] == []


def test_project_is_found() -> None:
    assert {path.parts[0] for path in sources(ROOT)} == set(PACKAGES)


ESTIMATOR = "dlbd_estimators/linear_model/ridge.py"
SOLVER = "dlbd_estimators/solvers/smooth/newton.py"
BROKEN = [
    (unplaced_modules, "dlbd_estimators/glue.py", ""),
    (unplaced_modules, "dlbd_estimators/glue/__init__.py", ""),
    (unplaced_modules, "dlbd_estimators/engine/glue/kafka.py", ""),
    (upward_imports, SOLVER, "from dlbd_estimators import linear_model"),
    (upward_imports, SOLVER, "import dlbd_estimators.linear_model.ridge as r"),
    (upward_imports, SOLVER, "from dlbd_estimators import Ridge"),
    (upward_imports, SOLVER, "from ...linear_model.ridge import Ridge"),
    (upward_imports, SOLVER, "from ... import linear_model"),
    (upward_imports, SOLVER, "import dlbd_estimators"),
    (upward_imports, SOLVER, "import dlbd_estimators.monitoring"),
    (upward_imports, SOLVER, "from ..proximal import working_set"),
    (upward_imports, "dlbd_estimators/solvers/driver.py", "from .smooth.newton import Newton"),
    (upward_imports, "dlbd_estimators/metrics/ranking.py", "from ..preprocessing import lazy"),
    (upward_imports, "dlbd_estimators/base/model.py", "from ..linear_model import Ridge"),
    (upward_imports, "dlbd_estimators/blocks/block.py", "from ..solvers.solver import Solver"),
    (upward_imports, "dlbd_estimators/blocks/graph.py", "def f():\n    from .. import engine"),
    (upward_imports, "dlbd_estimators/kernels/linear.py", "from dlbd_estimators import blocks"),
    (upward_imports, "dlbd_estimators/exceptions.py",
     "from dlbd_estimators.blocks.block import Block"),
    (upward_imports, "dlbd_estimators/engine/executor.py",
     "if TYPE_CHECKING:\n    from dlbd_estimators.solvers.solver import Solver"),
    (upward_imports, "dlbd_estimators/engine/executor.py",
     "importlib.import_module('dlbd_estimators.solvers')"),
    (circles_of_files, "dlbd_estimators/blocks/graph.py",
     "from dlbd_estimators.blocks import graph"),
    (circles_of_files, "storage/chunks.py", "def f():\n    from storage.chunks import g"),
    (imports_between_packages, ESTIMATOR, "import storage"),
    (imports_between_packages, "storage/writer.py", "from dlbd_estimators import exceptions"),
    (distributed_out_of_place, "dlbd_estimators/engine/threads.py", "import distributed"),
    (distributed_out_of_place, ESTIMATOR, "from dask.distributed import Client"),
    (distributed_out_of_place, "dlbd_estimators/cli/fit.py", "import distributed"),
    (upward_imports, ESTIMATOR, "from dlbd_estimators.cli import fit"),
    (upward_imports, "dlbd_estimators/cli/fit.py", "from dlbd_estimators.solvers import driver"),
    (imports_between_packages, "dlbd_estimators/cli/rows.py", "from storage import open_dataset"),
    (distributed_out_of_place, "storage/writer.py", "try:\n    import distributed\nfinally: ..."),
    (distributed_out_of_place, "storage/writer.py",
     "if TYPE_CHECKING: ...\nelse:\n    import distributed"),
    (dask_out_of_place, SOLVER, "import dask.array as da"),
    (dask_out_of_place, ESTIMATOR, "import dask.array as da"),
    (dask_out_of_place, "dlbd_estimators/engine/threads.py", "from dask import get"),
    (dask_out_of_place, SOLVER, "import dask.config"),
    (dask_out_of_place, "dlbd_estimators/engine/executor.py",
     "if TYPE_CHECKING:\n    from dask.array import Array"),
    (computing_outside_the_engine, "dlbd_estimators/metrics/one_pass.py",
     "import dask\ndask.compute(1)"),
    (computing_outside_the_engine, ESTIMATOR, "def f(X):\n    X.mean().compute()"),
    (computing_outside_the_engine, "dlbd_estimators/blocks/alignment.py",
     "X.compute_chunk_sizes()"),
    (computing_outside_the_engine, "dlbd_estimators/model_selection/split.py",
     "from dask import persist\npersist(1)"),
    (computing_outside_the_engine, ESTIMATOR, "from dask import compute as run\nrun(1)"),
    (computing_outside_the_engine, ESTIMATOR, "import dask as d\nrun = d.compute"),
    (computing_outside_the_engine, ESTIMATOR, "def f(X):\n    list(map(X.compute, X))"),
    (computing_outside_the_engine, ESTIMATOR, "def f(X):\n    getattr(X, 'compute')()"),
    (computing_outside_the_engine, ESTIMATOR,
     "import operator\ndef f(X):\n    operator.methodcaller('persist')(X)"),
    (computing_outside_the_engine, "dlbd_estimators/metrics/one_pass.py",
     "from dask import threaded as t\nt.get({}, 'x')"),
    (computing_outside_the_engine, "dlbd_estimators/base/model.py",
     "from dask.threaded import get as run"),
    (computing_outside_the_engine, "dlbd_estimators/base/model.py",
     "import dask.array as rows\ndef f(X):\n    return rows.mean(X, axis=0)"),
    (computing_outside_the_engine, "dlbd_estimators/base/model.py",
     "from dask.array import reduction"),
    (computing_outside_the_engine, "dlbd_estimators/base/model.py",
     "from dask.base import get_scheduler"),
    (impure_kernels, "dlbd_estimators/kernels/losses.py", "import sklearn"),
    (impure_kernels, "dlbd_estimators/kernels/losses.py", "import dask.array"),
    (private_sklearn, ESTIMATOR, "import sklearn.linear_model._base"),
    (private_sklearn, ESTIMATOR, "from sklearn._loss import HalfSquaredError"),
    (private_sklearn, ESTIMATOR, "from sklearn.linear_model import _base"),
    (private_sklearn, "storage/writer.py", "from sklearn.utils._param_validation import Interval"),
    (shapeless_modules, "storage/utils.py", ""),
    (shapeless_modules, "storage/_helpers/io.py", ""),
    (shapeless_modules, "dlbd_estimators/base/common.py", ""),
    (long_files, "storage/writer.py", "x = 1\n" * (LONGEST_FILE + 1)),
]  # fmt: skip


@pytest.mark.parametrize(("checker", "path", "source"), BROKEN)
def test_checker_sees_a_broken_tree(
    checker: Callable[[Path], list[str]], path: str, source: str, tmp_path: Path
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    violations = checker(tmp_path)
    assert len(violations) == 1
    assert violations[0].startswith(path)


def test_every_checker_is_shown_to_fail() -> None:
    assert {checker for checker, _, _ in BROKEN} == set(CHECKERS)


ALLOWED = [
    ("dlbd_estimators/__init__.py", "from dlbd_estimators.linear_model import Ridge"),
    (ESTIMATOR, "from dlbd_estimators import exceptions\nfrom dlbd_estimators.base import model"),
    ("dlbd_estimators/base/callbacks.py", "from dlbd_estimators.monitoring import events"),
    ("dlbd_estimators/base/validation.py", "import dask.array as da"),
    ("dlbd_estimators/base/validation.py", "if TYPE_CHECKING:\n    from distributed import Client"),
    (SOLVER, "from ..solver import Solver\nfrom . import backtracking"),
    (SOLVER, "from ...engine import passes"),
    ("dlbd_estimators/engine/cluster.py", "from distributed import Client"),
    ("dlbd_estimators/engine/cluster_graphs.py", "from distributed import Client"),
    ("dlbd_estimators/engine/executor.py", "import dask.config\nfrom dask.system import CPU_COUNT"),
    ("dlbd_estimators/cli/workers.py", "from distributed import Client"),
    ("dlbd_estimators/monitoring/dashboard.py", "from dask.distributed import Client"),
    ("dlbd_estimators/blocks/alignment.py", "import dask\nfrom .block import Block"),
    ("dlbd_estimators/kernels/linear.py",
     "import math\nimport numpy as np\nfrom scipy import special\nfrom . import losses"),
    ("dlbd_estimators/kernels/linear.py", "from dlbd_estimators.exceptions import BadBlock"),
    (ESTIMATOR, "from sklearn import __version__, base"),
    ("dlbd_estimators/blocks/dask_blocks.py", "def f(remote):\n    remote.persist({}, [])"),
    ("storage/verify.py", "def f(X):\n    X.compute()"),
    ("storage/writer.py", "import dask.array as da\nfrom storage.chunks import grid"),
    ("storage/commons.py", "x = 1\n" * LONGEST_FILE),
]  # fmt: skip


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_checkers_allow_what_is_right(path: str, source: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    assert [line for checker in CHECKERS for line in checker(tmp_path)] == []
