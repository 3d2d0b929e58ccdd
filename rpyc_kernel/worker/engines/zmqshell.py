"""A stand-in for the module `ipykernel.zmqshell`: some libraries know a notebook by its being loaded."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from types import ModuleType
from typing import Any

from rpyc_kernel.worker import imports

_PACKAGE, NAME = "ipykernel", "ipykernel.zmqshell"


def stand_in(shell_class: type) -> None:
    """Have user code find the module, and in it the class of the shell under ipykernel's name for its own.

    To load ipykernel itself would take as long as to start the kernel.
    """
    if NAME not in sys.modules:
        module = sys.modules[NAME] = _StandIn(NAME, __doc__)
        module.__spec__ = ModuleSpec(NAME, None)
        module.ZMQInteractiveShell = shell_class  # type: ignore[attr-defined]
        imports.after({_PACKAGE: lambda package: setattr(package, "zmqshell", module)})


class _StandIn(ModuleType):
    def __getattr__(self, name: str) -> Any:
        """What else ipykernel's module has, if somebody wants it."""
        if name.startswith("__"):
            raise AttributeError(f"module {NAME!r} has no attribute {name!r}")
        return getattr(self._load(), name)

    def _load(self) -> ModuleType:
        loaded: ModuleType | None = vars(self).get("_loaded")
        if loaded is None:
            import ipykernel

            spec = PathFinder.find_spec(NAME, ipykernel.__path__)
            if spec is None or spec.loader is None:
                raise ModuleNotFoundError(f"No module named {NAME!r}", name=NAME)
            loaded = self._loaded = module_from_spec(spec)
            spec.loader.exec_module(loaded)
        return loaded
