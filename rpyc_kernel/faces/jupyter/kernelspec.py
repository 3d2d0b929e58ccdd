"""How Jupyter finds the bridge: kernelspecs, one for a kernel of a notebook's own and one for each kernel to join."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_core.paths import SYSTEM_JUPYTER_PATH

from rpyc_kernel.client.address import is_place
from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.jupyter.messages import PROTOCOL
from rpyc_kernel.settings import check_name

NAME = "rpyc_kernel"
_MODULE = "rpyc_kernel.faces.jupyter"
_MARK_CHARS = 6
_IN_ENVIRONMENT = ("share", "jupyter", "kernels")
ICONS = Path(__file__).with_name("icons")
"""A folder with what launchers show for our kernels."""


@dataclass(frozen=True)
class Installed:
    """A kernelspec of ours that Jupyter finds.

    Attributes:
        name: what Jupyter calls it.
        path: its folder.
        attach: the kernel it joins, None where each notebook gets one of its own.
    """

    name: str
    path: str
    attach: str | None


@dataclass(frozen=True)
class Removed:
    """A kernelspec of ours that has been removed.

    Attributes:
        path: the folder it was in.
        others: the folders of further ones of the same name, which Jupyter still finds.
    """

    path: str
    others: list[str]


def make_spec(attach: str | None = None, python: str = sys.executable) -> dict[str, Any]:
    """The content of a ``kernel.json``.

    Args:
        attach: the running kernel to join, None for one of each notebook's own.
        python: the interpreter to run.
    """
    joining = ["--attach", attach] if attach else []
    return {
        "argv": [python, "-m", _MODULE, "-f", "{connection_file}", *joining],
        "display_name": f"Python (kernel {attach})" if attach else "Python (rpyc_kernel)",
        "language": "python",
        "interrupt_mode": "message",
        "kernel_protocol_version": PROTOCOL,
        "metadata": {"debugger": True, "supported_encryption": ["curve"]},
    }


def name_for(attach: str | None) -> str:
    """What Jupyter is to call the spec: its names are lower-case letters, digits, ``-``, ``_`` and ``.``.

    A kernel that is called otherwise gets a mark of its own, or another's kernelspec might go by the same name.
    """
    if attach is None:
        return NAME
    name = re.sub(r"[^a-z0-9._-]", "-", attach.lower())
    mark = "" if name == attach else f"-{hashlib.sha256(attach.encode()).hexdigest()[:_MARK_CHARS]}"
    return f"{NAME}-{name}{mark}"


def install(attach: str | None = None, *, user: bool = True, prefix: str | None = None) -> str:
    """Install a kernelspec and return its folder.

    Args:
        attach: the running kernel it joins.
        user: for this user alone, else for all.
        prefix: the environment to install it in, instead of either.

    Raises:
        RequestError: the folder cannot be written.
        BadName: no kernel can be called so.
    """
    if attach is not None and not is_place(attach):
        check_name(attach)
    name = name_for(attach)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ICONS, folder, dirs_exist_ok=True)
        (Path(folder) / "kernel.json").write_text(json.dumps(make_spec(attach), indent=1) + "\n")
        try:
            return str(KernelSpecManager().install_kernel_spec(folder, name, user=user and not prefix, prefix=prefix))
        except OSError as error:
            raise RequestError(f"the kernelspec {name!r} cannot be installed: {error}") from None


def uninstall(attach: str | None = None, *, user: bool = True, prefix: str | None = None) -> Removed:
    """Remove the kernelspec that `install` has put there if it was told the same.

    Raises:
        RequestError: there is none, or it cannot be removed.
    """
    name = name_for(attach)
    manager = KernelSpecManager()
    place = _find_place(manager, user=user, prefix=prefix)
    path = place / name
    if not (path / "kernel.json").exists():
        raise RequestError(f"there is no kernelspec {name!r} in {place}{_tell_others(_find_others(manager, path))}")
    try:
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path)
    except OSError as error:
        raise RequestError(f"the kernelspec {name!r} cannot be removed: {error}") from None
    return Removed(str(path), [str(other) for other in _find_others(manager, path)])


def _find_place(manager: KernelSpecManager, *, user: bool, prefix: str | None) -> Path:
    """The folder of kernelspecs in which Jupyter installs."""
    if prefix:
        return Path(os.path.abspath(prefix), *_IN_ENVIRONMENT)
    return Path(manager.user_kernel_dir if user else os.path.join(SYSTEM_JUPYTER_PATH[0], "kernels"))


def _find_others(manager: KernelSpecManager, path: Path) -> list[Path]:
    """Where else Jupyter finds a kernelspec of the same name, in the order in which it looks."""
    places = dict.fromkeys(Path(folder, path.name) for folder in manager.kernel_dirs)
    return [place for place in places if place != path and (place / "kernel.json").exists()]


def _tell_others(others: list[Path]) -> str:
    """How to remove what is somewhere else."""
    if not others:
        return "; 'rpyc-kernel jupyter list' shows those there are"
    place = others[0].parent
    if place == Path(SYSTEM_JUPYTER_PATH[0], "kernels"):
        how = ": --system removes it"
    elif place.parts[-3:] == _IN_ENVIRONMENT:
        how = f": --prefix {shlex.quote(str(place.parents[2]))} removes it"
    else:
        how = ""
    return f", but one in {place}{how}"


def list_installed() -> list[Installed]:
    """Return the kernelspecs of ours that Jupyter finds."""
    found = []
    for name, described in sorted(KernelSpecManager().get_all_specs().items()):
        argv = described["spec"]["argv"]
        if _MODULE in argv:
            attach = argv[argv.index("--attach") + 1] if "--attach" in argv else None
            found.append(Installed(name, described["resource_dir"], attach))
    return found
