"""Which interpreter a worker gets, and what it has of the packages that a worker needs."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from rpyc_kernel.core.contract import WORKER_VERSION
from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system import bundle_start

_OLDEST = (3, 10)
_RPYC = ((6, 0, 2), (7,))
"""From which release on RPyC will do, and from which on no longer; see pyproject.toml."""
_PATIENCE_S = 30.0
_IPYTHON = "IPython"
_MARK = "rpyc-kernel-probe "
"""What lines of the answer begin with: an environment may write something of its own, also at its end."""
# Also for Pythons that are too old. Where the question is asked is not where the worker will be.
_PROBE = f"""
import sys
print("\\n{_MARK}%d %d" % sys.version_info[:2])
import json
from importlib.util import find_spec
sys.path[:] = [entry for entry in sys.path if entry]
has = {{"ipython": find_spec("{_IPYTHON}") is not None, "workers": None, "rpyc": None, "problem": ""}}
try:
    from rpyc_kernel.core.contract import WORKER_VERSION
    has["workers"] = WORKER_VERSION
except Exception:
    pass
if find_spec("rpyc") is not None:
    import importlib.metadata
    try:
        has["rpyc"] = importlib.metadata.version("rpyc")
    except Exception:
        has["rpyc"] = "of an unknown release"
    try:
        import rpyc
    except Exception as error:
        has["problem"] = "%s: %s" % (type(error).__name__, error)
print("\\n{_MARK}" + json.dumps(has))
"""


class Interpreter(Frozen):
    """What runs a worker.

    Attributes:
        path: of the interpreter.
        bundle: the folder with the packages that its environment lacks, "" where it lacks none.
    """

    path: str
    bundle: str


def find_interpreter(python: str | os.PathLike[str] | None, engine: str) -> Interpreter:
    """Find a worker's interpreter: by a path or the name of a command; None is the one that runs this.

    Raises:
        RequestError: it is not there, is no Python, is too old, or cannot have what a worker needs; the message says
            what to do.
    """
    if python is None:
        if engine == "ipython":
            from importlib.util import find_spec

            _require_ipython(find_spec(_IPYTHON) is not None, sys.executable)
        return Interpreter(sys.executable, bundle_start.of_this_process())
    import shutil  # here, because it brings all of Python's compression, and few starts name an interpreter

    path = shutil.which(os.path.expanduser(python))
    if path is None:
        raise RequestError(f"there is no interpreter {python!r} to run; name the file, as in --python .venv/bin/python")
    # Not resolved: what an environment's interpreter links to knows nothing of the environment.
    path = os.path.abspath(path)
    has = _ask(path)
    if engine == "ipython":
        _require_ipython(has["ipython"], path)
    # Its user code is to find it, so there cannot be another one beside it.
    wanted = f"'rpyc>={_show_release(_RPYC[0])},<{_show_release(_RPYC[1])}'"
    if has["rpyc"] and not _RPYC[0] <= _parse_release(has["rpyc"]) < _RPYC[1]:
        raise RequestError(
            f"{path} has rpyc {has['rpyc']}, with which no worker of this release can run; change it there: "
            f"{path} -m pip install {wanted}"
        )
    if has["problem"]:
        raise RequestError(
            f"{path} has an rpyc that cannot be imported ({has['problem']}); mend it there: "
            f"{path} -m pip install --force-reinstall {wanted}"
        )
    if has["workers"] == WORKER_VERSION and has["rpyc"]:
        return Interpreter(path, "")
    from rpyc_kernel.client.bundle import unpack_bundle  # here, because few environments need it

    return Interpreter(path, unpack_bundle())


def _require_ipython(is_there: bool, path: str) -> None:
    if not is_there:
        raise RequestError(
            f"{path} has no IPython; install it there: {path} -m pip install ipython, or choose the engine 'plain'"
        )


def _ask(path: str) -> dict[str, Any]:
    """What an interpreter has of what a worker needs."""
    import subprocess

    try:
        asked = subprocess.run(
            [path, "-c", _PROBE], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RequestError(f"{path} cannot be run as an interpreter: {error}") from None
    lines = asked.stdout.decode("utf-8", "replace").splitlines()
    version, *has = [line.removeprefix(_MARK) for line in lines if line.startswith(_MARK)] or [""]
    try:
        major, minor = map(int, version.split())
    except ValueError:
        raise RequestError(f"{path} is no Python; name one with --python, or leave that out") from None
    if (major, minor) < _OLDEST:
        raise RequestError(f"{path} is Python {major}.{minor}; a worker needs 3.10 or newer")
    if not has:
        raise RequestError(f"{path} does not work: {asked.stderr.decode('utf-8', 'replace').strip()[-500:]}")
    answer: dict[str, Any] = json.loads(has[0])
    return answer


def _parse_release(version: str) -> tuple[int, ...]:
    digits = "".join(mark if mark.isdigit() else " " for mark in version.replace(".", " ")).split()
    return tuple(map(int, digits[:3]))


def _show_release(release: tuple[int, ...]) -> str:
    return ".".join(map(str, release))
