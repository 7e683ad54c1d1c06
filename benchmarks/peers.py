"""Run other packages (peers), each in its own virtual environment and process.

An environment is made under ``.cache/peers`` when it is first needed. The process reads one JSON
object from each line, and answers with another: seconds, coefficients, and evidence that the peer's
own implementation ran.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import venv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from timing import Fit

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".cache" / "peers"

#: Versions that work with each other.
PINS = {
    "intelex": ("scikit-learn-intelex==2026.2.0", "scikit-learn==1.9.1", "numpy==2.4.6"),
    "dask-ml": (
        "dask-ml==2025.1.0",
        "dask[array,dataframe,distributed]==2025.1.0",
        "scikit-learn==1.6.1",
        "numpy==2.4.6",
        "pandas==2.3.3",
        "zarr==3.1.6",
        "google-crc32c>=1.5",
    ),
    "torch": ("torch==2.13.0", "numpy==2.4.6", "zarr==3.1.6"),
    "glum": ("glum==3.4.1", "numpy==2.4.6"),
    "zarrs": ("zarrs==0.2.3", "zarr==3.1.6", "numpy==2.4.6"),
}


class PeerUnavailable(Exception):
    """A peer that cannot be measured here; the message is the reason."""


class PeerFailed(PeerUnavailable):
    """A peer that started, but failed or took too long."""


def environment(name: str) -> Path:
    """Return the path of Python in a peer's environment, which is created if necessary.

    Raises
    ------
    PeerUnavailable
        When the peer cannot be installed.
    """
    folder = ENVIRONMENTS / name
    python = folder / "bin" / "python"
    stamp = folder / "stamp"
    wanted = json.dumps([sys.version, sys.prefix, *PINS[name]])
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print(f"  installing {PINS[name][0]} (once) ...", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    # Without pip, because not every Python can install it: our pip installs into the environment.
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    command = [sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet"]
    settings = {
        "PIP_CACHE_DIR": str(HERE.parent / ".cache" / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
    }
    done = subprocess.run(
        [*command, *PINS[name]],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **settings},
    )
    if done.returncode:
        raise PeerUnavailable(f"{PINS[name][0]} cannot be installed: {_last_line(done.stderr)}")
    stamp.write_text(wanted)
    return python


class Peer:
    """The process of a peer; as a context manager it ends the process.

    Parameters
    ----------
    name : str
        A key of :data:`PINS`.
    folder : Path
        Folder for the log of the process.
    arguments : list of str
        Command-line arguments of the script.
    script : str, optional
        The script is ``peer_<script>.py`` beside this file, by default that of the name, with ``_``
        for ``-``.
    """

    def __init__(
        self, name: str, folder: Path, arguments: list[str], script: str | None = None
    ) -> None:
        self._name = name
        self._log = folder / f"{name}.log"
        python = environment(name)
        path = HERE / f"peer_{script or name.replace('-', '_')}.py"
        outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [python, path, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=outside,
                start_new_session=True,
            )
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # the script ends, and its workers with it
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, request: dict[str, Any], timeout: float = 600.0) -> dict[str, Any]:
        """Send a request, and wait for its answer.

        Raises
        ------
        PeerFailed
            When the process ended, or took too long.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=timeout)
        except queue.Empty:
            raise PeerFailed(f"{self._name} took more than {timeout:.0f} s") from None
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerFailed(f"{self._name} ended: {_last_line(self._log.read_text())}")
        return dict(json.loads(line))

    def fit(self, request: dict[str, Any], timeout: float = 600.0) -> Fit:
        """Request a fit, and return its time and coefficients."""
        answer = self.ask(request, timeout)
        return Fit(answer["seconds"], np.array(answer["coef"], dtype=np.float64))

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")


class PeerWithArrays(Peer):
    """A peer with the same arrays in the memory of its own process.

    Parameters
    ----------
    name : str
        A key of :data:`PINS`.
    folder : Path
        Folder for temporary files of the arrays, whose paths are the script's arguments.
    arrays : dict of ndarray
        The arrays by their names.
    """

    def __init__(self, name: str, folder: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
        environment(name)  # raises PeerUnavailable before any array is written
        self._files = [folder / f"{name}-{array}.npy" for array in arrays]
        for path, array in zip(self._files, arrays.values(), strict=True):
            np.save(path, array)
        super().__init__(name, folder, [str(path) for path in self._files])

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for path in self._files:
            path.unlink()


class Intelex(PeerWithArrays):
    """scikit-learn-intelex."""

    def __init__(
        self,
        folder: Path,
        X: npt.NDArray[np.float64],
        y: npt.NDArray[np.intp],
        target: npt.NDArray[np.float64],
    ) -> None:
        super().__init__("intelex", folder, {"X": X, "y": y, "target": target})

    def logistic(self) -> Fit:
        """Fit LogisticRegression with lbfgs at tol 1e-8."""
        return self._accelerated({"model": "logistic"})

    def ridge(self) -> Fit:
        """Fit Ridge."""
        return self._accelerated({"model": "ridge"})

    def lasso(self, alpha: float) -> Fit:
        """Fit Lasso at its default tolerance."""
        return self._accelerated({"model": "lasso", "alpha": alpha})

    def _accelerated(self, request: dict[str, Any]) -> Fit:
        answer = self.ask(request)
        if not answer["accelerated"]:
            raise PeerUnavailable("scikit-learn-intelex fell back to scikit-learn here")
        return Fit(answer["seconds"], np.array(answer["coef"], dtype=np.float64))


class Glum(PeerWithArrays):
    """glum, generalized linear models."""

    def __init__(self, folder: Path, X: npt.NDArray[np.float64], y: npt.NDArray[np.intp]) -> None:
        super().__init__("glum", folder, {"X": X, "y": y.astype(np.float64)})

    def logistic(self, tol: float) -> Fit:
        """Fit a logistic regression with C=1 until the gradient is below a tolerance."""
        return self.fit({"tol": tol})


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it printed no message"
