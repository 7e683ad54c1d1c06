"""Imports run strictly downward: read off the source, and held here.

    estimators -> solvers -> execution -> blocks -> objectives

A checker takes the directory that holds both packages and returns one line per violation, so that
each can be shown to see a broken tree before it is believed about the real one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("dlbd_estimators", "storage")
LONGEST_FILE = 350

# What each module or subpackage of dlbd_estimators belongs to; a new one has to be put here.
LAYER_OF = {
    "__init__": "estimators",
    "_callbacks": "estimators",
    "_classes": "estimators",
    "_fit": "estimators",
    "_html": "estimators",
    "_indexable": "estimators",
    "_leaving": "estimators",
    "_least_squares": "estimators",
    "_logistic_parameters": "estimators",
    "_model": "estimators",
    "_parameters": "estimators",
    "_part_of": "estimators",
    "_predict": "estimators",
    "_predictions": "estimators",
    "_solver_names": "estimators",
    "_sparse_coefficients": "estimators",
    "_sparse_input": "estimators",
    "_validation": "estimators",
    "_versions": "estimators",
    "_without_effect": "estimators",
    "compose": "estimators",
    "elastic_net": "estimators",
    "linear": "estimators",
    "logistic": "estimators",
    "metrics": "estimators",
    "mlp": "estimators",
    "model_selection": "estimators",
    "preprocessing": "estimators",
    "reports": "estimators",
    "monitoring": "monitoring",
    "plots": "estimators",
    "solvers": "solvers",
    "execution": "execution",
    "blocks": "blocks",
    "objectives": "objectives",
    "exceptions": "exceptions",
}
# Everything a layer may import of the package, besides itself. Monitoring watches from the side:
# it sees what runs below the estimators, and nothing below the estimators knows of it.
BELOW = {
    "estimators": {
        "monitoring", "solvers", "execution", "blocks", "objectives", "exceptions",
    },
    "monitoring": {"solvers", "execution", "blocks", "objectives", "exceptions"},
    "solvers": {"execution", "blocks", "objectives", "exceptions"},
    "execution": {"blocks", "objectives", "exceptions"},
    "blocks": {"objectives", "exceptions"},
    "objectives": {"exceptions"},
    "exceptions": set(),
}  # fmt: skip
# The estimators' face: where Dask collections come in and go out.
MAY_IMPORT_DASK = {
    "_predict", "_predictions", "_validation", "compose", "linear", "logistic", "metrics", "mlp",
    "model_selection", "preprocessing",
}  # fmt: skip
# Executors and monitors read settings that a user keeps in Dask, the scheduler to use among them,
# and know names as Dask's pages do; these know of no graph and no collection.
DASK_SETTINGS = (
    "dask.config", "dask.system", "dask.base.get_scheduler", "dask.utils.key_split",
    "dask.utils.parse_bytes", "dask.utils.parse_timedelta",
)  # fmt: skip
# What computes Dask collections. Rows are read by passes of the engine, and by nothing else; what
# blocks of a pass share is computed where they are cut.
COMPUTES = {"compute", "persist", "compute_chunk_sizes", "get_sync"}
# Not rows but one of them, by its number, where scikit-learn looks at what labels are. Names alone
# do not tell where NumPy's functions load a column: scikit-learn's tools ask for labels and
# predictions in one piece (model_selection.by_number, _predictions, _indexable).
MAY_COMPUTE = {"dlbd_estimators/model_selection/by_number/frames.py"}
MAY_BE_IMPORTED_BY_OBJECTIVES = {"numpy", "scipy"} | sys.stdlib_module_names
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


def module_of(parts: tuple[str, ...]) -> str:
    """Name what stands at the package's top level; the blocks layer may be several files."""
    name = parts[1].removesuffix(".py") if len(parts) > 1 else "__init__"
    return "blocks" if name.startswith("blocks") else name


def unplaced_modules(root: Path) -> list[str]:
    return [
        f"{path}: say in LAYER_OF which layer it belongs to"
        for path in sources(root)
        if path.parts[0] == "dlbd_estimators" and module_of(path.parts) not in LAYER_OF
    ]


def upward_imports(root: Path) -> list[str]:
    violations = []
    for found in imports(root):
        if found.path.parts[0] != "dlbd_estimators" or found.root != "dlbd_estimators":
            continue
        importer = LAYER_OF.get(module_of(found.path.parts), "estimators")
        # A name that is no module is an attribute of the package itself, which is at the top.
        imported = LAYER_OF.get(module_of(tuple(found.target.split("."))), "estimators")
        if imported != importer and imported not in BELOW[importer]:
            violations.append(f"{found}: {importer} -> {imported}")
    return violations


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
        and found.path.parts
        not in {
            ("dlbd_estimators", "execution", f"{name}.py")
            for name in ("cluster", "cluster_graphs", "gathering")
        }
    ]


def dask_out_of_place(root: Path) -> list[str]:
    return [
        str(found)
        for found in imports(root)
        if found.root == "dask"
        and not found.target.startswith("dask.distributed")  # the checker above
        and found.path.parts[0] == "dlbd_estimators"
        and module_of(found.path.parts) not in MAY_IMPORT_DASK | {"blocks"}
        and not (
            found.path.parts[1] in ("execution", "monitoring")
            and f"{found.target}.".startswith(tuple(f"{name}." for name in DASK_SETTINGS))
        )
    ]


def computing_outside_the_engine(root: Path) -> list[str]:
    return [
        f"{path}:{node.lineno} calls {ast.unparse(node.func)}"
        for path in sources(root)
        if path.parts[0] == "dlbd_estimators"
        # The latter two run the tasks of one block, for the engine.
        and path.parts[1] not in ("execution", "blocks_dask.py", "blocks_steps.py")
        for node in ast.walk(ast.parse((root / path).read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-1] in COMPUTES
        and path.as_posix() not in MAY_COMPUTE
    ]


def impure_objectives(root: Path) -> list[str]:
    return [
        str(found)
        for found in imports(root)
        if found.path.parts[:2] == ("dlbd_estimators", "objectives")
        and found.root != "dlbd_estimators"  # upward_imports
        and found.root not in MAY_BE_IMPORTED_BY_OBJECTIVES
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
    imports_between_packages,
    distributed_out_of_place,
    dask_out_of_place,
    computing_outside_the_engine,
    impure_objectives,
    private_sklearn,
    shapeless_modules,
    long_files,
)


@pytest.mark.parametrize("checker", CHECKERS)
def test_project(checker: Callable[[Path], list[str]]) -> None:
    assert checker(ROOT) == []


def test_project_is_found() -> None:
    assert {path.parts[0] for path in sources(ROOT)} == set(PACKAGES)


BROKEN = [
    (unplaced_modules, "dlbd_estimators/glue.py", ""),
    (unplaced_modules, "dlbd_estimators/glue/__init__.py", ""),
    (upward_imports, "dlbd_estimators/solvers/newton.py", "from dlbd_estimators import linear"),
    (upward_imports, "dlbd_estimators/solvers/newton.py", "import dlbd_estimators.linear as l"),
    (upward_imports, "dlbd_estimators/solvers/newton.py", "from dlbd_estimators import Ridge"),
    (upward_imports, "dlbd_estimators/solvers/newton.py", "from ..linear import Ridge"),
    (upward_imports, "dlbd_estimators/solvers/newton.py", "from .. import linear"),
    (upward_imports, "dlbd_estimators/solvers/newton.py", "import dlbd_estimators"),
    (upward_imports, "dlbd_estimators/solvers/newton.py", "import dlbd_estimators.monitoring"),
    (upward_imports, "dlbd_estimators/blocks.py", "from .solvers.base import Solver"),
    (upward_imports, "dlbd_estimators/blocks_align.py", "def f():\n    from . import execution"),
    (upward_imports, "dlbd_estimators/objectives/linear.py", "from dlbd_estimators import blocks"),
    (upward_imports, "dlbd_estimators/exceptions.py", "from dlbd_estimators.blocks import Block"),
    (upward_imports, "dlbd_estimators/execution/base.py",
     "if TYPE_CHECKING:\n    from dlbd_estimators.solvers.base import Solver"),
    (upward_imports, "dlbd_estimators/execution/base.py",
     "importlib.import_module('dlbd_estimators.solvers')"),
    (imports_between_packages, "dlbd_estimators/linear.py", "import storage"),
    (imports_between_packages, "storage/writer.py", "from dlbd_estimators import exceptions"),
    (distributed_out_of_place, "dlbd_estimators/execution/threads.py", "import distributed"),
    (distributed_out_of_place, "dlbd_estimators/linear.py", "from dask.distributed import Client"),
    (distributed_out_of_place, "storage/writer.py", "try:\n    import distributed\nfinally: ..."),
    (distributed_out_of_place, "storage/writer.py",
     "if TYPE_CHECKING: ...\nelse:\n    import distributed"),
    (dask_out_of_place, "dlbd_estimators/solvers/newton.py", "import dask.array as da"),
    (dask_out_of_place, "dlbd_estimators/execution/threads.py", "from dask import get"),
    (dask_out_of_place, "dlbd_estimators/solvers/newton.py", "import dask.config"),
    (dask_out_of_place, "dlbd_estimators/execution/base.py",
     "if TYPE_CHECKING:\n    from dask.array import Array"),
    (computing_outside_the_engine, "dlbd_estimators/metrics/rows.py",
     "import dask\ndask.compute(1)"),
    (computing_outside_the_engine, "dlbd_estimators/linear.py",
     "def f(X):\n    X.mean().compute()"),
    (computing_outside_the_engine, "dlbd_estimators/blocks_align.py", "X.compute_chunk_sizes()"),
    (computing_outside_the_engine, "dlbd_estimators/model_selection/split.py",
     "from dask import persist\npersist(1)"),
    (impure_objectives, "dlbd_estimators/objectives/losses.py", "import sklearn"),
    (impure_objectives, "dlbd_estimators/objectives/losses.py", "import dask.array"),
    (private_sklearn, "dlbd_estimators/linear.py", "import sklearn.linear_model._base"),
    (private_sklearn, "dlbd_estimators/linear.py", "from sklearn._loss import HalfSquaredError"),
    (private_sklearn, "dlbd_estimators/linear.py", "from sklearn.linear_model import _base"),
    (private_sklearn, "storage/writer.py", "from sklearn.utils._param_validation import Interval"),
    (shapeless_modules, "storage/utils.py", ""),
    (shapeless_modules, "storage/_helpers/io.py", ""),
    (shapeless_modules, "dlbd_estimators/common.py", ""),
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
    ("dlbd_estimators/__init__.py", "from dlbd_estimators.linear import Ridge"),
    ("dlbd_estimators/linear.py", "from dlbd_estimators import _validation, exceptions"),
    ("dlbd_estimators/linear.py", "from dlbd_estimators.monitoring import events"),
    ("dlbd_estimators/_validation.py", "import dask.array as da"),
    ("dlbd_estimators/_validation.py", "if TYPE_CHECKING:\n    from distributed import Client"),
    ("dlbd_estimators/solvers/newton.py", "from .base import Solver"),
    ("dlbd_estimators/solvers/newton.py", "from ..execution import base"),
    ("dlbd_estimators/execution/cluster.py", "from distributed import Client"),
    ("dlbd_estimators/execution/cluster_graphs.py", "from distributed import Client"),
    ("dlbd_estimators/execution/base.py", "import dask.config\nfrom dask.system import CPU_COUNT"),
    ("dlbd_estimators/monitoring/dashboard.py", "from dask.distributed import Client"),
    ("dlbd_estimators/blocks_align.py", "import dask\nfrom dlbd_estimators.blocks import Block"),
    ("dlbd_estimators/objectives/linear.py",
     "import math\nimport numpy as np\nfrom scipy import special\nfrom . import losses"),
    ("dlbd_estimators/objectives/linear.py", "from dlbd_estimators.exceptions import BadBlock"),
    ("dlbd_estimators/linear.py", "from sklearn import __version__, base"),
    ("dlbd_estimators/blocks_dask.py", "def f(remote):\n    remote.persist({}, [])"),
    ("storage/verify.py", "def f(X):\n    X.compute()"),
    ("storage/writer.py", "import dask.array as da\nfrom storage.chunks import grid"),
    ("storage/commons.py", "x = 1\n" * LONGEST_FILE),
]  # fmt: skip


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_checkers_allow_what_is_right(path: str, source: str, tmp_path: Path) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text(source)
    assert [line for checker in CHECKERS for line in checker(tmp_path)] == []
