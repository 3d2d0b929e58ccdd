"""Which engine a worker has: the one that was asked for, or the best that its environment has."""

from __future__ import annotations

import importlib.util

from rpyc_kernel.worker.engines.plain import PlainEngine

_OLDEST = 8


def choose_engine(name: str) -> type[PlainEngine]:
    """Return the engine's class; IPython is imported only where it is chosen.

    Raises:
        ImportError: IPython was asked for, and cannot be imported.
    """
    if name == "plain" or (name == "auto" and importlib.util.find_spec("IPython") is None):
        return PlainEngine
    try:
        _require_recent()
        from rpyc_kernel.worker.engines.ipython import IPythonEngine
    except ImportError:
        if name == "auto":
            return PlainEngine
        raise
    return IPythonEngine


def _require_recent() -> None:
    import IPython

    if IPython.version_info[0] < _OLDEST:
        raise ImportError(f"IPython {IPython.__version__} is too old: a kernel needs {_OLDEST} or newer")
