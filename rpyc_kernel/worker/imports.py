"""What is done to a module as soon as user code has imported it; and imports of the kernel's own, after it runs.

User code looks for modules first where it is, as at any prompt. What the kernel loads late, because not every kernel
needs it, must not: a ``random.py`` of the user's beside the data would stand for that of the standard library.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from rpyc_kernel.system.originals import threading, time

_FILE_CLOCK = 5 if sys.platform == "linux" else time.CLOCK_REALTIME
"""What files' times are of: on Linux CLOCK_REALTIME_COARSE, for which Python has no name, see `clock_gettime(2)`."""
Act = Callable[[ModuleType], None]


def after(acts: dict[str, Act]) -> None:
    """Have functions called with the modules of these names, once these have run."""
    sys.meta_path.insert(0, _Finder(acts))


def keep_path(path: Sequence[str]) -> None:
    """Where the kernel finds its own modules, from now on; see `for_kernel`."""
    sys.meta_path.insert(0, _KernelFinder([*path]))


def note_times() -> None:
    """Remember from now on when each module was looked for; see `sought_ns`."""
    global _noting_since_ns
    _noting_since_ns = _file_clock_ns()
    sys.meta_path.insert(0, _Noting())


def sought_ns(name: str) -> int:
    """When a module was looked for last, to be imported, as the file system counts nanoseconds.

    Of what was there before anybody noted it, when that began.
    """
    return _sought.get(name, _noting_since_ns)


def was_sought(name: str) -> bool:
    """Whether a module was looked for since that is noted."""
    return name in _sought


def are_times_noted() -> bool:
    """Whether it is noted now; the finders of a program that a kernel is embedded in are left as they are."""
    return any(type(finder) is _Noting for finder in sys.meta_path)


def list_sought() -> list[str]:
    """The names that were looked for, by their first times: whoever imports comes before what it imports."""
    return [*_sought]


def remember_sought(name: str, at_ns: int) -> None:
    """Have it be then that a module was looked for last."""
    _sought[name] = at_ns


def _file_clock_ns() -> int:
    """The time that a file gets if it is written now, or an earlier one: Linux takes one that is some ms behind."""
    return time.clock_gettime_ns(_FILE_CLOCK)


@contextlib.contextmanager
def for_kernel() -> Iterator[None]:
    """What this thread imports meanwhile is looked for among the kernel's modules first, then as user code does it.

    A module that user code has already imported is the same for all; and what is imported here, user code finds.
    """
    outer, _importing.for_kernel = getattr(_importing, "for_kernel", False), True
    try:
        yield
    finally:
        _importing.for_kernel = outer


_importing = threading.local()
_sought: dict[str, int] = {}
_noting_since_ns = _file_clock_ns()


# Finders and loaders are what has their methods: `importlib.abc`, which has bases for them, takes a start 5 ms.


class _KernelFinder:
    # Changing `sys.path` for as long as the kernel imports would change it for all threads.

    def __init__(self, path: list[str]) -> None:
        self._path = path

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find a module that is in no package, if it is the kernel that imports it."""
        if not getattr(_importing, "for_kernel", False) or path is not None or name in sys.builtin_module_names:
            return None
        return PathFinder.find_spec(name, self._path, target)


class _Noting:
    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Find nothing, and remember when."""
        _sought[name] = _file_clock_ns()


class _Finder:
    def __init__(self, acts: dict[str, Act]) -> None:
        self._acts = acts

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find one of the modules as it would be found without us."""
        if name not in self._acts:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._acts[name])  # type: ignore[assignment] # as above
        return spec


class _Loader:
    def __init__(self, loader: Any, act: Act) -> None:
        self._loader = loader
        self._act = act

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Leave it to the module's own."""
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        """Run the module, which shall see its own loader only, and then the function."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._act(module)
