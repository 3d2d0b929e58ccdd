"""What runs in a bundle: ``python BUNDLE ARGUMENT ...`` is ``rpyc-kernel``, ``python BUNDLE -m MODULE ...`` a module.

A bundle is found by no variable of the environment, which all children of user code would have as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys

_RUNS_USER_CODE = "rpyc_kernel.worker"
_writes_no_bytecode = sys.dont_write_bytecode
_folder = ""


def start() -> None:
    """Run what the arguments name; this package has been imported from the bundle already."""
    global _folder
    import runpy  # here: whoever is not in a bundle only asks whether it is

    _folder = sys.path.pop(0)
    hold(_folder)
    module = "rpyc_kernel"
    if sys.argv[1:2] == ["-m"]:
        module = sys.argv[2]
        del sys.argv[1:3]
    # User code has the packages of its environment. Of the others, those that we know to be new enough come first.
    sys.path.insert(len(sys.path) if module == _RUNS_USER_CODE else 0, _folder)
    sys.dont_write_bytecode = False  # or what the cache holds would be compiled anew at every start
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def command(python: str, bundle: str, module: str, *arguments: str) -> list[str]:
    """What runs a module that finds in a bundle what its environment lacks; "" is no bundle."""
    return [python, *([bundle] if bundle else []), "-m", module, *arguments]


def leave_to_user_code() -> None:
    """What was changed for the kernel's own modules is as the environment has it, for those of user code."""
    sys.dont_write_bytecode = _writes_no_bytecode


def of_this_process() -> str:
    """The bundle that this process runs from, "" where it runs from none."""
    return _folder


def hold(folder: str) -> None:
    """Keep a bundle from being removed as long as this process lives."""
    with contextlib.suppress(OSError):  # a file system without locks: what was asked for within days is kept anyway
        fcntl.flock(os.open(os.path.join(folder, "__main__.py"), os.O_RDONLY | os.O_CLOEXEC), fcntl.LOCK_SH)
