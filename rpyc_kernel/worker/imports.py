"""What is done to a module as soon as user code has imported it, at whatever time that is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

Act = Callable[[ModuleType], None]


def after(acts: dict[str, Act]) -> None:
    """Have functions called with the modules of these names, once these have run."""
    sys.meta_path.insert(0, _Finder(acts))


class _Finder(MetaPathFinder):
    def __init__(self, acts: dict[str, Act]) -> None:
        self._acts = acts

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find one of the modules as it would be found without us."""
        if name not in self._acts:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._acts[name])
        return spec


class _Loader(Loader):
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
