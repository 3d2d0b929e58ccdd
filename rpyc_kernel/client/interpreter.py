"""Which interpreter a worker gets, and whether it has what a worker needs."""

from __future__ import annotations

import os
import sys

from rpyc_kernel.errors import RequestError

_OLDEST = (3, 10)
_PATIENCE_S = 30.0
_NEEDED = ("rpyc_kernel", "rpyc")
_IPYTHON = "IPython"
# Also for Pythons that are too old.
_PROBE = f"""
import sys
print("%d %d" % sys.version_info[:2])
import importlib.util
print(" ".join(name for name in {(*_NEEDED, _IPYTHON)!r} if importlib.util.find_spec(name) is None))
"""


def find_interpreter(python: str | os.PathLike[str] | None, engine: str) -> str:
    """Return the path of a worker's interpreter: of a path or the name of a command; None is the one that runs this.

    Raises:
        RequestError: it is not there, is no Python, is too old, or lacks a package; the message says what to install.
    """
    if python is None:
        if engine == "ipython":
            from importlib.util import find_spec

            _require([_IPYTHON] if find_spec(_IPYTHON) is None else [], sys.executable)
        return sys.executable
    import shutil  # here, because it brings all of Python's compression, and few starts name an interpreter

    path = shutil.which(os.path.expanduser(python))
    if path is None:
        raise RequestError(f"there is no interpreter {python!r} to run; name the file, as in --python .venv/bin/python")
    # Not resolved: what an environment's interpreter links to knows nothing of the environment.
    path = os.path.abspath(path)
    _require([name for name in _list_missing(path) if name in _NEEDED or engine == "ipython"], path)
    return path


def _require(missing: list[str], path: str) -> None:
    if missing:
        what, other = ("IPython", ", or choose the engine 'plain'") if missing == [_IPYTHON] else ("rpyc-kernel", "")
        raise RequestError(
            f"{path} has no {what}; install it there: {path} -m pip install 'rpyc-kernel[ipython]'{other}"
        )


def _list_missing(path: str) -> list[str]:
    """The packages that an interpreter lacks."""
    import subprocess

    try:
        asked = subprocess.run(
            [path, "-c", _PROBE], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RequestError(f"{path} cannot be run as an interpreter: {error}") from None
    version, _, missing = asked.stdout.decode("utf-8", "replace").partition("\n")
    try:
        major, minor = map(int, version.split())
    except ValueError:
        raise RequestError(f"{path} is no Python; name one with --python, or leave that out") from None
    if (major, minor) < _OLDEST:
        raise RequestError(f"{path} is Python {major}.{minor}; a worker needs 3.10 or newer")
    if asked.returncode:
        raise RequestError(f"{path} does not work: {asked.stderr.decode('utf-8', 'replace').strip()[-500:]}")
    return missing.split()
